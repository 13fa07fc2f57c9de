"""Thresholds from honest answers: held to their target on fresh answers, and honest about what is proven."""

import math

import numpy as np
import pytest

from agents.protocol.manifest import Thresholds
from agents.rastic.binomial import at_most, lower_bound, upper_bound
from agents.rastic.calibration import CalibrationError, calibrate, worst_mean
from agents.rastic.tail import fit_tail


def honest(count, key, spread=0.08, share=0.03):
    """Margins as measured: most are 0, a few are small and roughly exponential."""
    draw = np.random.Generator(np.random.Philox(key=key))
    answers = []
    for size in draw.integers(20, 257, count):
        off = draw.random(size) < share
        answers.append(np.where(off, draw.exponential(spread, size), 0.0))
    return answers


def test_thresholds_hold_their_target_on_fresh_answers():
    target = 0.01
    found = calibrate(honest(300, 1), target=target)
    fresh = honest(4_000, 2)
    refused = sum(m.max() > found.refuse_max or worst_mean(m) > found.refuse_mean for m in fresh)
    assert upper_bound(refused, len(fresh)) < 1.5 * target
    assert refused <= target * len(fresh)


def test_thresholds_are_no_larger_than_they_need_be():
    found = calibrate(honest(300, 1), target=1e-4)
    true_quantile = 0.08 * math.log(0.03 * 256 / 0.5e-4)
    assert true_quantile * 0.8 < found.refuse_max < true_quantile * 2
    assert found.refuse_mean < 0.1  # an impostor's is several times that


def test_an_impostor_is_refused_by_them():
    found = calibrate(honest(300, 1))
    cheats = honest(50, 3, spread=0.8, share=0.3)
    assert all(m.max() > found.refuse_max or worst_mean(m) > found.refuse_mean for m in cheats)


def test_slashing_stands_far_above_refusing_and_the_manifest_takes_it():
    found = calibrate(honest(100, 4))
    assert found.slash_max >= 2 * found.refuse_max
    assert found.slash_mean >= 2 * found.refuse_mean
    thresholds = found.thresholds()
    assert isinstance(thresholds, Thresholds)
    assert thresholds.refuse_max >= found.refuse_max * 1e6 > thresholds.refuse_max - 1


def test_it_says_what_the_sample_proves():
    found = calibrate(honest(300, 1))
    assert (found.answers, found.rejected) == (300, 0)
    assert found.proven == pytest.approx(1 - 0.05 ** (1 / 300))
    assert found.proven > found.target  # 300 answers do not prove 1 in 10,000, and it does not say so


def test_more_trust_and_rarer_rejects_cost_larger_thresholds():
    sample = honest(200, 5)
    base = calibrate(sample)
    assert calibrate(sample, target=1e-6).refuse_max > base.refuse_max
    assert calibrate(sample, confidence=0.99).refuse_max >= base.refuse_max
    assert calibrate(sample, length=2_048).refuse_max > base.refuse_max
    assert calibrate(sample) == base


def test_exact_answers_get_the_floors():
    found = calibrate([np.zeros(64)] * 60)
    assert (found.refuse_max, found.refuse_mean) == (0.05, 0.002)


def test_samples_that_can_not_carry_a_calibration_are_refused():
    with pytest.raises(CalibrationError, match="too few"):
        calibrate(honest(49, 1))
    with pytest.raises(CalibrationError, match="answer 3"):
        calibrate([*honest(3, 1), np.array([0.0, math.inf]), *honest(60, 1)])
    with pytest.raises(ValueError, match="between 0 and 1"):
        calibrate(honest(60, 1), target=0)


def test_the_worst_mean_is_that_of_the_worst_cut():
    early = np.zeros(256)
    early[:8] = 0.5
    assert worst_mean(early) == pytest.approx(4 / 32)
    assert worst_mean(np.array([5.0])) == pytest.approx(1 / 32)  # clipped
    assert worst_mean(np.array([])) == 0


@pytest.mark.parametrize(("shape", "quantile"), [(0.0, -math.log(1e-3)), (0.25, (1e-3**-0.25 - 1) / 0.25)])
def test_a_tail_is_found_again(shape, quantile):
    uniform = np.random.Generator(np.random.Philox(key=9)).random(50_000)
    sample = -np.log(uniform) if shape == 0 else (uniform**-shape - 1) / shape
    tail = fit_tail(sample, 0.2)
    assert tail.shape == pytest.approx(shape, abs=0.05)
    assert tail.quantile(1e-3) == pytest.approx(quantile, rel=0.1)
    assert tail.beyond(tail.quantile(1e-5)) == pytest.approx(1e-5)
    assert tail.beyond(0) == tail.rate == pytest.approx(0.2, abs=1e-3)


def test_a_tail_of_too_few_values_is_none():
    assert fit_tail([*range(50)], 0.1) is None
    assert fit_tail(np.zeros(1_000)) is None
    with pytest.raises(ValueError, match="finite"):
        fit_tail([1.0, math.inf])


@pytest.mark.parametrize(
    ("failures", "trials", "bound"), [(0, 300, 0.0099362), (1, 10, 0.394163), (5, 100, 0.102253)]
)
def test_exact_bounds(failures, trials, bound):
    """Values of the Clopper–Pearson interval as tabulated (beta quantiles)."""
    found = upper_bound(failures, trials)
    assert found == pytest.approx(bound, rel=1e-4)
    assert at_most(failures, trials, found) == pytest.approx(0.05)
    assert lower_bound(trials - failures, trials) == pytest.approx(1 - bound, rel=1e-4)


def test_bounds_at_the_ends():
    assert upper_bound(4, 4) == 1.0
    assert lower_bound(0, 4) == 0.0
    with pytest.raises(ValueError, match="trial"):
        upper_bound(0, 0)
