"""Everything an account owns here: where it is, until when it is locked, and what to do about it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from agents.consumer.book import Record
from agents.market.events import Events
from agents.market.reads import Market, Status

_SHORT = 10
_ETHER = 18


@dataclass(frozen=True, slots=True)
class Line:
    """One sum. `until` in chain time, 0 for no limit; `own`: it is the account's; `ether`: it is gas."""

    what: str
    amount: int
    where: str
    until: int = 0
    todo: str = ""
    own: bool = True
    ether: bool = False


def lines(market: Market, events: Events, account: str, jobs: Sequence[Record]) -> list[Line]:
    """All there is to know; zero sums are left out, save those everybody asks for."""
    return [
        *_purse(market, account),
        *_jobs(market, jobs),
        *_disputes(market, events, account),
        *_stake(market, events, account),
        *_models(market, events, account),
    ]


def total(found: Sequence[Line]) -> int:
    """All that is the account's, in base units of the payment token."""
    return sum(line.amount for line in found if line.own and not line.ether)


def to_json(market: Market, account: str, found: Sequence[Line]) -> dict[str, Any]:
    """Amounts in base units (wei for gas), as decimal text."""
    symbol, decimals = market.unit
    return {
        "account": account,
        "chainId": market.chain_id,
        "symbol": symbol,
        "decimals": decimals,
        "chainTime": market.connection.time(),
        "total": str(total(found)),
        "lines": [
            {
                "what": line.what,
                "amount": str(line.amount),
                "unit": "wei" if line.ether else symbol,
                "where": line.where,
                "until": line.until or None,
                "todo": line.todo,
                "own": line.own,
            }
            for line in found
        ],
    }


def shown(market: Market, line: Line) -> str:
    """A line's amount in words."""
    if not line.ether:
        return market.money(line.amount)
    whole, rest = divmod(line.amount, 10**_ETHER)
    return f"{whole}.{rest // 10 ** (_ETHER - 6):06d} ETH"


def _purse(market: Market, account: str) -> Iterator[Line]:
    gas = market.connection.balance(account)
    yield Line("gas", gas, "wallet", todo="" if gas else f"send ether to {account}", ether=True)
    tokens, free = market.tokens(account), market.balance(account)
    yield Line("tokens", tokens, "wallet", todo="`agent deposit AMOUNT` to spend them" if tokens else "")
    yield Line(
        "free",
        free,
        "Vault",
        todo="`agent ask`, or `agent withdraw AMOUNT`" if free else "`agent deposit AMOUNT`",
    )


def _jobs(market: Market, jobs: Sequence[Record]) -> Iterator[Line]:
    now = market.connection.time()
    for record in jobs:
        if record.outcome is not None or record.job.collector != market.escrow.address:
            continue
        status, until = market.job_status(record.hash)
        if status in (Status.NONE, Status.FINAL):
            continue
        locked = record.job.ceiling
        if status is Status.DEMANDED:
            locked += int(record.facts.get("delivery_cost", "0"))
        what = f"job {record.name[:_SHORT]}…, {status.name.lower()}"
        yield Line(what, locked, "escrow", until, _job_todo(market, record, status, now > until))


def _job_todo(market: Market, record: Record, status: Status, over: bool) -> str:
    settle = "`agent jobs --settle`"
    if status is Status.OPEN:
        return (
            f"{settle} takes it back: the node missed its deadline"
            if over
            else "wait for the node, until its deadline"
        )
    if status is Status.DEMANDED and over:
        return f"{settle} takes it back: the node withheld its answer"
    if status >= Status.DISPUTED:
        return f"`agent challenge {record.name[:_SHORT]}` follows it; {settle} fetches what is yours"
    if record.accepted is False and not over:
        challenge = f"`agent challenge {record.name[:_SHORT]}`, or " if market.terms.has_court else ""
        return f"refused: {challenge}nothing to do; the node is paid when the window closes"
    if over and status in (Status.COMPLETED, Status.DELIVERED):
        return f"{settle} pays the node and fetches the rest"
    return f"{settle} fetches, checks and approves the answer, or demands it"


