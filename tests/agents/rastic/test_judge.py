"""Verdicts from margins: which condition, where, by what threshold, and what to do."""

import json
import math

import pytest

from agents.protocol.manifest import Verification
from agents.protocol.messages import Finish
from agents.rastic import Action, Claim, Condition, Mode, judge, truncation

END = 2
VERIFICATION = Verification.model_validate(
    {
        "exact": {"slash_max": 20_000},
        "tolerant": {
            "greedy": {
                "refuse_max": 600_000,
                "refuse_mean": 50_000,
                "slash_max": 1_500_000,
                "slash_mean": 250_000,
            },
            "sampled": {
                "refuse_max": 1_200_000,
                "refuse_mean": 50_000,
                "slash_max": 2_600_000,
                "slash_mean": 250_000,
            },
        },
    }
)


def claim(tokens=(5, 6, 7, END), finish=Finish.END, max_tokens=8, greedy=True):
    return Claim(tuple(tokens), finish, max_tokens, frozenset({END}), greedy)


def exact(margins, **kwargs):
    return judge(claim(**kwargs), margins, VERIFICATION, Mode.EXACT)


def tolerant(margins, greedy=True):
    tokens = [5] * (len(margins) - 1) + [END]
    return judge(claim(tokens, max_tokens=1000, greedy=greedy), margins, VERIFICATION, Mode.TOLERANT)


def test_zero_margins_are_accepted_in_both_tiers():
    for mode in Mode:
        verdict = judge(claim(), [0, 0, 0, 0], VERIFICATION, mode)
        assert (verdict.action, verdict.failure, verdict.max_margin, verdict.mean_margin) == (
            Action.ACCEPT,
            None,
            0,
            0,
        )
        assert verdict.accepted
        assert verdict.explain().startswith("Accepted")


@pytest.mark.parametrize(
    ("margins", "action", "condition", "position", "threshold"),
    [
        ([1e-7, 0, 0, 0], Action.REFUSE, Condition.CONTINUITY, 0, 0.0),
        ([0, 0.0199, 0, 0], Action.REFUSE, Condition.INTEGRITY, 1, 0.0),
        ([0, 0, 0.02, 0], Action.SLASH, Condition.INTEGRITY, 2, 0.02),
        ([0, 0.01, 3.0, 0], Action.SLASH, Condition.INTEGRITY, 2, 0.02),
        ([math.inf, 0, 0, 0], Action.SLASH, Condition.CONTINUITY, 0, 0.02),
        ([0, 0, 0, 0.5], Action.SLASH, Condition.TRUNCATION, 3, 0.02),
    ],
)
def test_exact_tier(margins, action, condition, position, threshold):
    verdict = exact(margins)
    assert (verdict.action, verdict.mode) == (action, Mode.EXACT)
    assert (verdict.failure.condition, verdict.failure.position) == (condition, position)
    assert verdict.failure.threshold == pytest.approx(threshold)
    assert verdict.failure.value == margins[position]
    assert verdict.max_margin == max(margins)


def test_a_wrong_last_token_that_is_no_end_is_integrity():
    verdict = exact([0, 0, 0, 1], tokens=(5, 6, 7, 8), finish=Finish.CUT)
    assert verdict.failure.condition is Condition.INTEGRITY


@pytest.mark.parametrize(
    ("kwargs", "position"),
    [
        ({"tokens": (5, 6, 7)}, 2),  # ended, without an end token
        ({"tokens": ()}, 0),
        ({"tokens": (5, END, 7, END)}, 1),  # went on after the end
        ({"tokens": (5, END, 7), "finish": Finish.CUT}, 1),
        ({"tokens": (5, 6, 7), "finish": Finish.LENGTH}, 3),  # the tail cut off
        ({"tokens": (5,) * 9, "finish": Finish.LENGTH}, 8),
        ({"tokens": (5,) * 9, "finish": Finish.CUT}, 8),
        ({"tokens": (5,) * 9 + (END,)}, 8),
    ],
)
def test_bad_endings_fail_truncation_without_a_model(kwargs, position):
    bad = claim(**kwargs)
    failure = truncation(bad)
    assert (failure.condition, failure.position) == (Condition.TRUNCATION, position)
    for mode in Mode:
        verdict = judge(bad, [0.0] * len(bad.tokens), VERIFICATION, mode)
        assert (verdict.action, verdict.failure) == (Action.SLASH, failure)


@pytest.mark.parametrize(
    "kwargs",
    [
        {},
        {"tokens": (END,)},
        {"tokens": (5,) * 8, "finish": Finish.LENGTH},
        {"tokens": (5,) * 7 + (END,), "finish": Finish.LENGTH},
        {"tokens": (5, 6), "finish": Finish.CUT},
        {"tokens": (), "finish": Finish.CUT},
    ],
)
def test_good_endings(kwargs):
    assert truncation(claim(**kwargs)) is None


def test_tolerant_tier_has_two_thresholds_on_the_largest_margin():
    zeros = [0.0] * 99
    assert tolerant([*zeros, 0.6]).accepted
    refused = tolerant([0.61, *zeros])
    assert (refused.action, refused.failure.condition) == (Action.REFUSE, Condition.CONTINUITY)
    slashed = tolerant([*zeros[:50], 1.5, *zeros[:49]])
    assert (slashed.action, slashed.failure.position) == (Action.SLASH, 50)
    assert slashed.failure.threshold == pytest.approx(1.5)
    # a sampled answer is given more room
    assert tolerant([0.61, *zeros], greedy=False).accepted
    assert tolerant([1.5, *zeros], greedy=False).action is Action.REFUSE
    assert tolerant([2.6, *zeros], greedy=False).action is Action.SLASH
    assert tolerant([math.inf, *zeros], greedy=False).action is Action.SLASH


def test_tolerant_tier_has_two_thresholds_on_the_mean():
    assert tolerant([0.05] * 100).accepted
    refused = tolerant([0.06] * 100)
    assert (refused.action, refused.failure.position, refused.failure.statistic) == (
        Action.REFUSE,
        None,
        "mean margin",
    )
    assert tolerant([0.25] * 100).action is Action.SLASH


def test_few_tokens_are_too_little_evidence_for_a_mean():
    # one margin of an honest but unlucky machine must not slash because the answer is short
    assert tolerant([0.59]).accepted
    assert tolerant([0.59]).mean_margin == pytest.approx(0.59 / 32)
    assert tolerant([0.3] * 31).action is Action.SLASH


def test_one_huge_margin_is_clipped_in_the_mean():
    assert tolerant([math.inf] + [0.0] * 63, greedy=False).mean_margin == pytest.approx(1 / 64)


def test_broken_scores_are_refused():
    for margins in ([0, 0, 0], [0, 0, 0, math.nan], [0, 0, 0, -0.1]):
        with pytest.raises(ValueError, match=r"margin"):
            exact(margins)


def test_a_verdict_speaks_to_people_and_programs():
    verdict = exact([0, math.inf, 0, 0])
    text = json.dumps(verdict.to_json(), allow_nan=False)
    assert json.loads(text)["failure"] == {
        "condition": "integrity",
        "reason": verdict.failure.reason,
        "position": 1,
        "statistic": "margin",
        "value": "inf",
        "threshold": pytest.approx(0.02),
    }
    assert json.loads(text)["max_margin"] == "inf"
    assert "integrity failed" in verdict.explain()
    assert "token 1" in verdict.explain()
    assert json.loads(json.dumps(exact([0] * 4).to_json()))["accepted"] is True
