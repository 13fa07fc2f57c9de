"""`agent node seat`: seats in the court, by hand."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click
import httpx

from agents.market.opening import open_market
from agents.market.reads import Market
from agents.node.court.seats import HeldSeat, SeatError, Seating, SeatState, require_court, seats_of
from agents.node.court.timing import Longest
from agents.node.options import account_address, chain_options, json_option, say, unlocked
from agents.node.settings import NodeSettings, load

_NODE = click.option("--node", "node_", metavar="ADDRESS", help="The node's owner. [the account's address]")


@click.group(
    epilog="""\b
Examples:
  agent node seat take --account mynode --model 0xTRAINER/smollm2-135m --seats 2
  agent node seat list --account mynode
  agent node seat leave 7 --account mynode
  agent node seat release --account mynode

A seat's node is drawn by lot to judge disputed answers. It earns a fee by each vote that names the right
second-best tokens, is fined for silence, and loses the seat's stake if an appeal overturns its majority: so
its node must run, with the model, from when the seat counts until it is released.

A seat taken now counts from the next period on, and is drawn by disputes that are opened from the one after.
It can be left at any time: it is then out of the pools from the next period on, and owes its duty, and its
stake, until every dispute that can draw it is over. `agent node run --seats N` takes seats by itself."""
)
def seat() -> None:
    """Seats in the court: take, leave and release them, and see where they stand."""


@seat.command(
    epilog="""\b
Examples:
  agent node seat take --account mynode --model 0xTRAINER/smollm2-135m
  agent node seat take --account mynode --model 0xTRAINER/smollm2-135m --seats 3 --tolerant
  agent node seat take --account operator --node 0xOWNER --model 1234567890

With the owner's key the stake is provided first, from idle stake, the Vault balance, then its tokens. The bit
class is the one that the running node offers, else 0; --bit-class names another, --tolerant none. A node
that runs is asked how long the longest evidence would take it: one that is too slow takes no seat without
--slow."""
)
@chain_options
@_NODE
@click.option("--model", required=True, help="TRAINER/NAME or the model's number.")
@click.option("--seats", "count", type=click.IntRange(1, 64), default=1, show_default=True)
@click.option("--bit-class", metavar="HEX", help="As `agent node run` prints it. [what the node offers now]")
@click.option("--tolerant", is_flag=True, help="Judge by the tolerant rule alone (a GPU, another build).")
@click.option("--slow", is_flag=True, help="Though the node can't check the longest evidence in time.")
@json_option
def take(
    node_: str | None,
    model: str,
    count: int,
    bit_class: str | None,
    tolerant: bool,
    slow: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Take seats for a model, with the stake for them."""
    if bit_class and tolerant:
        raise click.UsageError("--tolerant takes no --bit-class")
    settings = load(models=(model,), node=node_, **options)
    model_id = settings.models[0].model_id
    with _seating(settings) as seating:
        owner = settings.node or account_address(settings)
        found = _longest(seating.market.node(owner).endpoint, model_id)
        if found is not None and not found.fits:
            if not slow:
                raise SeatError(f"{found}. Take a faster machine, or the risk with --slow")
            click.echo(f"seats of this node may be fined: {found}", err=True)
        offered = bytes(32) if tolerant else _class(seating.market, owner, model_id, bit_class)
        _show(seating.market, seating.take(model_id, count, offered), as_json)


@seat.command(
    epilog="""\b
Examples:
  agent node seat leave 7 8 --account mynode"""
)
@chain_options
@_NODE
@click.argument("seats", type=click.IntRange(1), nargs=-1, required=True)
@json_option
def leave(node_: str | None, seats: tuple[int, ...], as_json: bool, **options: Any) -> None:
    """Leave seats from the next period on; says when their stake can be had back."""
    with _seating(load(node=node_, **options)) as seating:
        _show(seating.market, seating.leave(seats), as_json)


@seat.command(
    epilog="""\b
Examples:
  agent node seat release --account mynode          all whose time is over
  agent node seat release 7 --account mynode

Released stake stays provisioned to the court, for other seats: `agent node unstake --court` takes it back."""
)
@chain_options
@_NODE
@click.argument("seats", type=click.IntRange(1), nargs=-1)
@json_option
def release(node_: str | None, seats: tuple[int, ...], as_json: bool, **options: Any) -> None:
    """Free the stake of seats that were left and whose time is over."""
    with _seating(load(node=node_, **options)) as seating:
        _show(seating.market, seating.release(seats), as_json)


