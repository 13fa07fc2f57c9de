"""From margins to a verdict, in the exact and the tolerant tier."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from agents.protocol.manifest import Thresholds, Verification
from agents.protocol.messages import Finish
from agents.rastic.claim import Claim
from agents.rastic.truncation import truncation
from agents.rastic.verdict import Action, Condition, Failure, Mode, Statistic, Verdict

CLIP = 1.0
"""Most logits that one position adds to the mean, so that the mean tells many small errors from one large."""

FULL_WEIGHT = 32
"""The mean divides by at least so many positions: a few tokens are too little evidence for a mean."""

_MICRO = 1e-6


def judge(claim: Claim, margins: ArrayLike, verification: Verification, mode: Mode) -> Verdict:
    """Judge a whole output by its margins (float, one a token, in logits; infinite outside the nucleus).

    The margins must be those of the tier: scored with tolerance 0 for exact, δ for tolerant.

    Raises:
        ValueError: not one margin a token, or a margin that is negative or not a number.
    """
    found = np.asarray(margins, dtype=np.float64)
    if found.shape != (len(claim.tokens),):
        raise ValueError(f"{len(claim.tokens)} tokens need as many margins, not {found.shape}")
    if not (found >= 0).all():
        raise ValueError("a margin is negative or not a number: the score is broken, score again")
    mean = mean_margin(found)
    if failure := truncation(claim):
        action: Action | None = Action.SLASH  # seen from the tokens alone, whatever the arithmetic
    elif mode is Mode.EXACT:
        failure, action = _exact(claim, found, verification.exact.slash_max * _MICRO)
    else:
        tier = verification.tolerant.greedy if claim.greedy else verification.tolerant.sampled
        failure, action = _tolerant(claim, found, mean, tier)
    return Verdict(
        action=action or Action.ACCEPT,
        mode=mode,
        positions=found.size,
        max_margin=float(found.max(initial=0.0)),
        mean_margin=mean,
        failure=failure,
    )


def mean_margin(margins: NDArray[np.float64]) -> float:
    """Mean of margins clipped at `CLIP`, over at least `FULL_WEIGHT` positions."""
    return float(np.minimum(margins, CLIP).sum() / max(margins.size, FULL_WEIGHT))


_Finding = tuple[Failure, Action] | tuple[None, None]


def _exact(claim: Claim, margins: NDArray[np.float64], slash_max: float) -> _Finding:
    if (margins >= slash_max).any():
        return _at(claim, margins, margins >= slash_max, slash_max), Action.SLASH
    if margins.any():
        return _at(claim, margins, margins > 0, 0.0), Action.REFUSE
    return None, None


def _tolerant(claim: Claim, margins: NDArray[np.float64], mean: float, tier: Thresholds) -> _Finding:
    slash_max, slash_mean = tier.slash_max * _MICRO, tier.slash_mean * _MICRO
    refuse_max, refuse_mean = tier.refuse_max * _MICRO, tier.refuse_mean * _MICRO
    if (margins >= slash_max).any():
        return _at(claim, margins, margins >= slash_max, slash_max), Action.SLASH
    if mean >= slash_mean:
        return _on_average(mean, slash_mean), Action.SLASH
    if (margins > refuse_max).any():
        return _at(claim, margins, margins > refuse_max, refuse_max), Action.REFUSE
    if mean > refuse_mean:
        return _on_average(mean, refuse_mean), Action.REFUSE
    return None, None


def _at(claim: Claim, margins: NDArray[np.float64], failed: NDArray[np.bool_], threshold: float) -> Failure:
    # the first position that fails: later ones may only follow from it
    position = int(np.argmax(failed))
    margin = float(margins[position])
    if position == len(margins) - 1 and claim.finish is Finish.END:
        condition, what = Condition.TRUNCATION, "the model would not have ended here"
    elif position == 0:
        condition, what = Condition.CONTINUITY, "the model would not have begun so"
    else:
        condition, what = Condition.INTEGRITY, "the model would have said something else"
    much = f"by {margin:.6f} logits" if np.isfinite(margin) else "not in its nucleus"
    reason = f"at token {position} {what} ({much}, {threshold:g} allowed)"
    return Failure(condition, reason, position, Statistic.MARGIN, margin, threshold)


def _on_average(mean: float, threshold: float) -> Failure:
    reason = f"its tokens are off by {mean:.3f} logits on average ({threshold:g} allowed)"
    return Failure(Condition.INTEGRITY, reason, None, Statistic.MEAN, mean, threshold)
