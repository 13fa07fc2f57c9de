"""How far a statistic goes beyond what was seen: the generalised Pareto distribution of exceedances.

Pickands 1975, Balkema and de Haan 1974; fitted by probability-weighted moments (Hosking and Wallis 1987),
which need no iteration and are the better choice for small samples with a shape below 1/2.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

LEAST = 10
"""Fewer exceedances than these say nothing about a tail."""


@dataclass(frozen=True, slots=True)
class Tail:
    """P(X > x) for x at least `start` is rate · (1 + shape·(x − start)/scale)^(−1/shape)."""

    start: float
    rate: float
    scale: float
    shape: float

    def beyond(self, value: float) -> float:
        """P(X > value); at most `rate` for values below `start`, where the tail says nothing."""
        if value <= self.start:
            return self.rate
        excess = (value - self.start) / self.scale
        if abs(self.shape) < 1e-9:
            return self.rate * math.exp(-excess)
        base = 1 + self.shape * excess
        return self.rate * math.pow(base, -1 / self.shape) if base > 0 else 0.0

    def quantile(self, chance: float) -> float:
        """The value that is exceeded with `chance`; `start` where that is more than `rate`.

        Raises:
            ValueError: the chance is not above 0.
        """
        if chance <= 0:
            raise ValueError("a tail has no end: ask for a chance above 0")
        if chance >= self.rate:
            return self.start
        ratio = chance / self.rate
        if abs(self.shape) < 1e-9:
            return self.start - self.scale * math.log(ratio)
        return self.start + self.scale * (math.pow(ratio, -self.shape) - 1) / self.shape


def fit_tail(sample: ArrayLike, share: float = 0.1) -> Tail | None:
    """Fit the largest `share` of a sample (any shape, finite); None when fewer than `LEAST` values are in it.

    Never fits a bounded tail: a shape below 0 is set to 0, the exponential, which errs towards larger values.

    Raises:
        ValueError: the sample is empty or not finite, or the share is not between 0 and 1.
    """
    values = np.sort(np.asarray(sample, dtype=np.float64), axis=None)
    if values.size == 0 or not np.isfinite(values).all():
        raise ValueError("a tail needs values, all of them finite")
    if not 0 < share < 1:
        raise ValueError("the share lies between 0 and 1")
    start = float(values[max(values.size - 1 - math.ceil(share * values.size), 0)])
    excess = values[values > start] - start
    if excess.size < LEAST:
        return None
    mean = float(excess.mean())
    ranks = np.arange(excess.size)
    weighted = float(((excess.size - 1 - ranks) / (excess.size - 1) * excess).mean())
    shape = 2 - mean / (mean - 2 * weighted) if mean > 2 * weighted else 0.0
    scale = 2 * mean * weighted / (mean - 2 * weighted) if shape > 0 else mean
    return Tail(start, excess.size / values.size, scale, max(shape, 0.0))
