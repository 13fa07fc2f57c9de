"""Thresholds of the tolerant tier from the margins of honest answers.

Two statistics are held against a threshold (docs/rastic.md): the largest margin and the mean clipped margin.
Each gets half of the target rate. A target of 1 in 10,000 lies far beyond a sample of some hundred answers,
so the tail is extrapolated (tail.py), and the threshold is the upper end of a bootstrap over answers (Efron
1979), not the fit
itself: positions of one answer depend on each other, answers do not. What the sample proves without any model
is stated beside it: an exact binomial bound.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agents.protocol.manifest import Thresholds
from agents.rastic.binomial import upper_bound
from agents.rastic.judge import CLIP, FULL_WEIGHT
from agents.rastic.tail import fit_tail

TARGET = 1e-4
"""False rejects an answer, unless said otherwise."""

FEWEST = 50
"""Fewer honest answers than these carry no calibration."""

_SLASH_TARGET = 0.01
_SLASH_FACTOR = 2.0
_MARGIN_SHARE = 0.015
_MEAN_SHARE = 0.5

Margins = NDArray[np.float64]


class CalibrationError(Exception):
    """The honest sample can't carry a calibration; the message says what it lacks."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """Thresholds in logits, for answers of up to `length` tokens, and what they rest on.

    target: the false-reject rate an answer they were fitted to, by extrapolation, with `confidence`.
    rejected: how many of the `answers` honest ones the refuse thresholds refuse.
    proven: the false-reject rate that these answers alone exclude, with the same confidence, without a model.
    """

    refuse_max: float
    refuse_mean: float
    slash_max: float
    slash_mean: float
    target: float
    confidence: float
    length: int
    answers: int
    positions: int
    rejected: int
    proven: float

    def thresholds(self) -> Thresholds:
        """For a manifest: micro-logits, rounded up."""
        return Thresholds(
            refuse_max=math.ceil(self.refuse_max * 1e6),
            refuse_mean=math.ceil(self.refuse_mean * 1e6),
            slash_max=math.ceil(self.slash_max * 1e6),
            slash_mean=math.ceil(self.slash_mean * 1e6),
        )


def calibrate(
    honest: Sequence[Margins],
    *,
    target: float = TARGET,
    confidence: float = 0.95,
    length: int = 256,
    floor_max: float = 0.05,
    floor_mean: float = 0.002,
    resamples: int = 200,
) -> Calibration:
    """Fit thresholds to honest answers' margins, one float array of shape (tokens) each.

    They come from a judge of another bit class than the node, and hold every setting a node may choose. A
    refuse threshold lies neither below its floor nor below the largest value seen; a slash threshold is at
    least twice that, and the value that one in 100 / target honest answers exceeds, since a client can search
    for prompts on which an honest node is off. The same answers give the same thresholds.

    Raises:
        CalibrationError: too few answers, or a margin that is infinite, negative or not a number.
        ValueError: target or confidence is not between 0 and 1, or `length` or `resamples` not above 0.
    """
    if not (0 < target < 1 and 0 < confidence < 1 and length > 0 and resamples > 0):
        raise ValueError("target and confidence lie between 0 and 1, length and resamples above 0")
    answers = [np.asarray(margins, dtype=np.float64) for margins in honest if len(margins)]
    _check(answers)
    sizes = [len(margins) for margins in answers]
    largest = np.array([margins.max() for margins in answers])
    means = np.array([worst_mean(margins) for margins in answers])

    def margin_at(chosen: Sequence[int], chance: float) -> float:
        sample = np.concatenate([answers[i] for i in chosen])
        return _quantile(sample, _MARGIN_SHARE, -math.expm1(math.log1p(-chance) / length))

    def mean_at(chosen: Sequence[int], chance: float) -> float:
        return _quantile(means[list(chosen)], _MEAN_SHARE, chance)

    draw = np.random.Generator(np.random.Philox(key=1))
    resampled = [draw.integers(0, len(answers), len(answers)).tolist() for _ in range(resamples)]

    def fit(at: Callable[[Sequence[int], float], float], least: float) -> tuple[float, float]:
        bootstrap = [at(chosen, target / 2) for chosen in resampled]
        refuse = max(least, float(np.quantile(bootstrap, confidence)))
        rare = at(range(len(answers)), _SLASH_TARGET * target)
        return refuse, max(_SLASH_FACTOR * refuse, rare)

    refuse_max, slash_max = fit(margin_at, max(floor_max, float(largest.max())))
    refuse_mean, slash_mean = fit(mean_at, max(floor_mean, float(means.max())))
    rejected = int(((largest > refuse_max) | (means > refuse_mean)).sum())
    return Calibration(
        refuse_max=refuse_max,
        refuse_mean=refuse_mean,
        slash_max=slash_max,
        slash_mean=slash_mean,
        target=target,
        confidence=confidence,
        length=length,
        answers=len(answers),
        positions=sum(sizes),
        rejected=rejected,
        proven=upper_bound(rejected, len(answers), confidence),
    )


def worst_mean(margins: Margins) -> float:
    """The largest mean clipped margin that any first part of an answer has: a client may cut it anywhere."""
    sums = np.cumsum(np.minimum(margins, CLIP))
    counts = np.maximum(np.arange(1, margins.size + 1), FULL_WEIGHT)
    return float((sums / counts).max(initial=0.0))


def _quantile(sample: Margins, share: float, chance: float) -> float:
    tail = fit_tail(sample, share)
    return float(sample.max()) if tail is None else tail.quantile(chance)


def _check(answers: Sequence[Margins]) -> None:
    if len(answers) < FEWEST:
        raise CalibrationError(f"{len(answers)} honest answers are too few: give at least {FEWEST}")
    for number, margins in enumerate(answers):
        if not (np.isfinite(margins).all() and (margins >= 0).all()):
            raise CalibrationError(
                f"honest answer {number} has an infinite or negative margin: either it was not honest, or "
                "the node's setting moves the nucleus too far; fix that setting in the manifest and run again"
            )
