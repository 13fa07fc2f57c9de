"""A node's seats: which it has, since when they count, taking and leaving them."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from agents.chain.outbox import Intent, Outbox
from agents.market.court import Court, Seat
from agents.market.events import Events, TakenSeat
from agents.market.reads import Market
from agents.node.errors import NodeError, StakeError
from agents.node.stake import Staking

_DEEP = 256
Step = tuple[Any, ...]
"""A call: contract, function, arguments …"""


class SeatError(NodeError):
    """A seat can't be taken, left or released; the text says why and when."""


class SeatState(StrEnum):
    """Where a seat stands."""

    WAITING = "waiting"
    """Taken, and not drawn from yet."""
    SITTING = "sitting"
    LEFT = "left"
    """It owes its duty and its stake for a while yet."""
    PUNISHED = "punished"
    """It lost stake, and with it its place."""
    RELEASABLE = "releasable"
    RELEASED = "released"


@dataclass(frozen=True, slots=True)
class HeldSeat:
    """A seat and its times in chain seconds: in the pools from `counts_at`, drawn by disputes that are opened
    from `drawn_from` on.
    """

    number: int
    seat: Seat
    counts_at: int
    drawn_from: int
    state: SeatState

    @property
    def holds(self) -> bool:
        """Whether it is, or soon is, in the pools."""
        return self.state in (SeatState.WAITING, SeatState.SITTING)


def require_court(market: Market) -> Court:
    """Raises SeatError where there is none."""
    if market.court is None:
        raise SeatError(f"the market on chain {market.chain_id} has no court: there are no seats to take")
    return market.court


class SeatLog:
    """The seats a node ever took, read once and then only as far as blocks are new."""

    def __init__(self, market: Market, node: str) -> None:
        self._market = market
        self._node = node
        self._taken: list[TakenSeat] = []
        self._next: int | None = None

    def read(self) -> list[TakenSeat]:
        """Oldest first."""
        events = Events(self._market)
        last, since = events.last(), self._next
        fresh = events.seats(self._node, since)
        self._taken = [taken for taken in self._taken if since is not None and taken.block < since] + fresh
        # What a reorganisation may change is read again.
        self._next = max(self._market.start_block, last - _DEEP)
        return self._taken


def seats_of(market: Market, node: str, seats: SeatLog | None = None) -> list[HeldSeat]:
    """All seats a node ever took, oldest first; `seats` spares reading old blocks again."""
    court, now = require_court(market), market.clock.now()
    period, found = court.terms.period, []
    for taken in (seats or SeatLog(market, node)).read():
        seat, drawn_from = court.seat(taken.seat), (taken.from_period + 1) * period
        state = _state(seat, court.terms.seat_stake, drawn_from, now)
        found.append(HeldSeat(taken.seat, seat, taken.from_period * period, drawn_from, state))
    return found


def _state(seat: Seat, whole: int, drawn_from: int, now: int) -> SeatState:
    if not seat.leaves_at:
        return SeatState.WAITING if now < drawn_from else SeatState.SITTING
    if seat.leaves_at >= now:
        return SeatState.LEFT if seat.stake == whole else SeatState.PUNISHED
    return SeatState.RELEASABLE if seat.stake else SeatState.RELEASED


class Seating:
    """Seats by hand, by the owner's key or the operator's. Every verb waits until its transactions are done.

    Raises (every verb): SeatError, StakeError, and what `Outbox.wait` raises.
    """

    def __init__(self, market: Market, outbox: Outbox, node: str, *, patience: float = 300.0) -> None:
        self.market = market
        self.court = require_court(market)
        self._outbox = outbox
        self._node = node
        self._patience = patience

    def take(self, model_id: int, count: int, bit_class: bytes) -> list[HeldSeat]:
        """Take seats, with the stake for them; what is left to do where an earlier try was cut short."""
        if not model_id:
            raise SeatError("a seat is for a model: name one by --model")
        have = {seat.number for seat in seats_of(self.market, self._node)}
        self._finish_earlier()
        steps = stake_steps(self.market, self._outbox, self._node, model_id, count)
        take: Step = (self.court.contract, "takeSeat", self._node, model_id, bit_class)
        self._send([*steps, *[take] * count])
        return [seat for seat in seats_of(self.market, self._node) if seat.number not in have]

    def leave(self, numbers: Sequence[int]) -> list[HeldSeat]:
        """Leave seats from the next period on."""
        chosen = self._chosen(numbers)
        if gone := [seat for seat in chosen if not seat.holds]:
            raise SeatError(f"seat {gone[0].number} was left already: see `agent node seat list`")
        self._send([(self.court.contract, "leaveSeat", seat.number) for seat in chosen])
        return self._chosen([seat.number for seat in chosen])

    def release(self, numbers: Sequence[int]) -> list[HeldSeat]:
        """Free the stake of seats whose time is over; of all of those when none is named."""
        now = self.market.clock.now()
        mine = seats_of(self.market, self._node)
        ripe = [seat.number for seat in mine if seat.state is SeatState.RELEASABLE]
        chosen = self._chosen(numbers or ripe)
        for seat in chosen:
            if seat.number not in ripe:
                raise SeatError(_not_ripe(seat, now))
        self._send([(self.court.contract, "releaseSeat", seat.number) for seat in chosen])
        return self._chosen([seat.number for seat in chosen])

    def _chosen(self, numbers: Iterable[int]) -> list[HeldSeat]:
        mine = {seat.number: seat for seat in seats_of(self.market, self._node)}
        wanted = list(numbers)
        if strange := [number for number in wanted if number not in mine]:
            raise SeatError(f"seat {strange[0]} is not one of {self._node}: see `agent node seat list`")
        return [mine[number] for number in wanted]

    def _finish_earlier(self) -> None:
        """A run that was killed may have left transactions under way: what they do must count."""
        for intent in self._outbox.unfinished():
            self._outbox.wait(intent.subject, intent.action, self._patience)

    def _send(self, steps: Sequence[Step]) -> list[Intent]:
        subject, names = f"seats {time.time_ns()}", []
        for i, (contract, function, *args) in enumerate(steps):
            names.append(f"{i + 1} {function}")
            self._outbox.put(subject, names[-1], contract.address, contract.data(function, *args))
        return [self._outbox.wait(subject, name, self._patience) for name in names]


def stake_steps(
    market: Market, outbox: Outbox, node: str, model_id: int, seats: int
) -> list[tuple[Any, ...]]:
    """The calls (contract, function, arguments …) after which the court has free stake for so many more seats
    of a model; none when it is there.

    Raises:
        StakeError: some is missing; the text says how much, and who can provide it.
    """
    court = require_court(market)
    needed = seats * court.terms.seat_stake
    if outbox.address == node:
        return Staking(market, outbox).steps(court.address, model_id, needed, f"stake for {seats} seats")
    missing = needed - market.provision(node, model_id, court.address).free
    if missing > 0:
        raise StakeError(
            f"{market.money(missing)} of stake are missing for {seats} seats, and only the owner's key can "
            f"provide them: the owner {node} runs `agent node seat take --model {model_id} --seats {seats}`"
        )
    return []


def _not_ripe(seat: HeldSeat, now: int) -> str:
    if seat.state is SeatState.RELEASED:
        return f"seat {seat.number} was released already"
    if seat.holds:
        return f"seat {seat.number} has not been left: `agent node seat leave {seat.number}` first"
    return (
        f"seat {seat.number} owes its duty, and its stake, until chain time {seat.seat.leaves_at}, "
        f"{seat.seat.leaves_at - now} s from now: release it then"
    )
