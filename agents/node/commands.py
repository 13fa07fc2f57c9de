"""`agent node`: run a node, register it, and handle its stake."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from agents.chain.journal import Journal
from agents.chain.lock import AlreadyRunning
from agents.chain.outbox import Intent, Outbox
from agents.chain.wallet import Wallet, address_of
from agents.market.account import account_name
from agents.market.opening import open_market
from agents.market.reads import Market
from agents.market.settings import AccountSettings
from agents.node.errors import IdentityError, NodeError
from agents.node.identity import encryption_key
from agents.node.places import journal_path, node_folder
from agents.node.settings import NodeSettings, load

F = TypeVar("F", bound=Callable[..., Any])
Options = dict[str, Any]

_PATH = click.Path(path_type=Path)


def _chain_options(command: F) -> F:
    """What every verb needs to know."""
    for option in reversed(
        [
            click.option(
                "--rpc-url", help="JSON-RPC address of the chain. [CAPEK_RPC_URL; http://127.0.0.1:8545]"
            ),
            click.option(
                "--deployment", type=_PATH, help="File with the contracts. [deployments/<chain>.json]"
            ),
            click.option(
                "--account",
                help="Keystore that signs: its alias or file. [CAPEK_ACCOUNT; the only one]",
            ),
            click.option("--password-file", type=_PATH, help="File with its password; else a prompt."),
            click.option("--data-dir", type=_PATH, help="Journal and encryption key. [~/.capek/<chain>/…]"),
        ]
    ):
        command = option(command)
    return command


def _json_option(command: F) -> F:
    return click.option("--json", "as_json", is_flag=True, help="One JSON object, for scripts.")(command)


@click.group(
    epilog="""\b
Examples:
  agent account new mynode                                        make a key; send it some ether and tokens
  agent node register --account mynode --endpoint https://node.example.org
  agent node stake --account mynode --model 0xTRAINER/smollm2-135m --jobs 10
  agent node run --account mynode --model 0xTRAINER/smollm2-135m
  agent node status --account mynode

Every flag can be set in the environment as CAPEK_NODE_<FLAG>."""
)
def node() -> None:
    """Run a node that sells answers, and handle its stake."""


@node.command(
    "run",
    epilog="""\b
Examples:
  agent node run --account mynode --model 0xTRAINER/smollm2-135m
  agent node run --account mynode --model 0xTRAINER/smollm2-135m@0=100000:400000 --threads 1 --port 8601
  CAPEK_PASSWORD_FILE=~/pw agent node run --account mynode --model 1234567890 --drain

Ctrl-C stops in good order (answers under way get --shutdown-seconds); once more stops at once. Neither loses
anything: what was accepted is carried on at the next start.""",
)
@_chain_options
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
    "--weights", multiple=True, type=_PATH, help="File or folder with weights you have already. Repeatable."
)
@click.option("--peer", "peers", multiple=True, help="Node to fetch models from. Repeatable.")
@click.option("--store-dir", type=_PATH, help="Content store. [~/.capek/store]")
@click.option(
    "--confirmations", type=int, help="Blocks before one counts, its own included. [1 locally, else 3]"
)
@click.option("--max-fee-gwei", type=float, help="Most that is paid for gas. [CAPEK_MAX_FEE_GWEI; 200]")
@click.option("--keep-days", type=float, help="How long prompts and outputs of ended jobs are kept. [7]")
@click.option("--shutdown-seconds", type=float, help="How long a stop waits for answers under way. [20]")
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
    **options: Any,
) -> None:
    """Serve models until Ctrl-C."""
    from agents.node import logs
    from agents.node.run import NodeRunner, run

    settings = load(
        node=node_,
        models=models or None,
        weights=weights or None,
        peers=peers or None,
        log_json=False if log_text else None,
        **options,
    )
    logs.set_up(settings.log_level, as_json=settings.log_json)
    wallet = _wallet(settings)
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
@_chain_options
@click.option("--operator", metavar="ADDRESS", help="Key that runs the node. [the owner's own]")
@click.option("--encryption-key", metavar="HEX", help="The node's X25519 public key. [made on this machine]")
@click.option("--endpoint", help="Public base address. [the first `agent node run` fills it in]")
@_json_option
def register(
    operator: str | None, encryption_key: str | None, endpoint: str | None, as_json: bool, **options: Any
) -> None:
    """Create a node, or change its operator, key or endpoint."""
    settings = load(endpoint=endpoint, **options)
    with _owner(settings) as staking:
        public = _public_key(settings, staking.market.chain_id, staking.owner, encryption_key)
        before = staking.market.node(staking.owner)
        sent = staking.register(operator or staking.owner, public, settings.endpoint or before.endpoint)
        found = staking.market.node(staking.owner)
    fields = {"node": staking.owner, "operator": found.operator, "endpoint": found.endpoint,
              "encryptionKey": "0x" + found.encryption_key.hex(), "transactions": _hashes(sent)}  # fmt: skip
    text = f"node {staking.owner}, operator {found.operator}, endpoint {found.endpoint or '(none yet)'}"
    _say(fields, text if sent else f"{text}: nothing to change", as_json)


@node.command(
    epilog="""\b
