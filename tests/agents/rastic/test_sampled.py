"""The paper's mode: indices nobody can foresee, and detection as its closed form says."""

import numpy as np
import pytest

from agents.protocol.manifest import Verification
from agents.protocol.messages import Finish
from agents.rastic import Action, Claim, Condition, Mode
from agents.rastic.sampled import detection, detection_of, indices, judge_sampled, positions_needed, seed

VERIFICATION = Verification.model_validate_json("""
{"exact":{"slash_max":20000},
 "tolerant":{"greedy":{"refuse_max":600000,"refuse_mean":50000,"slash_max":1500000,"slash_mean":250000},
             "sampled":{"refuse_max":1200000,"refuse_mean":50000,"slash_max":2600000,"slash_mean":250000}}}
""")


def seeds(count):
    return [seed(bytes(32), bytes(32), i.to_bytes(32, "big")) for i in range(count)]


def claim(count):
    return Claim(tuple(range(10, 10 + count)), Finish.LENGTH, count, frozenset({2}), True)


def test_indices_are_different_interior_and_ascending():
    for drawn in seeds(50):
        found = indices(drawn, 40, 5)
        assert len(set(found)) == 5
        assert list(found) == sorted(found)
        assert 1 <= min(found) <= max(found) <= 38


def test_every_interior_position_is_as_likely():
    counts = np.zeros(12)
    for drawn in seeds(6_000):
        counts[list(indices(drawn, 12, 3))] += 1
    assert counts[0] == counts[11] == 0
    expected = 6_000 * 3 / 10
    chi_squared = ((counts[1:11] - expected) ** 2 / expected).sum()
    assert chi_squared < 27.9  # 9 degrees of freedom, 1 in 1,000


def test_the_seed_depends_on_all_that_was_committed_and_on_the_beacon():
    a, b = bytes(32), bytes([1]) * 32
    assert len({seed(a, a, a), seed(b, a, a), seed(a, b, a), seed(a, a, b)}) == 4
    assert indices(seed(a, a, a), 500, 5) != indices(seed(a, a, b), 500, 5)
    with pytest.raises(ValueError, match="32 bytes"):
        seed(a, a, b"short")


@pytest.mark.parametrize(
    ("count", "k", "expected"), [(0, 3, ()), (2, 3, ()), (3, 3, (1,)), (5, 9, (1, 2, 3))]
)
def test_short_outputs_are_checked_whole(count, k, expected):
    assert indices(bytes(32), count, k) == expected


@pytest.mark.parametrize(("share", "k"), [(0.02, 3), (0.1, 3), (0.3, 3), (0.1, 8)])
def test_measured_detection_is_the_closed_form(share, k):
    """Wrong tokens anywhere in the interior, fresh seeds; k of 1,000 is all but with replacement."""
    count, runs = 1_002, 3_000
    wrong = round(share * 1_000)
    draw = np.random.Generator(np.random.Philox(key=5))
    margins = np.zeros(count)
    margins[1 + draw.choice(1_000, wrong, replace=False)] = 5.0
    caught = 0
    for drawn in seeds(runs):
        verdict = judge_sampled(claim(count), margins, indices(drawn, count, k), VERIFICATION, Mode.EXACT)
        caught += verdict.action is Action.SLASH
    exact = detection_of(wrong, 1_000, k)
    assert exact == pytest.approx(detection(share, k), abs=0.005)
    assert caught / runs == pytest.approx(exact, abs=4 * (exact * (1 - exact) / runs) ** 0.5)


def test_without_replacement_a_short_output_is_caught_more_often_than_the_closed_form_says():
    assert detection_of(1, 10, 3) == pytest.approx(0.3)
    assert detection(0.1, 3) == pytest.approx(0.271)
    assert detection_of(1, 3, 3) == 1.0
    assert detection_of(0, 10, 3) == detection(0.0, 3) == 0.0
    assert detection(1.0, 1) == 1.0


def test_the_positions_needed_are_enough_and_one_less_is_not():
    k = positions_needed(0.03, 0.999)
    assert detection(0.03, k) >= 0.999 > detection(0.03, k - 1)


def test_the_first_and_the_last_token_are_always_looked_at():
    for at, condition in ((0, Condition.CONTINUITY), (19, Condition.INTEGRITY)):
        margins = np.zeros(20)
        margins[at] = 1.0
        verdict = judge_sampled(claim(20), margins, (), VERIFICATION, Mode.EXACT)
        assert (verdict.action, verdict.failure.position) == (Action.SLASH, at)
        assert verdict.failure.condition is condition


def test_what_is_not_looked_at_is_not_seen_but_truncation_is():
    margins = np.zeros(20)
    margins[7] = 9.0
    assert judge_sampled(claim(20), margins, (3, 8), VERIFICATION, Mode.EXACT).accepted
    short = Claim(tuple(range(20)), Finish.LENGTH, 30, frozenset({40}), True)
    verdict = judge_sampled(short, np.zeros(20), (), VERIFICATION, Mode.TOLERANT)
    assert verdict.failure.condition is Condition.TRUNCATION
    with pytest.raises(ValueError, match="outside the output"):
        judge_sampled(claim(20), margins, (20,), VERIFICATION, Mode.EXACT)
