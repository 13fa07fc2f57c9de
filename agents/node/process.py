"""A node as a process: from its start to a signal that ends it."""

import logging
import os
import signal
import threading
from collections.abc import Callable
from typing import Protocol, TypeVar

from agents.node.errors import NodeError

log = logging.getLogger(__name__)

_INTERRUPTED = 130


class Running(Protocol):
    """A NodeRunner."""

    fatal: Exception | None
    ended: threading.Event

    def start(self) -> None: ...

    def stop(self) -> None: ...


R = TypeVar("R", bound=Running)


def run(runner: R, announce: Callable[[R], None]) -> None:
    """Run until Ctrl-C or SIGTERM, then stop in good order; a second signal ends at once, which loses nothing
    either.
    """
    started = threading.Event()

    def on_signal(number: int, _: object) -> None:
        if not started.is_set():
            raise KeyboardInterrupt
        if runner.ended.is_set():
            os._exit(_INTERRUPTED)
        log.warning("stopping: running answers get a moment; once more to stop at once")
        runner.ended.set()

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        runner.start()
        started.set()
        try:
            announce(runner)
            runner.ended.wait()
        finally:
            runner.stop()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if runner.fatal is not None:
        raise NodeError(f"the node had to stop ({runner.fatal}): start it again, nothing is lost")