Examples:
  agent node stake --account mynode --model 0xTRAINER/smollm2-135m --jobs 10

Each open job binds one penalty of stake until it is settled. What lies idle is used first, then the owner's
Vault balance, then its tokens. If something is missing you are told how much, and where to send it; nothing
is sent then.
"""
)
@_chain_options
@click.option("--model", required=True, help="TRAINER/NAME or the model's number.")
@click.option(
    "--jobs", type=click.IntRange(1), default=5, show_default=True, help="Jobs to have stake for at once."
)
@_json_option
def stake(model: str, jobs: int, as_json: bool, **options: Any) -> None:
    """Deposit, stake and provision until there is stake for N jobs at once."""
    settings = load(models=(model,), **options)
    with _owner(settings) as staking:
        model_id = settings.models[0].model_id
        sent = staking.ensure(model_id, jobs)
        found = staking.market.provision(staking.owner, model_id)
        penalty = staking.market.terms.penalty
        money = staking.market.money
        room = found.free // penalty
        text = f"{money(found.amount)} provisioned, {money(found.free)} free: enough for {room} jobs"
    fields = {"modelId": str(model_id), "amount": str(found.amount), "free": str(found.free),
              "jobs": room, "transactions": _hashes(sent)}  # fmt: skip
    _say(fields, text if sent else f"{text}; nothing to do", as_json)


@node.command(
    epilog="""\b
Examples:
  agent node unstake --account mynode --model 0xTRAINER/smollm2-135m --thaw          1. ask for it back
  agent node unstake --account mynode --model 0xTRAINER/smollm2-135m --deprovision   2. once it is thawed
  agent node unstake --account mynode --amount 25000000                              3. to the owner's Vault
  balance agent withdraw …                                                                   4. out of the
  Vault
  """
)
@_chain_options
@click.option("--model", help="TRAINER/NAME or the model's number; for --thaw and --deprovision.")
@click.option(
    "--thaw",
    "step",
    flag_value="thaw",
    help="Start to take free provisioned stake back; jobs can't use it any more.",
)
@click.option("--deprovision", "step", flag_value="deprovision", help="Make thawed stake idle.")
@click.option("--amount", type=click.IntRange(1), help="Base units. [all there is]")
@click.option("--to", metavar="ADDRESS", help="Vault account that gets idle stake. [the owner]")
@_json_option
def unstake(
    model: str | None, step: str | None, amount: int | None, to: str | None, as_json: bool, **options: Any
) -> None:
    """Take stake back, step by step; without a step, move idle stake to the Vault balance."""
    if step and not model:
        raise click.UsageError(f"--{step} needs --model")
    settings = load(models=(model,) if model else None, **options)
    with _owner(settings) as staking:
        if step == "thaw":
            sent = staking.thaw(settings.models[0].model_id, amount)
            found = staking.market.provision(staking.owner, settings.models[0].model_id)
            text = f"{staking.market.money(found.thawing)} thawing, until chain time {found.thawed_at}"
        elif step == "deprovision":
            sent = staking.deprovision(settings.models[0].model_id)
            text = f"{staking.market.money(staking.market.idle_stake(staking.owner))} idle now"
        else:
            sent = staking.unstake(amount, to)
            account = to or staking.owner
            text = f"{staking.market.money(staking.market.balance(account))} in {account}'s Vault balance"
    _say({"transactions": _hashes(sent), "result": text}, text, as_json)


@node.command(
    epilog="""\b
