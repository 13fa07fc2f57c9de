"""Chain time, by which promises and deadlines are kept."""

import threading
import time

from agents.chain.connection import Connection
from agents.chain.errors import RpcFault

_FRESH = 0.5
_BLOCKS = 64
_SLOWEST = 60.0
"""Seconds a block: a chain that makes none without transactions looks slower than it is."""


class ChainClock:
    """What the next block's timestamp would be, in seconds; asked anew every half second."""

    def __init__(self, connection: Connection) -> None:
        self._chain = connection
        self._lock = threading.Lock()
        self._pending = True
        self._read = 0
        self._at: float | None = None
        self._block_seconds: float | None = None

    def now(self) -> int:
        """Raises ChainUnreachable when the chain can't be asked."""
        with self._lock:
            if self._at is None or time.monotonic() - self._at > _FRESH:
                self._read = self._ask()
                self._at = time.monotonic()
            return self._read

    def block_seconds(self) -> float:
        """Seconds between blocks of late, at most 60; measured once.

        Raises:
            ChainUnreachable: the chain can't be asked.
        """
        with self._lock:
            if self._block_seconds is None:
                last = self._chain.latest()
                first = self._chain.block(max(0, last.number - _BLOCKS))
                if first is None or first.number == last.number:
                    return 0.0
                passed = (last.timestamp - first.timestamp) / (last.number - first.number)
                self._block_seconds = min(passed, _SLOWEST)
            return self._block_seconds

    def _ask(self) -> int:
        latest = self._chain.time()
        if self._pending:
            # A chain that makes blocks only for transactions has an old latest block, and a pending one of
            # now.
            try:
                pending = self._chain.block("pending")
            except (RpcFault, TypeError, KeyError):
                pending, self._pending = None, False
            if pending is not None:
                return max(latest, pending.timestamp)
        return latest
