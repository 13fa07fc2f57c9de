"""Merges: exact sums, weighted means, and the same bytes whoever makes them."""

import numpy as np
import pytest

from agents.tuning.adapter import MAX_RANK, Adapter, Layer
from agents.tuning.errors import BadAdapter
from agents.tuning.merge import average, concatenate, epoch

NAMES = ("blk.0.attn_q.weight", "blk.0.ffn_up.weight")
DRAW = np.random.default_rng(1)
COMMON = {name: DRAW.standard_normal((4, 16)).astype(np.float16) for name in NAMES}


def adapter(seed, *, common=True, rank=4, alpha=8.0, names=NAMES, drift=0.02):
    draw = np.random.default_rng(seed)
    layers = {}
    for name in names:
        start = COMMON[name] if common else draw.standard_normal((rank, 16)).astype(np.float16)
        a = (start + drift * draw.standard_normal(start.shape)).astype(np.float16)
        layers[name] = Layer(a, (0.1 * draw.standard_normal((12, rank))).astype(np.float16))
    return Adapter(alpha, layers)


def off(found, expected):
    return np.linalg.norm(found - expected) / np.linalg.norm(expected)


def test_concatenating_adds_changes_exactly():
    parts = [adapter(1), adapter(2, common=False), adapter(3)]
    merged = concatenate(parts)
    assert (merged.rank, merged.alpha, merged.scale) == (12, 24.0, 2.0)
    for name in NAMES:
        exact = sum(
            2.0 * p.layers[name].b.astype(np.float64) @ p.layers[name].a.astype(np.float64) for p in parts
        )
        assert off(merged.delta(name), exact) < 1e-6


def test_a_layer_that_only_one_changes_is_kept():
    merged = concatenate([adapter(1, names=NAMES[:1]), adapter(2, names=NAMES[1:])])
    for name, part in zip(NAMES, (adapter(1, names=NAMES[:1]), adapter(2, names=NAMES[1:])), strict=True):
        assert off(merged.delta(name), part.delta(name)) < 1e-6


def test_averaging_weighs_by_work_and_keeps_the_rank():
    parts = [adapter(1), adapter(2)]
    merged = average(parts, [300, 100])
    assert merged.rank == 4
    for name in NAMES:
        expected = 0.75 * parts[0].layers[name].b.astype(float) + 0.25 * parts[1].layers[name].b.astype(float)
        assert np.abs(merged.layers[name].b - expected).max() < 1e-3
        changes = 0.75 * parts[0].delta(name) + 0.25 * parts[1].delta(name)
        assert off(merged.delta(name), changes) < 0.05


def test_averaging_one_is_that_one():
    one = adapter(1)
    assert np.array_equal(average([one], [5]).layers[NAMES[0]].b, one.layers[NAMES[0]].b)


def test_no_work_counts_for_nothing():
    merged = average([adapter(1), adapter(2)], [7, 0])
    assert np.array_equal(merged.layers[NAMES[0]].b, adapter(1).layers[NAMES[0]].b)


def test_averaging_what_began_differently_is_refused():
    """It would be the mean of nothing: the change is far from the mean of the changes."""
    parts = [adapter(1), adapter(2, common=False)]
    with pytest.raises(BadAdapter, match="not begun from the first one's A"):
        average(parts, [1, 1])


@pytest.mark.parametrize(
    ("parts", "work", "why"),
    [
        ([], [], "one for each"),
        ([adapter(1)], [1, 2], "one for each"),
        ([adapter(1)], [0], "no work"),
        ([adapter(1), adapter(2, alpha=16.0)], [1, 1], "another rank, alpha"),
        ([adapter(1), adapter(2, names=NAMES[:1])], [1, 1], "other layers"),
    ],
)
def test_what_can_not_be_averaged_is_refused(parts, work, why):
    with pytest.raises(BadAdapter, match=why):
        average(parts, work)


def test_ranks_are_bounded():
    with pytest.raises(BadAdapter, match=f"may have {MAX_RANK}"):
        concatenate([adapter(n) for n in range(MAX_RANK // 4 + 1)])
    with pytest.raises(BadAdapter, match="different alpha / rank"):
        concatenate([adapter(1), adapter(2, alpha=9.0)])


def test_an_epoch_averages_shards_and_adds_functions_and_parent():
    parent = adapter(9, common=False)
    shards = {"b": [(adapter(1), 10), (adapter(2), 30)], "a": [(adapter(3), 5)]}
    merged = epoch(shards, parent)
    assert merged.rank == 12
    expected = parent.delta(NAMES[0]) + adapter(3).delta(NAMES[0])
    expected = expected + average([adapter(1), adapter(2)], [10, 30]).delta(NAMES[0])
    assert off(merged.delta(NAMES[0]), expected) < 1e-6
    backwards = dict(reversed(shards.items()))
    for name in NAMES:
        assert merged.layers[name].a.tobytes() == epoch(backwards, parent).layers[name].a.tobytes()


def test_a_merge_has_one_byte_form():
    pytest.importorskip("gguf", reason="gguf is not installed: `make test` brings it")
    parts = {"f": [(adapter(1), 10), (adapter(2), 30)]}
    assert epoch(parts, None).to_bytes() == epoch(parts, None).to_bytes()
