"""What the contracts logged, asked for by topic: for who follows nothing and wants to know of one job."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from eth_abi.abi import encode
from eth_utils.abi import event_abi_to_log_topic

from agents.chain.contracts import Contract, Event
from agents.chain.errors import RpcFault
from agents.market.court import Opened, Ruling, Vote, decode_opened
from agents.market.errors import BadEvidence
from agents.market.reads import Market
from agents.protocol.messages import Completion

log = logging.getLogger(__name__)

_FIRST_RANGE, _WIDEST_RANGE = 2_000, 50_000
_BALLOTS = 16
"""A ballot's number is this many times the round, plus the member's index."""


@dataclass(frozen=True, slots=True)
class Ballot:
    """A revealed vote: of which round (0 or 1), by which of the panel's members."""

    round: int
    index: int
    vote: Vote
    witness: bytes


@dataclass(frozen=True, slots=True)
class TakenSeat:
    """A seat as it was taken: it counts from `from_period`, and is drawn from the period after it."""

    seat: int
    model_id: int
    bit_class: bytes
    from_period: int
    block: int


@dataclass(frozen=True, slots=True)
class Closing:
    """The end of a dispute. `told`: the opener took the ruling; amounts in base units."""

    ruling: Ruling
    told: bool
    paid_to_seats: int
    to_funder: int
    tx_hash: bytes


