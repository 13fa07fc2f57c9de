"""`agent node`: run a node, register it, and see how it stands."""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click

from agents.market.events import Events
from agents.market.opening import open_market
from agents.market.reads import Market
from agents.node.court.commands import seat
from agents.node.court.seats import seats_of
from agents.node.errors import IdentityError
from agents.node.identity import encryption_key
from agents.node.listing import jobs
from agents.node.options import (
    PATH,
    account_address,
    chain_options,
    hashes,
    json_option,
    say,
    wallet_of,
)
from agents.node.places import node_folder
from agents.node.settings import NodeSettings, load
from agents.node.stake import StakeReport, report
from agents.node.stake_commands import owner, stake, unstake


@click.group(
    epilog="""\b
Examples:
  agent account new mynode                                        make a key; send it some ether and tokens
  agent node register --account mynode --endpoint https://node.example.org
  agent node stake --account mynode --model 0xTRAINER/smollm2-135m --jobs 10
  agent node run --account mynode --model 0xTRAINER/smollm2-135m
  agent node run --account mynode --model 0xTRAINER/smollm2-135m --seats 1       judge others' answers too
  agent node status --account mynode

Every flag can be set in the environment as CAPEK_NODE_<FLAG>."""
)
def node() -> None:
    """Run a node that sells answers and judges others', and handle its stake."""


node.add_command(stake)
node.add_command(unstake)
node.add_command(seat)
node.add_command(jobs)


@node.command(
    "run",
    epilog="""\b
Examples:
  agent node run --account mynode --model 0xTRAINER/smollm2-135m
  agent node run --account mynode --model 0xTRAINER/smollm2-135m@0=100000:400000 --threads 1 --port 8601
  agent node run --account mynode --model 0xTRAINER/smollm2-135m --seats 2
  CAPEK_PASSWORD_FILE=~/pw agent node run --account mynode --model 1234567890 --drain

Ctrl-C stops in good order (answers under way get --shutdown-seconds); once more stops at once. Neither loses
anything: what was accepted is carried on at the next start, and so are votes in the court.

With --seats N a node judges disputed answers of its models for a fee: it holds N seats for each, takes those
that are missing (with the stake, where this account is the owner), repeats the work when it is drawn,
and votes. Each seat binds stake, and silence is fined: see `agent node seat --help`. It warns where the
longest evidence would take this machine longer than a vote has.""",
)
@chain_options
@click.option(
    "--model",
    "models",
    multiple=True,
    help="TRAINER/NAME or number, [@VERSION], [=INPUT:OUTPUT price]. Repeatable.",
)
@click.option(
    "--node", "node_", metavar="ADDRESS", help="The node's owner, where this account is its operator only."
)
@click.option("--pay-to", metavar="ADDRESS", help="Vault account that earns. [the owner]")
@click.option("--host", help="Address to listen on. [127.0.0.1]")
@click.option("--port", type=int, help="Port to listen on, 0 for a free one. [8600]")
@click.option(
    "--endpoint", help="Public base address, written to the registry when it changed. [http://HOST:PORT]"
)
@click.option("--input-price", type=int, help="Base units per million prompt tokens. [100000]")
@click.option("--output-price", type=int, help="Base units per million output tokens. [400000]")
@click.option("--max-tokens", type=int, help="Most output tokens of one job. [2048]")
@click.option("--context", type=int, help="Most tokens of prompt and answer. [4096, or the model's limit]")
@click.option("--parallel", type=int, help="Jobs at once for each model. [4]")
@click.option(
    "--threads", type=int, help="Threads for each model; 1 where nodes share a machine. [physical cores]"
)
@click.option(
    "--gpu-layers", type=int, help="Layers on the GPU, -1 for all: then answers are sold in bit class 0. [0]"
)
@click.option(
    "--weights", multiple=True, type=PATH, help="File or folder with weights you have already. Repeatable."
)
@click.option("--peer", "peers", multiple=True, help="Node to fetch models from. Repeatable.")
@click.option("--store-dir", type=PATH, help="Content store. [~/.capek/store]")
@click.option(
    "--confirmations", type=int, help="Blocks before one counts, its own included. [1 locally, else 3]"
)
@click.option("--max-fee-gwei", type=float, help="Most that is paid for gas. [CAPEK_MAX_FEE_GWEI; 200]")
@click.option("--keep-days", type=float, help="How long prompts and outputs of ended jobs are kept. [7]")
@click.option("--shutdown-seconds", type=float, help="How long a stop waits for answers under way. [20]")
@click.option("--seats", type=int, help="Seats in the court to hold for each model. [those there are]")
@click.option(
    "--verify-only", is_flag=True, default=None, help="Sell nothing: run the models for the court alone."
)
@click.option(
    "--no-appeal", is_flag=True, help="Never fund an appeal against a wrong ruling over our own answer."
)
@click.option("--drain", is_flag=True, default=None, help="Take nothing new, only finish what was accepted.")
@click.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"]), help="[info]")
@click.option(
    "--log-text", is_flag=True, help="Logs for people; else one JSON object a line. Both on stderr."
)
def run_(
    node_: str | None,
    models: tuple[str, ...],
    weights: tuple[Path, ...],
    peers: tuple[str, ...],
    log_text: bool,
    no_appeal: bool,
    **options: Any,
) -> None:
    """Serve models, and sit in the court, until Ctrl-C."""
    from agents.node import logs
    from agents.node.run import NodeRunner, run

    settings = load(
        node=node_,
        models=models or None,
        weights=weights or None,
        peers=peers or None,
        log_json=False if log_text else None,
        appeal=False if no_appeal else None,
        **options,
    )
    logs.set_up(settings.log_level, as_json=settings.log_json)
    wallet = wallet_of(settings)
    runner = NodeRunner(settings, wallet, progress=_progress())
    run(runner, lambda started: click.echo(_greeting(started)))


