"""A dispute as the demo's reader sees it: who was drawn, how they voted, what it cost whom."""

from dataclasses import dataclass
from typing import Any

from agents.chain.contracts import Event
from agents.devnet.scene import Scene
from agents.devnet.telling import expect, usd, wait_for
from agents.market.court import Court, Opened, Ruling, Vote

_FOUND = {Vote.UPHELD: "wrong", Vote.DISMISSED: "right", Vote.UNABLE: "could not run it", Vote.NONE: "silent"}


@dataclass(frozen=True, slots=True)
class Member:
    """One seat of a panel, and how it voted; `paid` in base units."""

    round: int
    node: str
    vote: Vote
    paid: int


@dataclass(frozen=True, slots=True)
class Hearing:
    """A dispute that is over, and its job too. Amounts in base units, times in seconds of the chain."""

    opened: Opened
    members: tuple[Member, ...]
    ruling: Ruling
    appealed: bool
    to_funder: int
    seats_slashed: int
    node_slashed: int
    refunded: int
    seconds: int

    def earned(self, node: str) -> int:
        """What a node's seats were paid."""
        return sum(member.paid for member in self.members if member.node == node)

    def votes_of(self, node: str) -> list[Member]:
        return [member for member in self.members if member.node == node]

    def to_json(self, kind: str) -> dict[str, Any]:
        """An entry of demo-report.json's `disputes`; `round` is the ruling's: 0, or 1 after an appeal."""
        return {
            "kind": kind,
            "dispute": "0x" + self.opened.id.hex(),
            "job": "0x" + self.opened.case.subject.hex(),
            "rule": "exact" if self.opened.exact else "tolerant",
            "round": int(self.appealed),
            "votes": [
                {"round": m.round, "node": m.node, "vote": m.vote.name.lower(), "paid": str(m.paid)}
                for m in self.members
            ],
            "ruling": self.ruling.name.lower(),
            "slashed": str(self.node_slashed + self.seats_slashed),
            "refunded": str(self.refunded),
            "seconds": self.seconds,
        }


def hear(scene: Scene, job: str) -> Hearing:
    """Wait until a job's dispute is closed and the escrow has obeyed; tell it as it goes.

    Raises:
        DemoFailed: it does not come to an end.
    """
    court, key = scene.market.court, bytes.fromhex(job[2:])
    assert court is not None
    start = scene.network.deployment.block
    opened = wait_for("the challenge", lambda: scene.events.dispute_of(key, start))
    since = opened.block
    bond = usd(court.bond(opened.case.tokens))
    scene.tell.detail(f"challenged with a bond of {bond}: prompt, answer and secret are public now")
    closed = wait_for(
        "the ruling", lambda: next(iter(scene.events.dispute_log(opened.id, ["DisputeClosed"], since)), None)
    )
    members = _members(scene, court, opened, closed)
    for round_ in sorted({member.round for member in members}):
        _tell_round(scene, opened, round_, [m for m in members if m.round == round_])
    ended = wait_for("the job's end", lambda: _ended(scene, job))
    funded = list(scene.events.dispute_log(opened.id, ["AppealFunded"], since))
    punished = _court_log(scene, court, closed, "SeatPunished")
    refund, penalty = ended.get("JobRefunded"), ended.get("NodePunished")
    return Hearing(
        opened=opened,
        members=tuple(members),
        ruling=Ruling(closed.args["ruling"]),
        appealed=bool(funded),
        to_funder=int(closed.args["toFunder"]),
        seats_slashed=sum(int(event.args["taken"]) for event in punished),
        node_slashed=int(penalty.args["taken"]) if penalty else 0,
        refunded=int(refund.args["amount"]) if refund else 0,
        seconds=_time(scene, closed.block_number) - _time(scene, opened.block),
    )


def _members(scene: Scene, court: Court, opened: Opened, closed: Event) -> list[Member]:
    """Every seat drawn. They are paid in the order of rounds and places, which tells payments apart."""
    ballots = {(b.round, b.index): b.vote for b in scene.events.votes(opened.id, opened.block)}
    payments = [e for e in _vault_log(scene, closed) if e.args["from"] == court.address]
    fee, found = court.fee(opened.case.tokens), []
    for drawn in scene.events.dispute_log(opened.id, ["PanelDrawn"], opened.block):
        for index, seat in enumerate(drawn.args["seats"]):
            node, round_ = court.seat(seat).node, int(drawn.args["round"])
            paid = bool(payments) and payments[0].args["to"] == node and payments[0].args["amount"] == fee
            if paid:
                payments.pop(0)
            vote = ballots.get((round_, index), Vote.NONE)
            found.append(Member(round_, scene.name(node), vote, fee if paid else 0))
    expect(bool(found), "a dispute was closed without a panel")
    return found


def _tell_round(scene: Scene, opened: Opened, round_: int, members: list[Member]) -> None:
    which = "the appeal" if round_ else "the first panel"
    rule = "to the bit" if opened.exact else "by the tolerant rule"
    said = ", ".join(f"{m.node}: {_FOUND[m.vote]}" for m in members)
    scene.tell.detail(f"{which}, drawn by a block's hash, ran the model on the evidence and compared {rule}:")
    scene.tell.detail(f"  {said}")


def _ended(scene: Scene, job: str) -> dict[str, Event] | None:
    found = scene.events_of(job)
    return found if found.keys() & {"JobPaid", "JobRefunded"} else None


def _vault_log(scene: Scene, at: Event) -> list[Event]:
    """What the Vault moved in an event's transaction, in its order."""
    vault = scene.market.vault
    logs = scene.market.connection.logs([vault.address], at.block_number, at.block_number)
    events = [event for log in logs if (event := vault.decode(log))]
    return [event for event in events if event.name == "Paid" and event.tx_hash == at.tx_hash]


def _court_log(scene: Scene, court: Court, at: Event, name: str) -> list[Event]:
    logs = scene.market.connection.logs([court.address], at.block_number, at.block_number)
    events = [event for log in logs if (event := court.contract.decode(log))]
    return [event for event in events if event.name == name and event.tx_hash == at.tx_hash]


def _time(scene: Scene, number: int) -> int:
    block = scene.market.connection.block(number)
    assert block is not None
    return block.timestamp
