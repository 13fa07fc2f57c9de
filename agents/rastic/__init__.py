"""RASTiC: whether an output is what the model says. Pure maths over margins; no I/O (docs/rastic.md)."""

from agents.rastic.claim import Claim
from agents.rastic.judge import CLIP, FULL_WEIGHT, judge
from agents.rastic.truncation import truncation
from agents.rastic.verdict import Action, Condition, Failure, Mode, Verdict

__all__ = [
    "CLIP",
    "FULL_WEIGHT",
    "Action",
    "Claim",
    "Condition",
    "Failure",
    "Mode",
    "Verdict",
    "judge",
    "truncation",
]
