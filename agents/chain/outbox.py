"""Transactions that are sent exactly once, whatever dies in between.

An intent (subject, action) is written down, then signed, its raw transaction stored, and only then sent. A
nonce belongs to one intent; every transaction signed for it carries that nonce, so that at most one of them
is ever mined.
"""

import threading
import time
from collections.abc import Callable

from web3 import Web3

from agents.chain.connection import Connection
from agents.chain.errors import ChainError
from agents.chain.intents import Call, Intent, Intents, State
from agents.chain.journal import Journal
from agents.chain.lock import lock_key
from agents.chain.loop import Loop
from agents.chain.sender import SHORT, OutboxSettings, Sender
from agents.chain.wallet import Signer

__all__ = ["Intent", "IntentFailed", "IntentTimeout", "OutOfGasMoney", "Outbox", "OutboxSettings", "State"]

IDLE = 60.0
"""Seconds between looks at the chain when there is nothing to send."""


class IntentFailed(ChainError):
    """The contracts refused the transaction; the text is the decoded reason."""


class IntentTimeout(ChainError):
    """Not done within the time given. The intent stays, and is carried on at the next start."""


class OutOfGasMoney(ChainError):
    """The account can't pay for gas; the text says how much to send where. The intent stays."""


def _nothing(_: str) -> None:
    pass


class Outbox:
    """The one owner of a key's nonces on one chain.

    `clock` (seconds) and `edge` (called with a name at every point where a crash would matter) are for tests.

    Raises:
        AlreadyRunning: another process owns this key.
        JournalMismatch: the journal belongs to another chain or account.
    """

    def __init__(
        self,
        journal: Journal,
        connection: Connection,
        signer: Signer,
        settings: OutboxSettings | None = None,
        *,
        clock: Callable[[], float] = time.time,
        edge: Callable[[str], None] = _nothing,
    ) -> None:
        self.address = signer.address
        self.settings = settings or OutboxSettings()
        self._journal = journal
        self._chain = connection
        self._ticking = threading.Lock()
        self._loop: Loop | None = None
        self._key = lock_key(connection.chain_id, self.address)
        try:
            journal.bind_chain(connection.chain_id, connection.genesis)
            journal.bind("account", self.address, "account")
            self._intents = Intents(journal)
        except BaseException:
            self._key.close()
            raise
        self._sender = Sender(self._intents, connection, signer, self.settings, clock, edge)

    def __enter__(self) -> "Outbox":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Tick in a thread until `close`."""
        self._loop = Loop("outbox", self._step)
        self._loop.start()

    def close(self) -> None:
        if self._loop:
            self._loop.stop()
        self._key.close()

    @property
    def trouble(self) -> str | None:
        """Why the thread can't work just now."""
        return self._loop.trouble if self._loop else None

    def put(
        self,
        subject: str,
        action: str,
        to: str | None,
        data: bytes,
        value: int = 0,
        gas_limit: int | None = None,
    ) -> int:
        """Write an intent down; its id. The same (subject, action) again is the same intent, whatever else
        is given.

        `to` None creates a contract; `value` in wei. Inside a journal transaction it is part of it.
        """
        recipient = None if to is None else Web3.to_checksum_address(to)
        found = self._intents.put(subject, action, Call(recipient, data, value, gas_limit))
        self._wake()
        return found

    def status(self, subject: str, action: str) -> Intent | None:
        return self._intents.find(subject, action)

    def unfinished(self) -> list[Intent]:
        """In the order they were put."""
        return self._intents.unfinished()

    def wait(self, subject: str, action: str, timeout: float) -> Intent:
        """Until the intent is done. Ticks itself when no thread does.

        Raises:
            KeyError: there is no such intent.
            IntentFailed, IntentTimeout, OutOfGasMoney: see there.
        """
        until = time.monotonic() + timeout
        pause = threading.Event()
        while True:
            ticking = self._loop is not None and self._loop.alive
            if not ticking:
                self.tick()
            found = self.status(subject, action)
            if found is None:
                raise KeyError(f"no intent {subject} {action}")
            if found.state is State.DONE:
                return found
            if found.state is State.FAILED:
                raise IntentFailed(found.note or "failed")
            # Money holds it up, or one before it in the queue.
            for other in self.unfinished():
                if other.id <= found.id and other.note and other.note.startswith(SHORT):
                    raise OutOfGasMoney(other.note)
            if time.monotonic() >= until:
                why = found.note or self.trouble or "no block took it yet"
                raise IntentTimeout(
                    f"{action} of {subject} is still {found.state} after {timeout:g} s: {why}"
                )
            pause.wait(0.05 if ticking else self.settings.poll)

    def retry(self, subject: str, action: str, data: bytes | None = None) -> None:
        """Try a failed intent anew, perhaps with other call data. Any other intent stays as it is."""
        with self._journal.transaction():
            found = self._intents.find(subject, action)
            if found is not None and found.state is State.FAILED:
                self._intents.requeue(found, None, data)
        self._wake()

    def drop(self, subject: str, action: str) -> bool:
        """Forget an intent that was not signed; False when it was, or there is none."""
        return self._intents.drop(subject, action)

    def tick(self) -> int:
        """Do all that is due now; how many intents are unfinished.

        Raises:
            ChainUnreachable, RpcFault: nothing is lost, tick again.
        """
        with self._ticking:
            if not self.unfinished() and not self._intents.any_attempt():
                return 0
            head = self._chain.latest()
            self._sender.settle(head)
            nonce = self._chain.nonce(self.address)
            self._sender.push(head, nonce)
            self._sender.launch(head, nonce)
            return len(self.unfinished())

    def _step(self) -> float:
        return self.settings.poll if self.tick() else IDLE

    def _wake(self) -> None:
        if self._loop:
            self._loop.wake()
