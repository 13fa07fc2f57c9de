"""The court, read with types: see IDisputeCourt, which is the specification.

Amounts in base units of the payment token, times in chain seconds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from eth_abi.abi import encode
from eth_utils.crypto import keccak

from agents.chain.connection import Connection
from agents.chain.contracts import Contract
from agents.market.evidence import Case as Case
from agents.market.evidence import Opened as Opened
from agents.market.evidence import decode_opened as decode_opened
from agents.market.evidence import dispute_id
from agents.protocol.sortition import witness_positions


class Vote(IntEnum):
    """What a verifier finds. Upheld: the output is wrong. Unable: it can't run this model."""

    NONE = 0
    UPHELD = 1
    DISMISSED = 2
    UNABLE = 3


class Ruling(IntEnum):
    """What the court finds. Undecided: nobody is punished."""

    NONE = 0
    UPHELD = 1
    DISMISSED = 2
    UNDECIDED = 3


class Phase(IntEnum):
    """Where a dispute stands. Final: nothing can change, anyone may `close`, unless that was done."""

    NONE = 0
    DRAWING = 1
    COMMITTING = 2
    REVEALING = 3
    APPEALABLE = 4
    FINAL = 5


class Progress(IntEnum):
    """How far a round has come by acts; the rest follows from the clock."""

    NONE = 0
    REQUESTED = 1
    DRAWN = 2
    DONE = 3


@dataclass(frozen=True, slots=True)
class CourtTerms:
    """CourtConfig, in its order. `appeal_share` in basis points."""

    vault: str
    nodes: str
    randomness: str
    seat_stake: int
    silent_fine: int
    seat_fee: int
    seat_fee_per_token: int
    node_fee: int
    appeal_share: int
    first_seats: int
    appeal_seats: int
    appeal_quorum: int
    period: int
    draw_window: int
    commit_window: int
    reveal_window: int
    appeal_window: int


@dataclass(frozen=True, slots=True)
class Seat:
    """A verifier's place. `leaves_at`: when its stake can be had back; 0 while it has not been left."""

    node: str
    stake: int
    model_id: int
    leaves_at: int
    bit_class: bytes


@dataclass(frozen=True, slots=True)
class Standing:
    """`round` is 0, or 1 once there is an appeal; `until` when the phase ends by time, 0 when it does not."""

    phase: Phase
    round: int
    until: int


@dataclass(frozen=True, slots=True)
class Panel:
    """Seats and their nodes, by the members' index; empty once the dispute is closed."""

    lot: int
    seats: tuple[int, ...]
    members: tuple[str, ...]

    def indices(self, node: str) -> list[int]:
        """Where a node sits in the panel."""
        return [i for i, member in enumerate(self.members) if member == node]


@dataclass(frozen=True, slots=True)
class Round:
    """Rounds.Round. Masks have bit i for the panel's member i."""

    time: int
    lot: int
    pool: int
    period: int
    committed: int
    revealed: int
    upheld: int
    dismissed: int
    progress: Progress
    flags: int

    @property
    def appealable(self) -> bool:
        """Asked of the first round, as are the next two."""
        return bool(self.flags & 1)

    @property
    def closed(self) -> bool:
        """The dispute is closed."""
        return bool(self.flags & 4)

    @property
    def appealed(self) -> bool:
        """There was an appeal."""
        return bool(self.flags & 8)

    @property
    def network(self) -> bool:
        """Drawn from other models' seats too: Unable is excused."""
        return bool(self.flags & 2)

    def has(self, mask: int, index: int) -> bool:
        return bool(mask >> index & 1)


