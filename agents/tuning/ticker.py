"""What makes a function's wall time pass: wasmtime's epoch, advanced while anybody runs one."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from agents.tuning.runtime import engine

TICK = 0.05
"""Seconds of an epoch."""

_lock = threading.Lock()
_users = 0
_stop = threading.Event()


@contextmanager
def ticking() -> Iterator[None]:
    """Advance the engine's epoch while anybody runs a function: one thread for the process."""
    global _users, _stop
    with _lock:
        _users += 1
        if _users == 1:
            _stop = threading.Event()
            threading.Thread(target=_tick, args=(_stop,), name="epochs", daemon=True).start()
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if _users == 0:
                _stop.set()


def _tick(stop: threading.Event) -> None:
    while not stop.wait(TICK):
        engine().increment_epoch()
