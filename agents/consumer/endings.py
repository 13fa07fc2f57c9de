"""How a job ended, as the chain says, and what that was in money."""

import logging

from agents.chain.contracts import Event
from agents.consumer.book import Book, Outcome, Record
from agents.consumer.matter import CHALLENGE, Matter
from agents.market.account import Account
from agents.market.court import Court, Progress, Ruling

log = logging.getLogger(__name__)


def ended(account: Account, book: Book, record: Record, since: int) -> Record:
    """Keep a final job's outcome and amounts; unchanged where the RPC shows the state before its logs."""
    found = account.events.ending(record.hash, since)
    paid, refunded, punished = found.get("JobPaid"), found.get("JobRefunded"), found.get("NodePunished")
    if paid is None and refunded is None:
        log.warning("%s is final, and the RPC does not show how it ended yet", record.name)
        return record
    dispute = _dispute(account, book, record, since)
    if paid is not None:
        payment, fee = int(paid.args["payment"]), int(paid.args["modelFee"])
        facts = {
            "payment": str(payment),
            "model_fee": str(fee),
            "node_share": str(payment - fee),
            "refund": str(record.job.ceiling - payment),
        }
        outcome = Outcome.PAID if dispute is None else Outcome.DISMISSED
        return book.end(record.hash, outcome, **facts, **(dispute or {}), **_hash(paid))
    assert refunded is not None
    facts = {"refund": str(refunded.args["amount"])} | _hash(refunded)
    if punished is not None:
        facts |= {name: str(punished.args[name]) for name in ("taken", "paid", "burned")}
    if dispute is not None:
        outcome = Outcome.UPHELD if punished is not None else Outcome.UNDECIDED
    else:
        outcome = Outcome.WITHHELD if record.completion else Outcome.MISSED
    return book.end(record.hash, outcome, **facts, **(dispute or {}))


def _dispute(account: Account, book: Book, record: Record, since: int) -> dict[str, str] | None:
    """What became of the bond, and of an appeal's cost; None when the job was never disputed."""
    court = account.market.court
    intent = account.outbox.status(record.name, CHALLENGE)
    if court is None or intent is None or record.completion is None:
        return None
    matter = Matter.of(account.market, record, record.completion)
    first = court.round(matter.id, 0)
    if first.progress is Progress.NONE:
        return None
    facts = {"bond": str(court.bond(matter.case.tokens)), "bond_back": str(bond_back(court, matter))}
    appeals = [a for i, a in account.events.appeals(account.address, since) if i == matter.id]
    if appeals:
        closing = account.events.closing(matter.id, since)
        facts |= {
            "appeal_cost": str(sum(appeals)),
            "appeal_back": str(closing.to_funder if closing else 0),
        }
    return facts


def bond_back(court: Court, matter: Matter) -> int:
    """What of the bond goes back to the challenger, as the court rules and its seats have voted by now."""
    first, ruling = court.round(matter.id, 0), court.ruling(matter.id)
    # Never drawn, it lapses, and the bond with it.
    if first.progress is Progress.REQUESTED or ruling is Ruling.DISMISSED:
        return 0
    silent = court.terms.first_seats - first.revealed.bit_count() if ruling is Ruling.UPHELD else 0
    return court.terms.node_fee + silent * court.fee(matter.case.tokens)


def _hash(event: Event) -> dict[str, str]:
    return {"tx_end": "0x" + event.tx_hash.hex()}