class Court:
    """One DisputeCourt. What asks the chain raises a ChainError when it can't; the rest is computed here."""

    def __init__(self, connection: Connection, address: str) -> None:
        self.contract = Contract(connection, "DisputeCourt", address)
        self.address = self.contract.address
        self._chain_id = connection.chain_id
        self._terms: CourtTerms | None = None

    @property
    def terms(self) -> CourtTerms:
        """What it was deployed with; asked once, it can't change."""
        if self._terms is None:
            self._terms = CourtTerms(*self.contract.call("config"))
        return self._terms

    # Money.

    def fee(self, tokens: int) -> int:
        """What a seat earns by a vote on this much evidence."""
        return self.terms.seat_fee + tokens * self.terms.seat_fee_per_token

    def bond(self, tokens: int) -> int:
        """What a challenge costs, exactly."""
        return self.terms.first_seats * self.fee(tokens) + self.terms.node_fee

    def appeal_cost(self, tokens: int) -> int:
        """What funding an appeal costs, exactly."""
        return self.terms.appeal_seats * self.fee(tokens)

    # Disputes. `id` is the dispute's; `round` is 0 or 1.

    def standing(self, id: bytes, block: int | str = "latest") -> Standing:
        phase, round_, until = self.contract.call("phaseOf", id, block=block)
        return Standing(Phase(phase), int(round_), int(until))

    def ruling(self, id: bytes, block: int | str = "latest") -> Ruling:
        """As it stands; what closing will say once the dispute is Final."""
        return Ruling(self.contract.call("rulingOf", id, block=block))

    def panel(self, id: bytes, round: int, block: int | str = "latest") -> Panel:
        """As it was drawn; before it is stored, as it would be drawn now.

        Raises:
            Reverted: `NotYet` or `Missed`: there is nothing to draw it by yet, or any more.
        """
        lot, seats, members = self.contract.call("panelOf", id, round, block=block)
        if not any(seats):
            # Seat numbers begin at 1: what closing cleared.
            seats, members = (), ()
        return Panel(int(lot), tuple(map(int, seats)), tuple(map(str, members)))

    def round(self, id: bytes, n: int, block: int | str = "latest") -> Round:
        r = self.contract.call("roundOf", id, n, block=block)
        return Round(
            r.time, r.lot, r.pool, r.period, r.committed, r.revealed, r.upheld, r.dismissed,
            Progress(r.progress), r.flags,
        )  # fmt: skip

    def dispute_id(self, opener: str, case: Case) -> bytes:
        return dispute_id(opener, case)

    def witness_positions(self, lot: int, tokens: int) -> list[int]:
        """As `sortition.witness_positions`."""
        return witness_positions(lot, tokens)

    def commitment(
        self, id: bytes, round: int, index: int, voter: str, vote: Vote, witness: bytes, salt: bytes
    ) -> bytes:
        """What `commit` takes. `voter` is the key that sends both transactions; the rest 32 bytes each."""
        types = ["uint256", "address", "bytes32", "uint256", "uint256", "address", "uint256"]
        place = [self._chain_id, self.address, id, round, index, voter, int(vote)]
        return keccak(encode([*types, "bytes32", "bytes32"], [*place, witness, salt]))

    # Seats.

    def period(self, now: int) -> int:
        """The number of the period that chain time `now` lies in; a dispute draws from the one before."""
        return now // self.terms.period

    def seat(self, n: int) -> Seat:
        """A seat by its number; of the zero address when there is none."""
        found = self.contract.call("seatOf", n)
        return Seat(str(found.node), found.stake, found.modelId, found.leavesAt, bytes(found.bitClass))

    def pool_size(self, model_id: int, bit_class: bytes, period: int) -> int:
        """Seats of (model, class) in a period; 0 and 32 zero bytes stand for any."""
        return int(self.contract.call("poolSize", model_id, bit_class, period))

    def pool_seats(self, model_id: int, bit_class: bytes, period: int) -> Sequence[int]:
        """The numbers of those seats; one call each."""
        size = self.pool_size(model_id, bit_class, period)
        return [
            int(self.contract.call("poolSeat", model_id, bit_class, place, period)) for place in range(size)
        ]
