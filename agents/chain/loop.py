"""A thread that does one thing again and again, and lives through errors."""

import logging
import threading
from collections.abc import Callable

log = logging.getLogger(__name__)

MOST_BACKOFF = 30.0


class Loop:
    """Calls `step`, which returns the seconds to wait before the next time; `wake` cuts the wait short.

    An exception is logged and the step tried again, later and later up to 30 s; `trouble` holds its text
    until a step succeeds.
    """

    def __init__(self, name: str, step: Callable[[], float]) -> None:
        self.trouble: str | None = None
        self._name = name
        self._step = step
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        self._wake.set()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def stop(self) -> None:
        """Let the step that runs finish, then end."""
        self._stop.set()
        self._wake.set()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join()

    def _run(self) -> None:
        failures = 0
        while not self._stop.is_set():
            self._wake.clear()
            try:
                pause = self._step()
                failures, self.trouble = 0, None
            except Exception as e:
                failures += 1
                pause = min(0.5 * 2 ** min(failures, 10), MOST_BACKOFF)
                self.trouble = str(e)
                # A traceback once is help; every few seconds it is noise.
                log.warning("%s: %s; again in %.0f s", self._name, e, pause, exc_info=failures == 1)
            self._wake.wait(pause)
