"""How long things take here: a check, and a transaction."""

import math
from collections.abc import Mapping

from agents.market.court import Case
from agents.market.reads import Market
from agents.node.court.library import Library
from agents.node.models import ServedModel
from agents.node.settings import NodeSettings

_SECONDS_TO_SEND = 2


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

    def at_hand(self, case: Case) -> bool:
        """Whether an engine that runs already can repeat this work."""
        return self._library.at_hand(case.model_id, case.version, case.tokens)

    def seconds(self, case: Case) -> float | None:
        """How long a check takes in an engine that runs, with what it does already; None where none is."""
        if not self.at_hand(case):
            return None
        model = self._served[case.model_id, case.version]
        speed, stats = model.speed, model.engine.stats()
        alone = speed.alone(case.tokens, 0)
        if case.temperature:
            alone += case.output_tokens * speed.costs.sample
        return speed.of_late(alone) * (1 + stats.running + stats.waiting)
