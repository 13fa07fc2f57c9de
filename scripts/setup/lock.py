"""Keeps two set-ups from working on the same thing at once."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def exclusive(path: Path, what: str) -> Iterator[None]:
    """Hold the lock file `path`; wait, saying so, while another process has it.

    The kernel frees the lock when its holder ends in any way, so none is ever stale.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"  waiting for another set-up to finish {what} …", flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