@seat.command(
    "list",
    epilog="""\b
Examples:
  agent node seat list --account mynode
  agent node seat list --node 0xOWNER --json""",
)
@chain_options
@_NODE
@click.option("--all", "everything", is_flag=True, help="Released ones too.")
@json_option
def list_(node_: str | None, everything: bool, as_json: bool, **options: Any) -> None:
    """A node's seats, their stake, and from when and until when they are bound. Needs no password."""
    settings = load(node=node_, **options)
    market = open_market(settings.rpc_url, settings.deployment)
    mine = seats_of(market, settings.node or account_address(settings))
    _show(market, [s for s in mine if everything or s.state is not SeatState.RELEASED], as_json)


@contextmanager
def _seating(settings: NodeSettings) -> Iterator[Seating]:
    with unlocked(settings) as (market, outbox):
        yield Seating(market, outbox, settings.node or outbox.address)


def _class(market: Market, owner: str, model_id: int, given: str | None) -> bytes:
    if given is not None:
        try:
            found = bytes.fromhex(given.removeprefix("0x"))
        except ValueError:
            found = b""
        if len(found) != 32:
            raise SeatError("a bit class is 0x and 64 hex digits: `agent node run` prints its models'")
        return found
    offer = _offer(market.node(owner).endpoint)
    for offered in offer:
        if int(offered.get("modelId", 0)) == model_id:
            return bytes.fromhex(str(offered["bitClass"])[2:])
    click.echo(
        "the node does not run, or does not offer this model: seats of class 0, for the tolerant rule alone",
        err=True,
    )
    return bytes(32)


def _offer(endpoint: str) -> list[dict[str, Any]]:
    """What the node's own server says it sells; nothing when it does not answer."""
    try:
        models = httpx.get(f"{endpoint}/v1/offer", timeout=3.0).json()["models"]
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, TypeError):
        return []
    return [m for m in models if isinstance(m, dict)] if isinstance(models, list) else []


def _longest(endpoint: str, model_id: int) -> Longest | None:
    """What the running node says of its speed; None when it says nothing."""
    try:
        told = httpx.get(f"{endpoint}/health", timeout=3.0).json()["court"]["longest"][str(model_id)]
        return Longest(int(told["tokens"]), float(told["seconds"]), float(told["room"]))
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, TypeError):
        return None


def _show(market: Market, seats: Sequence[HeldSeat], as_json: bool) -> None:
    now = market.clock.now()
    fields = {"seats": [_fields(seat) for seat in seats], "time": now}
    lines = [_line(market, seat, now) for seat in seats] or ["no seats: `agent node seat take` takes one"]
    say(fields, "\n".join(lines), as_json)


def _fields(held: HeldSeat) -> dict[str, Any]:
    return {
        "seat": held.number,
        "node": held.seat.node,
        "modelId": str(held.seat.model_id),
        "bitClass": "0x" + held.seat.bit_class.hex(),
        "stake": str(held.seat.stake),
        "state": held.state.value,
        "countsAt": held.counts_at,
        "drawnFrom": held.drawn_from,
        "leavesAt": held.seat.leaves_at,
    }


def _line(market: Market, held: HeldSeat, now: int) -> str:
    leaves, bound = held.seat.leaves_at, _could_leave(market, now)
    says = {
        SeatState.WAITING: f"counts from {_at(held.counts_at, now)}, drawn from {_at(held.drawn_from, now)}",
        SeatState.SITTING: f"can be drawn; if left now its stake is bound until {_at(bound, now)}",
        SeatState.LEFT: f"left; it owes its duty and its stake until {_at(leaves, now)}",
        SeatState.PUNISHED: f"lost stake, and its place; what is left comes free at {_at(leaves, now)}",
        SeatState.RELEASABLE: "its time is over: `agent node seat release`",
        SeatState.RELEASED: "released",
    }[held.state]
    judges = f"class 0x{held.seat.bit_class.hex()[:8]}…" if any(held.seat.bit_class) else "tolerant"
    stake = market.money(held.seat.stake)
    return f"seat {held.number}  model {held.seat.model_id} ({judges}), {stake}: {says}"


def _could_leave(market: Market, now: int) -> int:
    court = require_court(market)
    return (court.period(now) + 3) * court.terms.period + int(court.contract.call("longest"))


def _at(moment: int, now: int) -> str:
    return f"chain time {moment} (in {moment - now} s)" if moment > now else f"chain time {moment}"