def _greeting(runner: Any) -> str:
    sold = [
        f"  {m.label}: {m.input_price} and {m.output_price} base units per million tokens, "
        f"{1 / m.speed.costs.write:.0f} tokens/s, bit class 0x{m.bit_class.hex()[:8]}…"
        for m in runner.models.values()
    ]
    return "\n".join([f"node {runner.identity.node} listens at {runner.endpoint}", *sold, "Ctrl-C stops it."])


def _progress() -> Callable[[str, int, int], None]:
    shown: dict[str, int] = {}

    def show(what: str, here: int, of: int) -> None:
        tenth = 10 * here // max(of, 1)
        if shown.get(what) != tenth:
            shown[what] = tenth
            click.echo(f"fetching {what}: {here >> 20} of {of >> 20} MiB", err=True)

    return show


@node.command(
    epilog="""\b
Examples:
  agent node register --account mynode --endpoint https://node.example.org
  agent node register --account owner --operator 0xOPERATOR --encryption-key 0x… --endpoint https://…

The owner's key registers. Where another key is to run the node (--operator), make the encryption key on that
machine with `agent node key --node OWNER` and give it here.
"""
)
@chain_options
@click.option("--operator", metavar="ADDRESS", help="Key that runs the node. [the owner's own]")
@click.option("--encryption-key", metavar="HEX", help="The node's X25519 public key. [made on this machine]")
@click.option("--endpoint", help="Public base address. [the first `agent node run` fills it in]")
@json_option
def register(
    operator: str | None, encryption_key: str | None, endpoint: str | None, as_json: bool, **options: Any
) -> None:
    """Create a node, or change its operator, key or endpoint."""
    settings = load(endpoint=endpoint, **options)
    with owner(settings) as staking:
        public = _public_key(settings, staking.market.chain_id, staking.owner, encryption_key)
        before = staking.market.node(staking.owner)
        sent = staking.register(operator or staking.owner, public, settings.endpoint or before.endpoint)
        found = staking.market.node(staking.owner)
    fields = {"node": staking.owner, "operator": found.operator, "endpoint": found.endpoint,
              "encryptionKey": "0x" + found.encryption_key.hex(), "transactions": hashes(sent)}  # fmt: skip
    text = f"node {staking.owner}, operator {found.operator}, endpoint {found.endpoint or '(none yet)'}"
    say(fields, text if sent else f"{text}: nothing to change", as_json)


