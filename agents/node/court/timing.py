"""How long things take here: a check, and a transaction."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from agents.market.court import Case, CourtTerms
from agents.market.reads import Market
from agents.node.court.checks import Lane
from agents.node.court.library import Library
from agents.node.models import ServedModel
from agents.node.settings import NodeSettings
from agents.node.speed import Speed
from agents.protocol.messages import MAX_TOKENS

_SECONDS_TO_SEND = 2
_OPTIMISM = 2.0
"""How many times faster than measured at start a check may turn out."""


class Timing:
    """Seconds, from what was measured at start and of late."""

    def __init__(
        self,
        market: Market,
        served: Mapping[tuple[int, int], ServedModel],
        library: Library,
        settings: NodeSettings,
    ) -> None:
        self._market = market
        self._served = served
        self._library = library
        self._settings = settings

    def lag(self) -> int:
        """From a decision until the block that takes its transaction."""
        deeper = self._settings.confirmations_on(self._market.chain_id) > 1
        blocks = 2 * self._market.clock.block_seconds() if deeper else 0.0
        return math.ceil(self._settings.poll_seconds + blocks) + _SECONDS_TO_SEND

    def lane(self, case: Case) -> Lane:
        """Who can repeat this work."""
        if self._library.at_hand(case.model_id, case.version, case.tokens):
            return Lane.ENGINE
        return Lane.OWN if self._library.serves(case.model_id, case.version) else Lane.FOREIGN

    def seconds(self, case: Case) -> float | None:
        """How long a check is expected to take, with what the engine does already; None for a model that does
        not run here.
        """
        if not self._library.serves(case.model_id, case.version):
            return None
        model = self._served[case.model_id, case.version]
        stats = model.engine.stats()
        return model.speed.of_late(_alone(model.speed, case)) * (1 + stats.running + stats.waiting)

    def least(self, case: Case) -> float:
        """Seconds without which not even an idle machine can make it: what is busy now may be idle soon, so
        nothing else is a reason not to try.
        """
        if not self._library.serves(case.model_id, case.version):
            return 0.0
        return _alone(self._served[case.model_id, case.version].speed, case) / _OPTIMISM


@dataclass(frozen=True, slots=True)
class Longest:
    """The longest evidence there can be about a model, `tokens`: `seconds` that an idle machine takes to
    check it at the speed measured at start, `room` that a round of the court leaves for it.
    """

    tokens: int
    seconds: float
    room: float

    @property
    def fits(self) -> bool:
        return self.seconds <= self.room

    def __str__(self) -> str:
        return (
            f"evidence of {self.tokens} tokens takes its machine {self.seconds:.0f} s to check when idle, "
            f"and there are {self.room:.0f} s for it: a vote that comes too late is fined as silence"
        )


def longest(model: ServedModel, terms: CourtTerms, lag: float) -> Longest:
    """Of one answer to a prompt of a token, sampled so that everything needs its noise."""
    tokens = min(model.manifest.context_length, MAX_TOKENS)
    seconds = model.speed.alone(tokens, 0) + tokens * model.speed.costs.sample
    return Longest(tokens, seconds, terms.commit_window - lag)


def _alone(speed: Speed, case: Case) -> float:
    alone = speed.alone(case.tokens, 0)
    return alone + case.output_tokens * speed.costs.sample if case.temperature else alone