class Events:
    """Logs of one deployment in blocks that are `depth` deep, their own included.

    Every method raises a ChainError when the chain can't be asked. `since` is the first block looked at.
    """

    def __init__(self, market: Market, depth: int = 1) -> None:
        self._market = market
        self._depth = max(1, depth)

    def last(self) -> int:
        """The number of the last block that is deep enough."""
        return max(0, self._market.connection.latest().number - self._depth + 1)

    def client_of(self, key: bytes, since: int) -> str | None:
        """Whose job it is; None when it was not opened."""
        return next((str(e.args["client"]) for e in self._of_job(key, ["JobOpened"], since)), None)

    def completion(self, key: bytes, since: int) -> Completion | None:
        """What the contract holds as a job's answer."""
        for event in self._of_job(key, ["JobCompleted"], since):
            a = event.args
            return Completion(
                job_hash=key,
                node=str(a["node"]),
                output_hash=bytes(a["outputHash"]),
                output_tokens=int(a["outputTokens"]),
                finish=int(a["finish"]),
                served_at=int(a["servedAt"]),
                pay_to=str(a["payTo"]),
            )
        return None

    def delivered(self, key: bytes, since: int) -> bytes | None:
        """The masked output that was posted for a job."""
        for event in self._of_job(key, ["OutputDelivered"], since):
            return bytes(event.args["maskedOutput"])
        return None

    def ending(self, key: bytes, since: int) -> dict[str, Event]:
        """A job's JobPaid, JobRefunded and NodePunished, those there are, by name."""
        return {e.name: e for e in self._of_job(key, ["JobPaid", "JobRefunded", "NodePunished"], since)}

    def registered(self, trainer: str | None = None) -> Iterator[Event]:
        """ModelRegistered, oldest first; of one trainer, or of all."""
        by = [] if trainer is None else [None, _word(trainer)]
        return self._of(self._market.models, ["ModelRegistered"], by, self._market.start_block)

    def provisioned(self, node: str) -> list[tuple[str, int]]:
        """(contract, model number) pairs that a node ever gave stake to."""
        found = self._of(self._market.nodes, ["Provisioned"], [_word(node)], self._market.start_block)
        return sorted({(str(e.args["module"]), int(e.args["modelId"])) for e in found})

    # Disputes; there are none where there is no court.

    def disputes(self, since: int) -> Iterator[Opened]:
        """All that were opened, oldest first."""
        yield from self._opened([], since)

    def dispute_of(self, job_hash: bytes, since: int) -> Opened | None:
        """The dispute over a job; the escrow lets a job be disputed once."""
        ours = self._opened([None, _word(self._market.escrow.address)], since)
        return next((found for found in ours if found.case.subject == job_hash), None)

    def dispute(self, id: bytes, since: int) -> Opened | None:
        """A dispute by its own id."""
        return next(self._opened(["0x" + id.hex()], since), None)

    def votes(self, id: bytes, since: int) -> list[Ballot]:
        """What was revealed, in its order."""
        return [
            Ballot(*divmod(int(a["ballot"]), _BALLOTS), Vote(a["vote"]), bytes(a["witness"]))
            for a in (e.args for e in self.dispute_log(id, ["VoteRevealed"], since))
        ]

    def closing(self, id: bytes, since: int) -> Closing | None:
        """How a dispute was closed."""
        for event in self.dispute_log(id, ["DisputeClosed"], since):
            a = event.args
            return Closing(
                Ruling(a["ruling"]), bool(a["told"]), int(a["paidToSeats"]), int(a["toFunder"]), event.tx_hash
            )
        return None

    def appeals(self, funder: str, since: int) -> list[tuple[bytes, int]]:
        """(dispute, amount) of the appeals that an account paid for."""
        court = self._market.court
        if court is None:
            return []
        found = self._of(court.contract, ["AppealFunded"], [None, _word(funder)], since)
        return [(bytes(e.args["id"]), int(e.args["amount"])) for e in found]

    def seats(self, node: str, since: int | None = None) -> list[TakenSeat]:
        """The seats that a node ever took, oldest first."""
        court, first = self._market.court, self._market.start_block if since is None else since
        if court is None:
            return []
        return [
            TakenSeat(
                int(e.args["seat"]), int(e.args["modelId"]), bytes(e.args["bitClass"]),
                int(e.args["fromPeriod"]), e.block_number,
            )
            for e in self._of(court.contract, ["SeatTaken"], [None, _word(node)], first)
        ]  # fmt: skip

    def dispute_log(self, id: bytes, names: Sequence[str], since: int) -> Iterator[Event]:
        """Events of one dispute: DisputeOpened, PanelDrawn, VoteCommitted, VoteRevealed, AppealFunded,
        DisputeClosed.
        """
        court = self._market.court
        if court is not None:
            yield from self._of(court.contract, names, ["0x" + id.hex()], since)

    def _opened(self, indexed: Sequence[Any], since: int) -> Iterator[Opened]:
        court = self._market.court
        if court is None:
            return
        for event in self._of(court.contract, ["DisputeOpened"], indexed, since):
            try:
                yield decode_opened(event)
            except BadEvidence as error:
                # The court lets none of these in; should one come, it must not hide the others.
                log.warning("%s", error)

    def _of_job(self, key: bytes, names: Sequence[str], since: int) -> Iterator[Event]:
        return self._of(self._market.escrow, names, ["0x" + key.hex()], since)

    def _of(
        self, contract: Contract, names: Sequence[str], indexed: Sequence[Any], first: int
    ) -> Iterator[Event]:
        topics = [[_topic(contract, name) for name in names], *indexed]
        last, width = self.last(), _FIRST_RANGE
        while first <= last:
            end = min(last, first + width - 1)
            try:
                logs = self._market.connection.logs([contract.address], first, end, topics=topics)
            except RpcFault:
                # Too many blocks at once for this RPC: each has its own words for it.
                if width == 1:
                    raise
                width = max(1, width // 8)
                continue
            yield from (event for log in logs if (event := contract.decode(log)))
            first, width = end + 1, min(_WIDEST_RANGE, width * 2)


def _topic(contract: Contract, event: str) -> str:
    entry = next(e for e in contract.artifact.entries("event") if e["name"] == event)
    return "0x" + event_abi_to_log_topic(entry).hex()  # type: ignore[arg-type]


def _word(address: str) -> str:
    return "0x" + encode(["address"], [address]).hex()
