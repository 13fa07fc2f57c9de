"""Child processes that never outlive their parent, whatever ends it.

Linux ends a child with the *thread* that started it: start and restart them from the main thread.
"""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

PR_SET_PDEATHSIG = 1
GRACE = 10.0
"""Seconds a process has to end by itself after SIGTERM."""


class ProcessFailed(Exception):
    """A process ended, or was not ready in time; the text ends with the last lines of its log."""


class Process:
    """One child with its log file; `start` after its end runs it again, as a supervisor would."""

    def __init__(self, name: str, command: Sequence[str], env: Mapping[str, str], log: Path) -> None:
        self.name = name
        self.log = log
        self._command = list(command)
        self._env = {**os.environ, **env}
        self._child: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def pid(self) -> int:
        """The running child's process id."""
        assert self._child is not None
        return self._child.pid

    @property
    def alive(self) -> bool:
        return self._child is not None and self._child.poll() is None

    def start(self) -> None:
        """Run the command; its output is appended to the log."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as out:
            self._child = subprocess.Popen(
                self._command,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                # Ctrl-C in the terminal is the parent's to handle; it then stops the children in order.
                start_new_session=True,
                preexec_fn=_die_with_parent if sys.platform == "linux" else None,
            )

    def wait_until(self, ready: Callable[[], bool], seconds: float) -> None:
        """Poll `ready` until it holds.

        Raises:
            ProcessFailed: the process ended, or the time is over.
        """
        end = time.monotonic() + seconds
        while not ready():
            if not self.alive:
                raise ProcessFailed(f"{self.name} ended early; its log {self.log} ends with:\n{self.tail()}")
            if time.monotonic() > end:
                raise ProcessFailed(
                    f"{self.name} was not ready in {seconds:.0f} s; see {self.log}:\n{self.tail()}"
                )
            time.sleep(0.1)

    def kill(self) -> None:
        """SIGKILL: it gets no chance to tidy up."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """SIGTERM, and SIGKILL for what is still there after the grace."""
        self._end(signal.SIGTERM)

    def tail(self, lines: int = 12) -> str:
        """The end of the log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def _end(self, how: signal.Signals) -> None:
        child = self._child
        if child is None or child.poll() is not None:
            return
        child.send_signal(how)
        try:
            child.wait(GRACE)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def _die_with_parent() -> None:
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
