"""One line on the terminal for each step of set-up: what, and whether it was cached or how long it took."""

import hashlib
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

Note = Callable[[str], None]
"""Says how far a step has come, in a few words."""

_LOG_EVERY = 30.0  # seconds between progress lines where there is no terminal


def silent(text: str) -> None:
    """A `Note` that nobody reads."""


class _Line:
    """The line of one running step. On a terminal it is rewritten each second, else printed now and then."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._text = ""
        self._start = self._printed = time.monotonic()
        self._ended = threading.Event()
        self._ticker = threading.Thread(target=self._tick, daemon=True)

    def __enter__(self) -> "_Line":
        if sys.stdout.isatty():
            self._ticker.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        if self._ticker.is_alive():
            self._ticker.join()
            print("\r\x1b[K", end="", flush=True)

    def note(self, text: str) -> None:
        self._text = text
        now = time.monotonic()
        if not sys.stdout.isatty() and now - self._printed >= _LOG_EVERY:
            self._printed = now
            print(f"  {self._what:<40} {text}, {now - self._start:.0f} s so far", flush=True)

    def seconds(self) -> float:
        return time.monotonic() - self._start

    def _tick(self) -> None:
        while True:
            print(f"\r\x1b[K  {self._what:<40} … {self.seconds():.0f} s {self._text}", end="", flush=True)
            if self._ended.wait(1.0):
                return


def run(what: str, is_done: Callable[[], bool], work: Callable[[Note], None]) -> None:
    """Do `work` unless `is_done`, which must be cheap, and true only after `work` has wholly succeeded."""
    if is_done():
        print(f"  {what:<40} cached", flush=True)
        return
    with _Line(what) as line:
        work(line.note)
    print(f"  {what:<40} done in {line.seconds():.1f} s", flush=True)


def digest(*parts: str | Path) -> str:
    """Hex SHA-256 over texts and the contents of files, each length-prefixed."""
    total = hashlib.sha256()
    for part in parts:
        data = part.read_bytes() if isinstance(part, Path) else part.encode()
        total.update(len(data).to_bytes(8, "big") + data)
    return total.hexdigest()


class Stamp:
    """A file that remembers for which inputs a step was last finished."""

    def __init__(self, path: Path, key: str) -> None:
        self._path = path
        self._key = key

    def current(self) -> bool:
        try:
            return self._path.read_text() == self._key
        except (OSError, UnicodeDecodeError):
            return False

    def clear(self) -> None:
        self._path.unlink(missing_ok=True)

    def write(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.write_text(self._key)
