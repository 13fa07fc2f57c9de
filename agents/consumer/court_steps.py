"""What anybody may do for a dispute, one step at a time: draw its panel, appeal, close."""

from collections.abc import Callable
from dataclasses import dataclass

from agents.chain.errors import Reverted
from agents.chain.outbox import Intent
from agents.consumer.errors import NotEnoughMoney
from agents.consumer.matter import APPEAL, Matter, waits_for
from agents.consumer.sending import Sending
from agents.market.amounts import plain
from agents.market.court import Court, Phase, Ruling, Standing
from agents.market.court_calls import appeal_data
from agents.market.events import Events
from agents.market.reads import Market


@dataclass(frozen=True, slots=True)
class Move:
    """What came of a step. `action` and `intent`: what was sent, if anything. `closed`: the court is done.
    `undrawn`: its panel is not drawn, and if nobody does that in time, what was paid is lost. `until`: chain
    time when what is waited for is over by itself, 0 for never."""

    action: str = ""
    intent: Intent | None = None
    closed: bool = False
    undrawn: bool = False
    until: int = 0
    waits_for: str = ""

    @property
    def moved(self) -> bool:
        return bool(self.action)


class CourtSteps:
    """Steps of disputes, by one account. Every step begins by reading the court."""

    def __init__(
        self, market: Market, events: Events, sending: Sending, account: str, say: Callable[[str], None]
    ) -> None:
        self._market = market
        self._events = events
        self._sending = sending
        self._account = account
        self._say = say

    def step(self, court: Court, matter: Matter, *, appeal: bool = False) -> Move:
        """Do what is due.

        Args:
            appeal: fund an appeal against a first round that dismissed the challenge.

        Raises:
            NotEnoughMoney, Unfinished, IntentTimeout, OutOfGasMoney, ChainError: nothing is lost.
        """
        block = self._events.last()
        standing = court.standing(matter.id, block)
        if standing.phase is Phase.NONE:
            return Move(waits_for="the dispute to show on chain")
        first = court.round(matter.id, 0, block)
        if first.closed:
            return Move(closed=True)
        ruling = court.ruling(matter.id, block)
        match standing.phase:
            case Phase.DRAWING if self._can_draw(court, matter, standing):
                self._say("drawing the panel")
                action = "drawAppeal" if standing.round else "draw"
                return self._send(court, matter, action, court.contract.data("draw", matter.id), standing)
            case Phase.APPEALABLE if appeal and ruling is Ruling.DISMISSED:
                return self.appeal(court, matter, standing)
            case Phase.FINAL:
                self._say(f"the court's ruling: {ruling.name.lower()}")
                data = court.contract.data("close", matter.opener, matter.case.as_tuple())
                return self._send(court, matter, "close", data, standing)
        now = first if standing.round == 0 else court.round(matter.id, 1, block)
        seats = court.terms.appeal_seats if standing.round else court.terms.first_seats
        undrawn = standing.phase is Phase.DRAWING
        text = waits_for(standing, now, seats, ruling)
        return Move(undrawn=undrawn, until=standing.until, waits_for=text)

    def appeal(self, court: Court, matter: Matter, standing: Standing) -> Move:
        """Fund the appeal of a dispute that is Appealable. Raises as `step`."""
        cost, have = court.appeal_cost(matter.case.tokens), self._market.balance(self._account)
        if have < cost:
            money = self._market.money
            raise NotEnoughMoney(
                f"an appeal costs {money(cost)}, of which {money(cost - have)} are missing: run `agent "
                f"deposit {plain(cost - have, self._market.unit[1])}` and `agent appeal {matter.name[:14]}` "
                f"before chain time {standing.until}"
            )
        self._say(f"appealing for {self._market.money(cost)}")
        data = appeal_data(self._market, court, matter.opener, matter.case)
        return self._send(court, matter, APPEAL, data, standing, to=self._market.vault.address)

    def _can_draw(self, court: Court, matter: Matter, standing: Standing) -> bool:
        """The first vote draws, too; who waits for that may wait in vain, and pays with the bond."""
        try:
            court.panel(matter.id, standing.round)
        except Reverted:
            return False  # no randomness yet, or none any more
        return True

    def _send(
        self,
        court: Court,
        matter: Matter,
        action: str,
        data: bytes,
        standing: Standing,
        to: str | None = None,
    ) -> Move:
        """`standing`: when this was found due, and the dispute was not closed."""

        def state() -> object:
            return court.standing(matter.id), court.round(matter.id, 0).closed

        before = standing, False
        intent = self._sending.send(matter.subject, action, to or court.address, data, before, state)
        return Move(action=action, intent=intent)
