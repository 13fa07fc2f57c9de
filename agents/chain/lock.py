"""One process at a time, by flock: the kernel lets go when the process dies, however it dies."""

import fcntl
import os
from pathlib import Path

from agents.chain.errors import ChainError
from agents.chain.paths import chain_home


class AlreadyRunning(ChainError):
    """Another process holds what only one may hold."""


class FileLock:
    """Held from construction to `close`. `what` names the thing in the error."""

    def __init__(self, path: Path, what: str) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.pread(self._fd, 32, 0).decode(errors="replace").strip() or "unknown"
            os.close(self._fd)
            raise AlreadyRunning(
                f"{what} is in use by another process (pid {holder}): stop that one first"
            ) from None
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def lock_key(chain_id: int, address: str) -> FileLock:
    """Own an account's nonces on one chain: two owners would send two transactions with one nonce."""
    path = chain_home(chain_id) / "locks" / f"{address.lower()}.lock"
    return FileLock(path, f"account {address} on chain {chain_id}")
