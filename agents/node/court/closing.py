"""The end of disputes: closing those that nothing can change any more, and what they brought."""

import logging
import time
from collections.abc import Callable

from eth_abi.abi import encode
from eth_utils.crypto import keccak

from agents.market.court import Court, Ruling
from agents.market.reads import Market
from agents.node.court.docket import CLOSED, Docket, Note, Outcome
from agents.node.court.sending import Sending
from agents.node.court.timing import Timing
from agents.node.court.view import NEVER, View

log = logging.getLogger(__name__)

_PAID = "0x" + keccak(text="Paid(address,address,uint256)").hex()
_BALLOTS = 16
_A_WHILE = 30


class Closing:
    """Anyone may close; so that not all members send at once, each waits in its turn."""

    def __init__(
        self,
        docket: Docket,
        court: Court,
        market: Market,
        sending: Sending,
        timing: Timing,
        node: str,
        own: Callable[[bytes], bool],
    ) -> None:
        self._docket = docket
        self._court = court
        self._market = market
        self._sending = sending
        self._timing = timing
        self._node = node
        self._own = own
        self._final_since: dict[bytes, float] = {}
        self._nodes: dict[int, str] = {}

    def close(self, view: View) -> int:
        """Of a dispute that is Final; the chain time until which there is nothing to do."""
        first = self._court.round(view.id, 0)
        if first.closed:
            return view.now + _A_WHILE  # its log is on the way
        if not self._concerned(view) or view.opened.unreadable:
            return NEVER  # without its case nobody can close it
        since = self._final_since.setdefault(view.id, time.monotonic())
        if time.monotonic() - since < self._turn(view) * self._timing.lag():
            return 0
        data = self._court.contract.data("close", view.opened.opener, view.opened.case.as_tuple())
        self._sending.see_to(view.name, "close", self._court.address, data)
        return 0

    def _concerned(self, view: View) -> bool:
        return view.own or bool(view.places) or bool(self._sat_in(view.id))

    def _turn(self, view: View) -> int:
        """The members of the round that ran last by their index, then everybody else."""
        size = len(view.panel.members) if view.panel else 0
        return min(view.places, default=size)

    def _sat_in(self, key: bytes) -> list[int]:
        """The ballots (16 · round + index) that were this node's in the panels that were drawn."""
        return [
            _BALLOTS * int(note.facts["round"]) + index
            for note in self._docket.notes(key, "PanelDrawn")
            for index, seat in enumerate(note.facts["seats"])
            if self._node_of(seat) == self._node
        ]

    def _node_of(self, seat: int) -> str:
        if seat not in self._nodes:
            self._nodes[seat] = self._court.seat(seat).node
        return self._nodes[seat]

    def settle(self) -> int:
        """Write down what came of disputes that were closed; of how many."""
        ended = self._docket.unsettled()
        for key in ended:
            self._final_since.pop(key, None)
            outcome = self._outcome(key)
            self._docket.settle(outcome)
            self._tell(outcome)
        return len(ended)

    def _outcome(self, key: bytes) -> Outcome:
        closed, sat = self._docket.notes(key, CLOSED)[-1], self._sat_in(key)
        revealed = {int(note.facts["ballot"]) for note in self._docket.notes(key, "VoteRevealed")}
        try:
            own = self._own(key)
        except KeyError:
            own = False
        return Outcome(
            id=key,
            ruling=int(closed.facts["ruling"]),
            places=len(sat),
            silent=sum(ballot not in revealed for ballot in sat),
            earned=self._earned(closed) if sat or own else 0,
            own=own,
            ended_at=self._market.clock.now(),
            block=closed.block,
        )

    def _earned(self, closed: Note) -> int:
        """What the court paid this node when it closed, in base units."""
        topics = [_PAID, *("0x" + encode(["address"], [a]).hex() for a in (self._court.address, self._node))]
        logs = self._market.connection.logs(
            [self._market.vault.address], closed.block, closed.block, topics=topics
        )
        return sum(int.from_bytes(entry.data, "big") for entry in logs if entry.tx_hash == closed.tx_hash)

    def _tell(self, outcome: Outcome) -> None:
        if not (outcome.places or outcome.own):
            return
        fields = {
            "dispute": "0x" + outcome.id.hex(),
            "ruling": Ruling(outcome.ruling).name,
            "earned": outcome.earned,
            "places": outcome.places,
        }
        if outcome.own:
            log.warning("the dispute over an answer of ours is closed", extra=fields)
        else:
            log.info("a dispute is closed", extra=fields)
        if outcome.silent:
            fine = self._market.money(outcome.silent * self._court.terms.silent_fine)
            log.error(
                "%d of our seats were silent and lose %s, and their places: see `agent node seat list`",
                outcome.silent, fine, extra=fields,
            )  # fmt: skip
