"""A challenged job: what the court found, and what that was in money."""

from collections.abc import Iterator
from typing import Any

from agents.chain.contracts import Event
from agents.consumer.book import Outcome, Record
from agents.consumer.disputes import View, look, round_json, rule, ruling_in_words, seats_of
from agents.consumer.matter import Matter, counts
from agents.consumer.report import transactions
from agents.market.court import Court
from agents.market.events import Events
from agents.market.reads import Market, Status
from agents.terminal.exits import Exit

_MEANS = {
    Outcome.UPHELD: "upheld: the answer was wrong",
    Outcome.DISMISSED: "dismissed: the answer was right",
    Outcome.UNDECIDED: "undecided: too few votes were alike, or nobody was drawn",
}
_EXITS = {
    Outcome.UPHELD: Exit.OK,
    Outcome.DISMISSED: Exit.DISMISSED,
    Outcome.UNDECIDED: Exit.UNDECIDED,
}


def exit_of(record: Record) -> Exit:
    """How a command that challenges ends; a dispute that runs ends it well."""
    return _EXITS.get(record.outcome, Exit.OK) if record.outcome else Exit.OK


def contest_json(market: Market, events: Events, record: Record) -> dict[str, Any] | None:
    """One JSON object; amounts in base units, as decimal text. None when the job was not challenged."""
    found = _view(market, events, record)
    if found is None:
        return None
    court, view = found
    status, until = market.job_status(record.hash)
    return {
        "job": record.name,
        "dispute": view.id,
        "status": status.name.lower(),
        "until": until or None,
        "outcome": record.outcome and record.outcome.value,
        "phase": view.phase,
        "ruling": view.ruling.name.lower(),
        "round": view.standing.round,
        "rounds": [round_json(state, seats_of(court, n)) for n, state in enumerate(view.rounds)],
        "exact": view.opened.exact,
        "seconds": _seconds(market, events, view),
        "money": {name: str(amount) for name, amount in sums(record).items()},
        "transactions": transactions(record),
        "exit": int(exit_of(record)),
    }


def sums(record: Record) -> dict[str, int]:
    """What moved so far, in base units. `net`: against the time before the question, once it has ended."""
    facts = record.facts
    found = {
        name: int(facts.get(fact, "0"))
        for name, fact in (
            ("bond", "bond"),
            ("bondBack", "bond_back"),
            ("appealCost", "appeal_cost"),
            ("appealBack", "appeal_back"),
            ("slashed", "taken"),
            ("won", "paid"),
            ("burned", "burned"),
            ("refund", "refund"),
            ("payment", "payment"),
        )
    }
    gains = found["won"] + found["bondBack"] + found["appealBack"]
    costs = found["bond"] + found["appealCost"] + found["payment"] + int(facts.get("delivery_cost", "0"))
    return found | {"net": gains - costs}


def contest_lines(market: Market, events: Events, record: Record) -> Iterator[str]:
    """The same for a person, line by line."""
    found = _view(market, events, record)
    if found is None:
        yield f"job {record.name} was not challenged"
        return
    court, view = found
    yield f"dispute  {view.id}"
    yield f"judged   by {rule(view.opened)}"
    for n, state in enumerate(view.rounds):
        yield f"{'appeal ' if n else 'votes  '}  {counts(state, seats_of(court, n))}"
    if record.outcome is None:
        yield f"ruling   {ruling_in_words(view)}"
        follow = f"`agent challenge {record.name[:14]}` follows it"
        yield f"next     `agent disputes {view.id[:14]}` shows it, {follow}"
        return
    yield f"ruling   {_MEANS.get(record.outcome, record.outcome.value)}"
    yield from _money(market, record)
    for action, tx in transactions(record).items():
        yield f"{action:<8} {tx}"


def _money(market: Market, record: Record) -> Iterator[str]:
    money, found = market.money, sums(record)
    if record.outcome is Outcome.DISMISSED:
        yield f"price    {money(found['payment'])} paid, {money(found['refund'])} back to you"
    else:
        yield f"price    {money(found['refund'])} back to you"
    if found["slashed"]:
        yield (
            f"stake    {money(found['slashed'])} taken from the node: {money(found['won'])} to you, "
            f"{money(found['burned'])} burned"
        )
    yield f"bond     {money(found['bond'])}, of which {money(found['bondBack'])} came back"
    if found["appealCost"]:
        yield f"appeal   {money(found['appealCost'])}, for which {money(found['appealBack'])} came back"
    yield f"in all   {money(found['net'])} against before the question, gas aside"


def _view(market: Market, events: Events, record: Record) -> tuple[Court, View] | None:
    court = market.court
    if court is None or record.completion is None or "dispute" not in record.facts:
        return None
    if market.job_status(record.hash)[0] < Status.DISPUTED:
        return None
    opened = events.dispute(Matter.of(market, record, record.completion).id, market.start_block)
    return None if opened is None else (court, look(market, court, opened))


def _seconds(market: Market, events: Events, view: View) -> int | None:
    """Chain time from the challenge to the ruling; None before that."""
    opened = view.opened
    ends = [_time(market, e) for e in events.dispute_log(opened.id, ["DisputeClosed"], opened.block)]
    begun = market.connection.block(opened.block)
    if not ends or ends[0] is None or begun is None:
        return None
    return ends[0] - begun.timestamp


def _time(market: Market, event: Event) -> int | None:
    block = market.connection.block(event.block_number)
    return None if block is None else block.timestamp