@node.command(
    epilog="""\b
Examples:
  agent node status --account mynode
  agent node status --node 0xOWNER --model 0xTRAINER/smollm2-135m --json"""
)
@chain_options
@click.option("--node", "node_", metavar="ADDRESS", help="The node's owner. [the account's address]")
@click.option("--model", "models", multiple=True, help="Models to show stake for. Repeatable. [all]")
@json_option
def status(node_: str | None, models: tuple[str, ...], as_json: bool, **options: Any) -> None:
    """What the chain and the node itself say: registration, stake, seats, jobs. Needs no password."""
    settings = load(node=node_, models=models or None, **options)
    market = open_market(settings.rpc_url, settings.deployment)
    owner = settings.node or account_address(settings)
    # Without a name, all that it ever staked for.
    shown = [spec.model_id for spec in settings.models] or sorted(
        {model_id for _, model_id in Events(market).provisioned(owner)}
    )
    found = report(market, owner, shown)
    seats = Counter(s.seat.model_id for s in (seats_of(market, owner) if market.court else ()) if s.holds)
    fields: dict[str, Any] = {
        "node": owner,
        "registered": found.node.exists,
        "operator": found.node.operator,
        "endpoint": found.node.endpoint,
        "ether": str(found.ether),
        "tokens": str(found.tokens),
        "vault": str(found.balance),
        "idleStake": str(found.idle),
        "provisions": {
            str(model_id): {"amount": str(p.amount), "reserved": str(p.reserved), "thawing": str(p.thawing),
                            "thawedAt": p.thawed_at, "free": str(p.free), "jobs": found.jobs[model_id]}
            for model_id, p in found.provisions.items()
        },
        "court": {
            str(model_id): {"seats": seats[model_id], "amount": str(p.amount), "reserved": str(p.reserved),
                            "thawing": str(p.thawing), "thawedAt": p.thawed_at, "free": str(p.free)}
            for model_id, p in found.court.items()
        },
        "health": _health(found.node.endpoint),
    }  # fmt: skip
    say(fields, "\n".join(_status_lines(market, owner, found, seats, fields["health"])), as_json)


def _status_lines(
    market: Market, owner: str, found: StakeReport, seats: Counter[int], health: dict[str, Any] | None
) -> Iterator[str]:
    money = market.money
    if not found.node.exists:
        yield f"{owner} is not registered on chain {market.chain_id}: `agent node register`"
    else:
        yield f"node      {owner}"
        yield f"operator  {found.node.operator}"
        yield f"endpoint  {found.node.endpoint or '(none)'}"
    yield f"gas       {found.ether / 10**18:.6f} ETH"
    yield f"tokens    {money(found.tokens)} outside the Vault, {money(found.balance)} in it"
    yield f"idle      {money(found.idle)} of stake"
    for model_id, p in found.provisions.items():
        yield (
            f"model     {model_id}: {money(p.amount)} staked, {money(p.reserved)} bound by jobs, "
            f"{money(p.thawing)} thawing; room for {found.jobs[model_id]} jobs"
        )
    for model_id, p in found.court.items():
        if p.amount:
            yield (
                f"court     {model_id}: {seats[model_id]} seats in the court, {money(p.amount)} staked for "
                f"them, {money(p.reserved)} bound, {money(p.thawing)} thawing"
            )
    if health is None:
        yield "health    no answer at its endpoint: does it run (`agent node run`), reachable from here?"
    else:
        jobs = (
            ", ".join(f"{count} {state}" for state, count in health.get("jobs", {}).items() if count)
            or "none"
        )
        yield f"health    {health.get('status')}; jobs: {jobs}"
        if court := health.get("court"):
            votes = sum(map(int, court.get("votes", {}).values()))
            yield (
                f"verifier  {court.get('open')} disputes open, {votes} votes cast, {court.get('silent')} "
                f"missed, {money(int(court.get('earned', 0)))} earned"
            )


def _health(endpoint: str) -> dict[str, Any] | None:
    import httpx

    try:
        found = httpx.get(f"{endpoint}/health", timeout=3.0).json()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError):
        return None
    return found if isinstance(found, dict) else None


@node.command(
    epilog="""\b
Examples:
  agent node key --node 0xOWNER"""
)
@chain_options
@click.option("--node", "node_", metavar="ADDRESS", help="The node's owner. [the account's address]")
def key(node_: str | None, **options: Any) -> None:
    """Print this machine's encryption key for a node (its public half), made if there is none."""
    settings = load(node=node_, **options)
    market = open_market(settings.rpc_url, settings.deployment)
    owner = settings.node or account_address(settings)
    click.echo("0x" + encryption_key(node_folder(settings, market.chain_id, owner))[1].hex())


def _public_key(settings: NodeSettings, chain_id: int, owner: str, given: str | None) -> bytes:
    if given is None:
        return encryption_key(node_folder(settings, chain_id, owner))[1]
    try:
        public = bytes.fromhex(given.removeprefix("0x"))
    except ValueError:
        public = b""
    if len(public) != 32:
        raise IdentityError(
            "an encryption key is 0x and 64 hex digits: `agent node key` on the node's machine prints it"
        )
    return public
