"""What so many failures in so many trials say about a rate: exact bounds (Clopper and Pearson 1934)."""

import math
from collections.abc import Callable


def upper_bound(failures: int, trials: int, confidence: float = 0.95) -> float:
    """A rate that is not exceeded, with `confidence`: one-sided, exact. 0 of n gives 1 − (1 − c)^(1/n), about
    3/n.

    Raises:
        ValueError: failures outside 0 to trials, no trials, or a confidence not between 0 and 1.
    """
    _check(failures, trials, confidence)
    if failures == trials:
        return 1.0
    return _solve(lambda rate: at_most(failures, trials, rate) > 1 - confidence)


def lower_bound(failures: int, trials: int, confidence: float = 0.95) -> float:
    """A rate that is reached, with `confidence`.

    Raises:
        ValueError: as `upper_bound`.
    """
    return 1.0 - upper_bound(trials - failures, trials, confidence)


def at_most(successes: int, trials: int, rate: float) -> float:
    """The chance of at most so many successes."""
    if rate <= 0:
        return 1.0
    if rate >= 1:
        return float(successes >= trials)
    return math.fsum(math.exp(_log_chance(i, trials, rate)) for i in range(successes + 1))


def _log_chance(successes: int, trials: int, rate: float) -> float:
    ways = math.lgamma(trials + 1) - math.lgamma(successes + 1) - math.lgamma(trials - successes + 1)
    return ways + successes * math.log(rate) + (trials - successes) * math.log1p(-rate)


def _solve(too_low: Callable[[float], bool]) -> float:
    low, high = 0.0, 1.0
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if too_low(middle) else (low, middle)
    return high


def _check(failures: int, trials: int, confidence: float) -> None:
    if trials < 1 or not 0 <= failures <= trials:
        raise ValueError(
            f"{failures} failures in {trials} trials: there must be a trial, and no more failures"
        )
    if not 0 < confidence < 1:
        raise ValueError("a confidence lies between 0 and 1")
