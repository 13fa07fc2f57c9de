"""A dispute as whoever takes it along knows it: its case, what it costs, and how it stands in words."""

from dataclasses import dataclass

from agents.consumer.book import Record
from agents.market.court import Case, Court, Phase, Round, Ruling, Standing
from agents.market.evidence import dispute_id
from agents.market.reads import Market
from agents.protocol.messages import Completion
from agents.protocol.pricing import settle

CHALLENGE, APPEAL = "challenge", "appeal"
"""Their names in the outbox."""


@dataclass(frozen=True, slots=True)
class Matter:
    """`subject` names it in the outbox; `opener` and `case` make its id, 32 bytes."""

    subject: str
    opener: str
    case: Case

    @property
    def id(self) -> bytes:
        return dispute_id(self.opener, self.case)

    @property
    def name(self) -> str:
        """0x hex of the dispute's id."""
        return "0x" + self.id.hex()

    @classmethod
    def of(cls, market: Market, record: Record, completion: Completion) -> "Matter":
        """A job's own dispute, whether it is open or not: the escrow makes the case of what both signed."""
        return cls(record.name, market.escrow.address, case_of(record, completion))

    @classmethod
    def strange(cls, opener: str, case: Case) -> "Matter":
        """A dispute that is not over a job of this account's journal."""
        return cls(f"dispute 0x{dispute_id(opener, case).hex()}", opener, case)


def case_of(record: Record, completion: Completion) -> Case:
    """What JobEscrow makes of a challenge."""
    job = record.job
    return Case(
        subject=record.hash,
        challenger=job.client,
        node=job.node,
        model_id=job.model_id,
        version=job.version,
        prompt_tokens=job.prompt_tokens,
        output_tokens=completion.output_tokens,
        max_tokens=job.max_tokens,
        finish=completion.finish,
        seed=job.seed,
        temperature=job.temperature,
        top_p=job.top_p,
        bit_class=job.bit_class,
        secret=record.secret,
    )


@dataclass(frozen=True, slots=True)
class Stakes:
    """What a challenge puts at stake, in base units.

    bond: paid now. back: of the bond, when it is upheld or undecided; when it is upheld, a seat's fee more
    for each silent seat.
    price: of the answer; comes back when it is upheld or undecided, and is paid when it is dismissed.
    won: the client's share of the node's penalty when it is upheld, at most.
    """

    bond: int
    back: int
    price: int
    won: int

    @classmethod
    def of(cls, market: Market, court: Court, record: Record, completion: Completion) -> "Stakes":
        tokens = record.job.prompt_tokens + completion.output_tokens
        return cls(
            bond=court.bond(tokens),
            back=court.terms.node_fee,
            price=settle(record.job, completion.output_tokens).payment,
            won=market.terms.penalty * market.terms.winner_share // 10_000,
        )

    @property
    def gain(self) -> int:
        """What an upheld challenge brings besides the price, its bond taken off."""
        return self.won + self.back - self.bond


def counts(round_: Round, seats: int) -> str:
    """A round's votes in words."""
    committed, revealed = round_.committed.bit_count(), round_.revealed.bit_count()
    upheld, dismissed = round_.upheld.bit_count(), round_.dismissed.bit_count()
    said = [f"{upheld} upheld", f"{dismissed} dismissed"]
    if unable := revealed - upheld - dismissed:
        said.append(f"{unable} unable")
    votes = f" ({', '.join(said)})" if revealed else ""
    return f"{committed} of {seats} seats committed, {revealed} revealed{votes}"


def waits_for(standing: Standing, round_: Round, seats: int, ruling: Ruling) -> str:
    """What a dispute waits for."""
    which = "the appeal's panel" if standing.round else "the court's panel"
    match standing.phase:
        case Phase.DRAWING:
            return f"{which} of {seats} to be drawn"
        case Phase.COMMITTING:
            return f"{which} to vote: {counts(round_, seats)}"
        case Phase.REVEALING:
            return f"{which} to reveal its votes: {counts(round_, seats)}"
        case Phase.APPEALABLE:
            return f"an appeal, or the end of its time: {ruling.name.lower()}, {counts(round_, seats)}"
        case Phase.FINAL:
            return f"somebody to close it: {ruling.name.lower()}"
    return "the dispute to show on chain"
