"""Transactions that the court waits for, until the contract says that they did what they were for."""

import logging
import time

from agents.chain.connection import Connection
from agents.chain.outbox import Outbox, State
from agents.node.attempts import latest_attempt

log = logging.getLogger(__name__)

_AGAIN_AFTER, _MOST_PAUSE = 2.0, 16.0


class Sending:
    """Puts intents into the outbox and sees to those that were refused or fell out of the chain."""

    def __init__(self, outbox: Outbox, connection: Connection) -> None:
        self._outbox = outbox
        self._connection = connection
        self._retried: dict[tuple[str, str], tuple[int, float]] = {}

    @property
    def address(self) -> str:
        """The key that signs."""
        return self._outbox.address

    def put(self, subject: str, action: str, to: str, data: bytes) -> None:
        """Write an intent down, in the journal transaction that runs; the same again is the same one."""
        self._outbox.put(subject, action, to, data)

    def see_to(self, subject: str, action: str, to: str, data: bytes) -> None:
        """The contract still waits for this: have it sent, or sent again if it was refused, or done in a
        block that is gone. However often that is: who calls stops when there is no time left.
        """
        name, intent = latest_attempt(self._outbox, self._connection, subject, action, "~")
        if intent is None:
            self._outbox.put(subject, name, to, data)
        elif intent.state is State.FAILED and self._may_retry(subject, name):
            log.info("again: %s was refused: %s", name, intent.note, extra={"dispute": subject})
            self._outbox.retry(subject, name)

    def under_way(self, subject: str, action: str) -> bool:
        """Whether it is queued, or out and not deep yet."""
        intent = self._outbox.status(subject, action)
        return intent is not None and not intent.over

    def _may_retry(self, subject: str, name: str) -> bool:
        times, last = self._retried.get((subject, name), (0, 0.0))
        pause = min(_AGAIN_AFTER * 2 ** min(max(0, times - 1), 8), _MOST_PAUSE)
        if times and time.monotonic() - last < pause:
            return False
        self._retried[subject, name] = times + 1, time.monotonic()
        return True
