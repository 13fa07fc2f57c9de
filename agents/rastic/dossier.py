"""What one client knows against one node on one model version, answer by answer, in the tolerant tier.

A near impostor passes most single checks; many of its answers do not (sequential.py). The statistic is an
answer's mean margin over the manifest's refuse threshold for means, so that one bet serves every calibrated
model: how often honest answers reach each part of that threshold is bounded from 300 a way of sampling
(docs/rastic.md), by the worst mean that any first part of an answer has. For another model that is an
assumption, as good as its thresholds are.

Storage is the caller's: `dump` before the next answer, `load` after a restart.
"""

import json
import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from agents.protocol.manifest import Thresholds
from agents.rastic.judge import CLIP, mean_margin
from agents.rastic.sequential import Bet, Evidence

_NOTHING = Evidence()

FALSE_ALARMS = 1e-3
"""Chance that an honest node is ever accused, in its whole life with one client."""

_VERSION = 1
_KEPT = 0.1
_CHANCES = (0.572, 0.317, 0.151, 0.090, 0.050, 0.035, 0.0164)
"""Of an honest answer to reach each edge: exact bounds, 95 % for all together."""

_PAYOFFS = tuple((1 - _KEPT) / len(_CHANCES) / chance for chance in _CHANCES)
GREEDY = Bet((0.0493, 0.0977, 0.1462, 0.2060, 0.2748, 0.3099, 0.4336), _CHANCES, _PAYOFFS, _KEPT)
SAMPLED = Bet((0.0854, 0.1394, 0.2218, 0.2760, 0.3346, 0.3704, 0.4145), _CHANCES, _PAYOFFS, _KEPT)


class BadDossier(Exception):
    """What was stored is no dossier: delete it; the evidence starts anew."""


@dataclass(frozen=True, slots=True)
class Dossier:
    """Start with Dossier(). accused_at: after how many answers the alarm was reached, for good; or None."""

    evidence: Evidence = _NOTHING
    accused_at: int | None = None

    @property
    def accused(self) -> bool:
        """Whether to buy nothing from this node any more: once reached, it stays."""
        return self.accused_at is not None

    def after(self, margins: ArrayLike, thresholds: Thresholds, *, greedy: bool) -> "Dossier":
        """With one more answer, by the margins of its tokens (logits, scored with the tolerant δ).

        Every checked answer counts, whatever its verdict; one of no tokens counts nothing.

        Raises:
            ValueError: a margin is negative or not a number, or the threshold for means is 0.
        """
        found = np.asarray(margins, dtype=np.float64)
        if found.size == 0:
            return self
        if not (found >= 0).all() or thresholds.refuse_mean <= 0:
            raise ValueError("margins are at least 0, and the refuse threshold for means above it")
        statistic = mean_margin(np.minimum(found, CLIP)) / (thresholds.refuse_mean * 1e-6)
        evidence = self.evidence.after((GREEDY if greedy else SAMPLED).value(statistic))
        if self.accused or not evidence.alarm(FALSE_ALARMS):
            return replace(self, evidence=evidence)
        return Dossier(evidence, evidence.answers)

    def explain(self) -> str:
        """A sentence for a person."""
        if self.accused_at is not None:
            return (
                f"its first {self.accused_at} answers together are not what this model says: an honest node "
                f"would ever be accused with a chance below 1 in {1 / FALSE_ALARMS:,.0f}"
            )
        checked = f"{self.evidence.answers} answers checked"
        share = self.evidence.log_worth / -math.log(FALSE_ALARMS)
        return (
            f"{checked}, {share:.0%} on the way to an accusation"
            if share > 0
            else f"{checked}, nothing against it"
        )

    def dump(self) -> str:
        """As a line of JSON."""
        started = self.evidence.log_started
        fields: dict[str, Any] = {
            "v": _VERSION,
            "answers": self.evidence.answers,
            "started": None if started == -math.inf else started,
            "accused": self.accused_at,
        }
        return json.dumps(fields, separators=(",", ":"))

    @classmethod
    def load(cls, text: str) -> "Dossier":
        """What `dump` gave.

        Raises:
            BadDossier: it gave something else.
        """
        try:
            fields = json.loads(text)
            version, answers, started, accused = (fields[k] for k in ("v", "answers", "started", "accused"))
        except (ValueError, TypeError, KeyError):
            raise BadDossier("this is no dossier: delete it, the evidence starts anew") from None
        numbers = (answers, 0 if accused is None else accused)
        sound = all(isinstance(n, int) and not isinstance(n, bool) and n >= 0 for n in numbers)
        if started is None:
            started = -math.inf
        elif not isinstance(started, float | int) or not math.isfinite(started):
            sound = False
        if version != _VERSION or not sound or (accused or 0) > answers:
            raise BadDossier("this dossier is of another version or damaged: delete it")
        return cls(Evidence(answers, float(started)), accused)