def _disputes(market: Market, events: Events, account: str) -> Iterator[Line]:
    """What is at stake before the court, and comes back as it rules: bonds, and what appeals cost."""
    court = market.court
    if court is None:
        return
    start = market.start_block
    for opened in events.disputes(start):
        if opened.case.challenger != account or court.round(opened.id, 0).closed:
            continue
        name = "0x" + opened.id.hex()[: _SHORT - 2]
        sure = market.money(court.terms.node_fee)
        todo = f"{sure} of it, unless it is dismissed or never drawn (`agent disputes {name}`)"
        bond = court.bond(opened.case.tokens)
        until = court.standing(opened.id).until
        yield Line(f"bond of dispute {name}…", bond, "court", until, todo, own=False)
    for id, amount in events.appeals(account, start):
        if court.round(id, 0).closed:
            continue
        name = "0x" + id.hex()[: _SHORT - 2]
        todo = f"if the appeal overturns, what no seat earned (`agent disputes {name}`)"
        until = court.standing(id).until
        yield Line(f"appeal of dispute {name}…", amount, "court", until, todo, own=False)


def _stake(market: Market, events: Events, account: str) -> Iterator[Line]:
    if not market.node(account).exists:
        return
    now = market.connection.time()
    idle = market.idle_stake(account)
    yield Line(
        "stake, idle", idle, "node registry", todo="`agent node` provisions or withdraws it" if idle else ""
    )
    for module, model_id in events.provisioned(account):
        provision = market.provision(account, model_id, module)
        court = market.court is not None and module == market.court.address
        where = "court" if court else "escrow" if module == market.escrow.address else module
        place = f"{where}, model {model_id}"
        if provision.free and court:
            todo = "`agent node seat take`, or `agent node unstake --court`"
            yield Line("stake, for new seats", provision.free, place, todo=todo)
        elif provision.free:
            yield Line("stake, for new jobs", provision.free, place)
        if provision.reserved and court:
            yield from _seats(market, events, account, model_id, place, now)
        elif provision.reserved:
            yield Line("stake, bound by jobs", provision.reserved, place, todo="free again as each job ends")
        if provision.thawing:
            ready = now >= provision.thawed_at
            todo = "thawed: `agent node` makes it idle" if ready else "wait until it is thawed"
            yield Line("stake, thawing", provision.thawing, place, provision.thawed_at, todo)


def _seats(
    market: Market, events: Events, account: str, model_id: int, place: str, now: int
) -> Iterator[Line]:
    court = market.court
    assert court is not None
    seats = {taken.seat: court.seat(taken.seat) for taken in events.seats(account)}
    mine = {number: seat for number, seat in seats.items() if seat.model_id == model_id and seat.stake}
    held = [seat.stake for seat in mine.values() if not seat.leaves_at]
    if held:
        todo = "keep its node running; `agent node seat leave N` gives a seat up"
        yield Line(f"stake, behind {len(held)} seats", sum(held), place, todo=todo)
    for number, seat in mine.items():
        if seat.leaves_at:
            ready = now > seat.leaves_at
            todo = "`agent node seat release` frees it" if ready else "wait: it may still be at work"
            yield Line(f"stake, behind seat {number}, left", seat.stake, place, seat.leaves_at, todo)


def _models(market: Market, events: Events, account: str) -> Iterator[Line]:
    for event in events.registered(account):
        name, model_id = str(event.args["name"]), int(event.args["modelId"])
        waiting = market.model_fees(model_id)
        if waiting:
            todo = f"`agent trainer collect {name}` moves them to its treasury"
            yield Line(f"fees of {name}", waiting, "escrow", todo=todo, own=False)
        treasury = int(market.governor.call("treasuryOf", model_id))
        yield Line(f"treasury of {name}", treasury, "governor", todo="its token holders decide", own=False)
