"""One key on one deployment: its wallet, its journal, its transactions."""

import secrets
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from agents.chain.journal import Journal
from agents.chain.outbox import Intent, Outbox, OutboxSettings
from agents.chain.paths import chain_home
from agents.chain.wallet import Wallet, aliases, keystore_folder
from agents.market.errors import NoAccount
from agents.market.events import Events
from agents.market.opening import open_market
from agents.market.reads import Market
from agents.market.settings import AccountSettings


@dataclass(frozen=True, slots=True)
class Call:
    """A transaction to be made: `data` to the contract at `to`."""

    action: str
    to: str
    data: bytes


def journal_path(chain_id: int, account: str) -> Path:
    """The journal of an account, whoever uses it: its transactions share one order."""
    return chain_home(chain_id) / "accounts" / f"{account.lower()}.sqlite"


def account_name(settings: AccountSettings) -> str:
    """The account named, or the only one there is.

    Raises:
        NoAccount: none is named, and there are none or several.
    """
    if settings.account:
        return settings.account
    found = aliases()
    if len(found) == 1:
        return found[0]
    there = f"has {', '.join(found)}" if found else "has none: make one with `agent account new NAME`"
    raise NoAccount(f"which account? Name one with --account (or CAPEK_ACCOUNT); {keystore_folder()} {there}")


class Account:
    """An unlocked key that is ready to sign and send. Close it, or use it in a `with`.

    Raises:
        AlreadyRunning: another process uses this key on this chain.
        JournalError: the journal can't be used.
    """

    def __init__(self, settings: AccountSettings, market: Market, wallet: Wallet) -> None:
        self.settings = settings
        self.market = market
        self.wallet = wallet
        depth = settings.confirmations_on(market.chain_id)
        self.events = Events(market, depth)
        self._closing = ExitStack()
        try:
            path = journal_path(market.chain_id, wallet.address)
            self.journal = self._closing.enter_context(Journal(path))
            limits = OutboxSettings(
                confirmations=depth,
                max_fee=int(settings.max_fee_gwei * 10**9),
                poll=min(settings.poll, 1.0),
            )
            outbox = Outbox(self.journal, market.connection, wallet, limits)
            self.outbox = self._closing.enter_context(outbox)
        except BaseException:
            self._closing.close()
            raise

    @classmethod
    def open(cls, settings: AccountSettings) -> "Account":
        """From settings alone; asks for the password where it has to.

        Raises:
            ChainError: its subclasses say what is missing.
            NoAccount: which one?
        """
        market = open_market(settings.rpc_url, settings.deployment)
        return cls(
            settings, market, Wallet.load(account_name(settings), password_file=settings.password_file)
        )

    def __enter__(self) -> "Account":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._closing.close()

    @property
    def address(self) -> str:
        return self.wallet.address

    def run(self, what: str, calls: Sequence[Call]) -> list[Intent]:
        """Make calls in their order, all written down before the first is sent; back when all are deep.

        Raises:
            IntentFailed, IntentTimeout, OutOfGasMoney: the rest stays in the outbox.
        """
        # Doing the same thing twice is two things, so each time gets a name of its own.
        subject = f"{what} {time.time_ns()}-{secrets.token_hex(4)}"
        with self.journal.transaction():
            for call in calls:
                self.outbox.put(subject, call.action, call.to, call.data)
        return [self.wait(subject, call.action) for call in calls]

    def wait(self, subject: str, action: str) -> Intent:
        """Until an intent is done, as `Outbox.wait`."""
        return self.outbox.wait(subject, action, self.settings.tx_timeout)
