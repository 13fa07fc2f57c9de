"""What came of a check, for programs and for people."""

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Action(StrEnum):
    """What to do about an output."""

    ACCEPT = "accept"
    REFUSE = "refuse"
    """Do not approve or pay; too little for a dispute."""
    SLASH = "slash"
    """Do not pay, and a dispute should be won."""


class Condition(StrEnum):
    """The three conditions of the RASTiC paper."""

    CONTINUITY = "continuity"
    """The first token follows from the prompt."""
    INTEGRITY = "integrity"
    """Every later token follows from those before it."""
    TRUNCATION = "truncation"
    """The output ends where the model, the limit or the client ended it."""


class Mode(StrEnum):
    """By which rule an output was judged."""

    EXACT = "exact"
    TOLERANT = "tolerant"


class Statistic(StrEnum):
    """What was held against a threshold; none for the count and the place of end tokens."""

    MARGIN = "margin"
    MEAN = "mean margin"


@dataclass(frozen=True, slots=True)
class Failure:
    """The condition that failed, at which output position (from 0) if at one, and by how many logits."""

    condition: Condition
    reason: str
    position: int | None = None
    statistic: Statistic | None = None
    value: float | None = None
    threshold: float | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """Of a whole output. `max_margin` and `mean_margin` in logits, as docs/rastic.md defines them."""

    action: Action
    mode: Mode
    positions: int
    max_margin: float
    mean_margin: float
    failure: Failure | None = None

    @property
    def accepted(self) -> bool:
        """Whether to pay."""
        return self.action is Action.ACCEPT

    def to_json(self) -> dict[str, Any]:
        """JSON-ready; an infinite margin is the text "inf"."""
        failure = self.failure and {
            "condition": self.failure.condition.value,
            "reason": self.failure.reason,
            "position": self.failure.position,
            "statistic": self.failure.statistic and self.failure.statistic.value,
            "value": _number(self.failure.value),
            "threshold": self.failure.threshold,
        }
        return {
            "accepted": self.accepted,
            "action": self.action.value,
            "mode": self.mode.value,
            "positions": self.positions,
            "max_margin": _number(self.max_margin),
            "mean_margin": self.mean_margin,
            "failure": failure,
        }

    def explain(self) -> str:
        """One or two sentences for a person."""
        if self.failure is None:
            off = "exactly"
            if self.max_margin > 0:
                off = f"within tolerance (largest margin {self.max_margin:.3f}, mean {self.mean_margin:.3f})"
            return f"Accepted: {self.positions} tokens are what the model says, {off} ({self.mode} check)."
        head = "Refused, and worth a dispute" if self.action is Action.SLASH else "Refused"
        return f"{head}: {self.failure.condition} failed, {self.failure.reason} ({self.mode} check)."


def _number(value: float | None) -> float | str | None:
    return "inf" if value is not None and math.isinf(value) else value