Examples:
  agent node status --account mynode
  agent node status --node 0xOWNER --model 0xTRAINER/smollm2-135m --json"""
)
@_chain_options
@click.option("--node", "node_", metavar="ADDRESS", help="The node's owner. [the account's address]")
@click.option("--model", "models", multiple=True, help="Models to show stake for. Repeatable.")
@_json_option
def status(node_: str | None, models: tuple[str, ...], as_json: bool, **options: Any) -> None:
    """What the chain and the node itself say: registration, stake, jobs. Needs no password."""
    from agents.node.stake import report

    settings = load(node=node_, models=models or None, **options)
    market = open_market(settings.rpc_url, settings.deployment)
    owner = settings.node or _address(settings)
    found = report(market, owner, [spec.model_id for spec in settings.models])
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
        "health": _health(found.node.endpoint),
    }  # fmt: skip
    _say(fields, "\n".join(_status_lines(market, owner, found, fields["health"])), as_json)


def _status_lines(market: Market, owner: str, found: Any, health: dict[str, Any] | None) -> Iterator[str]:
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
    if health is None:
        yield "health    no answer at its endpoint: does it run (`agent node run`), reachable from here?"
    else:
        jobs = (
            ", ".join(f"{count} {state}" for state, count in health.get("jobs", {}).items() if count)
            or "none"
        )
        yield f"health    {health.get('status')}; jobs: {jobs}"


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
@_chain_options
@click.option("--node", "node_", metavar="ADDRESS", help="The node's owner. [the account's address]")
def key(node_: str | None, **options: Any) -> None:
    """Print this machine's encryption key for a node (its public half), made if there is none."""
    settings = load(node=node_, **options)
    market = open_market(settings.rpc_url, settings.deployment)
    owner = settings.node or _address(settings)
    click.echo("0x" + encryption_key(node_folder(settings, market.chain_id, owner))[1].hex())


@contextmanager
def _owner(settings: NodeSettings) -> Iterator[Any]:
    """The owner's key, ready to send."""
    from agents.node.stake import Staking

    wallet = _wallet(settings)
    market = open_market(settings.rpc_url, settings.deployment)
    with ExitStack() as closing:
        try:
            journal = closing.enter_context(Journal(journal_path(settings, market.chain_id, wallet.address)))
            outbox = closing.enter_context(
                Outbox(journal, market.connection, wallet, settings.outbox(market.chain_id))
            )
        except AlreadyRunning as error:
            raise NodeError(
                f"{error} (a running node has its key to itself: stop it, or own it by another account)"
            ) from None
        yield Staking(market, outbox)


def _wallet(settings: NodeSettings) -> Wallet:
    return Wallet.load(_account(settings), password_file=settings.password_file)


def _address(settings: NodeSettings) -> str:
    return address_of(_account(settings))


def _account(settings: NodeSettings) -> str:
    return account_name(AccountSettings.load(account=settings.account))


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


def _hashes(sent: list[Intent]) -> list[str]:
    return ["0x" + intent.tx_hash.hex() for intent in sent if intent.tx_hash]


def _say(fields: Options, text: str, as_json: bool) -> None:
    click.echo(json.dumps(fields) if as_json else text)
