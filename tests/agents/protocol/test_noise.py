"""The noise against the vectors and against plain-Python Philox."""

import json

import numpy as np
import pytest
import sampling_reference as reference

from agents.protocol import noise

DRAWS = json.loads(reference.VECTORS.read_text())["noise"]


@pytest.mark.parametrize("draw", DRAWS, ids=lambda d: f"{d['size']}@{d['position']}")
def test_noise_matches_the_vectors(draw):
    args = (int(draw["seed"]), bytes.fromhex(draw["node"][2:]), draw["position"], draw["size"])
    raw, g = noise.bits(*args), noise.gumbel(*args)
    assert reference.sha256("Q", raw.tolist()) == draw["bits_sha256"]
    assert reference.sha256("d", g.tolist()) == draw["noise_sha256"]
    assert (g[:16] * 2**20).astype(int).tolist() == draw["noise_x_2_20"]


@pytest.mark.parametrize("seed", [0, 1, 2**63, 2**64 - 1])
def test_noise_is_what_the_page_says(seed):
    node = bytes(range(20))
    assert noise.bits(seed, node, 17, 9).tolist() == reference.bits(seed, node, 17, 9)
    assert noise.gumbel(seed, node, 17, 9).tolist() == reference.gumbel(seed, node, 17, 9)


def test_every_argument_changes_the_noise():
    base = (1, bytes(20), 5, 8)
    for other in [(2, bytes(20), 5, 8), (1, bytes(19) + b"\1", 5, 8), (1, bytes(20), 6, 8)]:
        assert not np.array_equal(noise.gumbel(*base), noise.gumbel(*other))


def test_a_token_s_noise_does_not_depend_on_the_vocabulary():
    assert np.array_equal(noise.gumbel(3, bytes(20), 2, 100)[:50], noise.gumbel(3, bytes(20), 2, 50))


def test_the_extreme_draws_stay_finite_and_ordered():
    g = noise.gumbel_of(np.array([0, 1 << 63, (1 << 64) - 1], dtype=np.uint64))
    assert np.isfinite(g).all()
    assert g[0] < g[1] < g[2]
    assert noise.gumbel_of(np.array([6786177901268885504], dtype=np.uint64)).tobytes() == b"\0" * 8


def test_noise_is_gumbel():
    g = noise.gumbel(11, bytes(20), 0, 200_000)
    assert g.mean() == pytest.approx(0.5772, abs=0.01)
    assert g.std() == pytest.approx(1.2825, abs=0.01)


@pytest.mark.parametrize(
    "args", [(-1, bytes(20), 0), (1 << 64, bytes(20), 0), (0, bytes(19), 0), (0, bytes(20), 1 << 32)]
)
def test_arguments_out_of_range_are_refused(args):
    with pytest.raises(ValueError, match=r"must be|is 20 bytes"):
        noise.bits(*args, 4)
