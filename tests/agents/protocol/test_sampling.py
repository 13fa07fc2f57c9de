"""Choosing and margins against the vectors, a second implementation, and their own definitions."""

import json
import math

import numpy as np
import pytest
import sampling_reference as reference

from agents.protocol.sampling import TOLERANCE, Sampling, choose, margins

VECTORS = json.loads(reference.VECTORS.read_text())
NODE = bytes(range(1, 21))


def sampling_of(case):
    return Sampling(case["seed"], bytes.fromhex(case["node"][2:]), case["temperature"], case["top_p"])


def name(case):
    return "T{temperature} P{top_p} d{tolerance} @{position}".format(**case)


@pytest.mark.parametrize("case", VECTORS["small"]["cases"], ids=name)
def test_small_vectors(case):
    logits = np.array(VECTORS["small"]["logits"], dtype=np.float32)
    assert choose(logits, sampling_of(case), case["position"]) == case["token"]
    for token, expected in enumerate(case["margins"]):
        got = margins(logits[None], [token], sampling_of(case), case["position"], case["tolerance"])
        assert got[0] == (math.inf if expected is None else expected)


def test_large_vectors():
    logits = np.array(reference.large_logits(), dtype=np.float32)
    assert reference.sha256("f", logits.tolist()) == VECTORS["large"]["logits_sha256"]
    for case in VECTORS["large"]["cases"]:
        assert choose(logits, sampling_of(case), case["position"]) == case["token"], name(case)
        assert margins(logits[None], [case["token"]], sampling_of(case), case["position"]) == [0.0]


@pytest.mark.parametrize("tolerance", [0, TOLERANCE])
def test_random_rows_agree_with_the_second_implementation(tolerance):
    rng = np.random.default_rng(1)
    for i in range(60):
        size = int(rng.integers(1, 300))
        # a coarse grid makes ties, a wide one makes weights that vanish
        logits = (rng.integers(-40, 40, size) * rng.choice([0.25, 1.0])).astype(np.float32)
        case = {
            "seed": i, "node": "0x" + NODE.hex(), "position": i, "tolerance": tolerance,
            "temperature": int(rng.choice([0, 50_000, 800_000, 3_000_000])),
            "top_p": int(rng.choice([0, 1, 15_000, 500_000, 950_000, 990_000, 999_999, 1_000_000])),
        }  # fmt: skip
        plain = [float(x) for x in logits]
        assert choose(logits, sampling_of(case), i) == reference.choose(plain, case), case
        for token in rng.integers(0, size, 5).tolist():
            got = margins(logits[None], [token], sampling_of(case), i, tolerance)[0]
            assert got == reference.margin(plain, token, case), (case, token)


@pytest.mark.parametrize(("temperature", "top_p"), [(0, 10**6), (800_000, 950_000), (10**6, 10**6)])
def test_the_chosen_token_has_no_margin_and_the_others_do(temperature, top_p):
    sampling = Sampling(4, NODE, temperature, top_p)
    logits = np.random.default_rng(2).normal(0, 3, (8, 2000)).astype(np.float32)
    chosen = [choose(row, sampling, 30 + i) for i, row in enumerate(logits)]
    assert margins(logits, chosen, sampling, 30).tolist() == [0.0] * 8
    others = [(token + 1) % 2000 for token in chosen]
    assert (margins(logits, others, sampling, 30) > 0).all()


def test_sampling_follows_the_distribution():
    logits = np.log(np.array([0.5, 0.3, 0.15, 0.05], dtype=np.float32))
    drawn = [choose(logits, Sampling(9, NODE, 1_000_000, 1_000_000), p) for p in range(4000)]
    assert np.bincount(drawn, minlength=4) / 4000 == pytest.approx([0.5, 0.3, 0.15, 0.05], abs=0.025)
    cut = [choose(logits, Sampling(9, NODE, 1_000_000, 800_000), p) for p in range(500)]
    assert set(cut) == {0, 1}


def test_a_tie_at_the_top_goes_to_the_lower_id():
    logits = np.array([1.0, 3.0, 3.0], dtype=np.float32)
    assert choose(logits, Sampling(), 0) == 1
    assert margins(np.stack([logits, logits]), [2, 0], Sampling(), 0).tolist() == [0.0, 2.0]


def test_the_tolerant_edge_forgives_a_token_just_outside():
    logits = np.log(np.array([0.6, 0.349, 0.051], dtype=np.float32))
    sampling = Sampling(3, NODE, 1_000_000, 948_000)
    assert margins(logits[None], [2], sampling, 0)[0] == math.inf
    assert math.isfinite(margins(logits[None], [2], sampling, 0, TOLERANCE)[0])


def test_noise_can_outweigh_a_logit_but_no_token_is_below_zero():
    rng = np.random.default_rng(5)
    logits = rng.normal(0, 2, (20, 50)).astype(np.float32)
    for top_p in (30_000, 500_000, 970_000):
        found = margins(logits, rng.integers(0, 50, 20), Sampling(1, NODE, 900_000, top_p), 7, TOLERANCE)
        assert (found >= 0).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("temperature", [0, 700_000])
def test_broken_logits_are_refused(bad, temperature):
    logits = np.zeros(10, dtype=np.float32)
    logits[4] = bad
    with pytest.raises(ValueError, match="not finite"):
        choose(logits, Sampling(temperature=temperature), 0)
    with pytest.raises(ValueError, match="not finite"):
        margins(logits[None], [1], Sampling(temperature=temperature), 0)


def test_shapes_and_ids_are_checked():
    logits = np.zeros((2, 10), dtype=np.float32)
    for tokens in ([1], [1, 10], [-1, 0]):
        with pytest.raises(ValueError, match=r"do not fit|outside the vocabulary"):
            margins(logits, tokens, Sampling(), 0)
    assert margins(np.zeros((0, 10), dtype=np.float32), [], Sampling(), 0).shape == (0,)


def test_settings_out_of_range_are_refused():
    for kwargs in ({"seed": -1}, {"node": b"short"}, {"temperature": -1}, {"top_p": 1 << 32}):
        with pytest.raises(ValueError, match=r"must be|is 20 bytes"):
            Sampling(**kwargs)
