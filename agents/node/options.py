"""What the verbs of `agent node` have in common: flags, keys, what they print."""

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
from agents.node.errors import NodeError
from agents.node.places import journal_path
from agents.node.settings import NodeSettings

F = TypeVar("F", bound=Callable[..., Any])
Options = dict[str, Any]

PATH = click.Path(path_type=Path)


def chain_options(command: F) -> F:
    """What every verb needs to know."""
    for option in reversed(
        [
            click.option(
                "--rpc-url", help="JSON-RPC address of the chain. [CAPEK_RPC_URL; http://127.0.0.1:8545]"
            ),
            click.option(
                "--deployment", type=PATH, help="File with the contracts. [deployments/<chain>.json]"
            ),
            click.option(
                "--account",
                help="Keystore that signs: its alias or file. [CAPEK_ACCOUNT; the only one]",
            ),
            click.option("--password-file", type=PATH, help="File with its password; else a prompt."),
            click.option("--data-dir", type=PATH, help="Journal and encryption key. [~/.capek/<chain>/…]"),
        ]
    ):
        command = option(command)
    return command


def json_option(command: F) -> F:
    return click.option("--json", "as_json", is_flag=True, help="One JSON object, for scripts.")(command)


@contextmanager
def unlocked(settings: NodeSettings) -> Iterator[tuple[Market, Outbox]]:
    """The market, and the account's key ready to send."""
    wallet = wallet_of(settings)
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
        yield market, outbox


def wallet_of(settings: NodeSettings) -> Wallet:
    """The account's key; asks for its password where it has to."""
    return Wallet.load(_account(settings), password_file=settings.password_file)


def account_address(settings: NodeSettings) -> str:
    """Needs no password."""
    return address_of(_account(settings))


def _account(settings: NodeSettings) -> str:
    return account_name(AccountSettings.load(account=settings.account))


def hashes(sent: list[Intent]) -> list[str]:
    """0x hex of the transactions, for JSON."""
    return ["0x" + intent.tx_hash.hex() for intent in sent if intent.tx_hash]


def say(fields: Options, text: str, as_json: bool) -> None:
    """Print for people or for scripts."""
    click.echo(json.dumps(fields) if as_json else text)
