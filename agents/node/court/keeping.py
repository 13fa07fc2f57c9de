"""Seats that a running node keeps: as many as were asked for, for each model, while the stake lasts."""

import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence

from agents.chain.outbox import Outbox
from agents.market.court import Court
from agents.market.reads import Market
from agents.node.court.seats import HeldSeat, SeatLog, SeatState, seats_of, stake_steps
from agents.node.court.timing import longest
from agents.node.errors import StakeError
from agents.node.models import ServedModel

log = logging.getLogger(__name__)

_SUBJECT = "seats"
_LOOK_SECONDS = 30.0


class Keeping:
    """`keep` is a sweep; calling it again takes nothing twice. `seats` is how many for each model `named`;
    `logged` grows whenever the court logged something; `lag` as `Timing.lag`.
    """

    def __init__(
        self,
        market: Market,
        court: Court,
        outbox: Outbox,
        models: Mapping[tuple[int, int], ServedModel],
        node: str,
        named: Collection[int],
        seats: int,
        logged: Callable[[], int],
        lag: Callable[[], int],
    ) -> None:
        self._market = market
        self._court = court
        self._outbox = outbox
        self._models = models
        self._node = node
        self._named = named
        self._seats = seats
        self._logged = logged
        self._lag = lag
        self._warned: set[int] = set()
        self._log = SeatLog(market, node)
        self._said: dict[int, str] = {}
        self._looked = (-1, 0.0)
        self.held: list[HeldSeat] = []
        """The seats there are, left ones too until their stake is released."""

    def keep(self) -> None:
        """Look at the seats; take what is missing, give back what is over."""
        version, (seen, last) = self._logged(), self._looked
        if version == seen and time.monotonic() - last < _LOOK_SECONDS:
            return
        if any(intent.subject.startswith(_SUBJECT) for intent in self._outbox.unfinished()):
            return
        self._looked = version, time.monotonic()
        mine = seats_of(self._market, self._node, self._log)
        self.held = [seat for seat in mine if seat.state is not SeatState.RELEASED]
        self._release()
        if self._seats:
            for model_id in sorted(self._named):
                served = [m for m in self._models.values() if m.version.model_id == model_id]
                if served and self._keep(served):
                    # Its stake is on the way: the next model's is reckoned from what is there then.
                    self.look_again()
                    break

    def look_again(self) -> None:
        """The next sweep looks, whatever was logged."""
        self._looked = (-1, 0.0)

    def counts(self) -> dict[int, int]:
        """Seats that were not left, by model."""
        found: dict[int, int] = {}
        for seat in self.held:
            if seat.holds:
                found[seat.seat.model_id] = found.get(seat.seat.model_id, 0) + 1
        return found

    def _release(self) -> None:
        for seat in self.held:
            if seat.state is SeatState.RELEASABLE:
                self._put(f"release {seat.number}", self._court.contract.data("releaseSeat", seat.number))

    def _keep(self, versions: Sequence[ServedModel]) -> bool:
        """Whether stake is moved for this model."""
        model = versions[-1]
        self._warn(model)
        classes = {bytes(32), *(version.bit_class for version in versions)}
        ours = [seat for seat in self.held if seat.seat.model_id == model.version.model_id]
        # A seat that was fined is not taken again at once: whatever went wrong may go wrong again.
        good = sum(seat.state is SeatState.PUNISHED for seat in ours)
        for seat in ours:
            if not seat.holds:
                continue
            if seat.seat.bit_class in classes:
                good += 1
            else:
                log.warning(
                    "seat %d is of a bit class that this machine is not of any more: leaving it",
                    seat.number,
                    extra={"model": model.label},
                )
                self._put(f"leave {seat.number}", self._court.contract.data("leaveSeat", seat.number))
        missing = self._seats - good
        return missing > 0 and self._take(model, missing)

    def _warn(self, model: ServedModel) -> None:
        """Of a seat that some dispute may ask more of than this machine can do."""
        found = longest(model, self._court.terms, self._lag())
        if not found.fits and model.version.model_id not in self._warned:
            self._warned.add(model.version.model_id)
            log.warning("seats for %s may be fined: %s", model.label, found)

    def _take(self, model: ServedModel, missing: int) -> bool:
        model_id = model.version.model_id
        free = self._market.provision(self._node, model_id, self._court.address).free
        can = min(missing, free // self._court.terms.seat_stake)
        staking = can < missing
        if staking:
            try:
                steps = stake_steps(self._market, self._outbox, self._node, model_id, missing)
            except StakeError as error:
                if self._said.get(model_id) != str(error):
                    self._said[model_id] = str(error)
                    log.error("%d seats for %s are missing: %s", missing - can, model.label, error)
                staking = False
            else:
                can = missing
                for i, (contract, function, *args) in enumerate(steps):
                    name = f"stake {model_id} {time.time_ns()}/{i} {function}"
                    self._outbox.put(_SUBJECT, name, contract.address, contract.data(function, *args))
        for i in range(can):
            data = self._court.contract.data("takeSeat", self._node, model_id, model.bit_class)
            self._put(f"take {model_id} {time.time_ns()}/{i}", data)
        if can:
            period = self._court.terms.period
            from_ = (self._court.period(self._market.clock.now()) + 2) * period
            log.info(
                "taking %d seats for %s", can, model.label,
                extra={"bit_class": "0x" + model.bit_class.hex(), "drawn_from": from_},
            )  # fmt: skip
        return staking

    def _put(self, action: str, data: bytes) -> None:
        self._outbox.put(_SUBJECT, action, self._court.address, data)
