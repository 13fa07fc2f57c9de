"""A local chain: anvil, from the cache, never left behind."""

import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from eth_account import Account

from agents.chain.connection import Connection
from agents.chain.errors import ChainError
from agents.chain.paths import cache_home
from agents.chain.wallet import Wallet

VERSION = "1.7.1"
MNEMONIC = "test test test test test test test test test test test junk"
"""anvil's own: everybody knows these keys."""
_PR_SET_PDEATHSIG = 1


class DevChainError(ChainError):
    """anvil is missing or does not start."""


def anvil_path() -> Path:
    """`$CAPEK_ANVIL`, or the one that set-up put into the cache.

    Raises:
        DevChainError: there is none.
    """
    path = Path(os.environ.get("CAPEK_ANVIL") or cache_home() / "anvil" / VERSION / "anvil")
    if not os.access(path, os.X_OK):
        raise DevChainError(f"no anvil at {path}: run `make setup`, or set CAPEK_ANVIL to one")
    return path


class DevChain:
    """A running anvil. It ends with `stop`, and at the latest with this process, however that dies.

    Args:
        port: 0 takes a free one.
        block_time: seconds between blocks; None mines a block for every transaction.
        automine: False mines only when told.
        state: a file the chain is kept in, written every second, and read at the start if it is there.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        chain_id: int = 31337,
        block_time: float | None = None,
        automine: bool = True,
        state: Path | None = None,
        accounts: int = 10,
        extra: Sequence[str] = (),
    ) -> None:
        args = [str(anvil_path()), "--host", "127.0.0.1", "--port", str(port), "--chain-id", str(chain_id)]
        args += ["--accounts", str(accounts), "--mnemonic", MNEMONIC]
        if block_time is not None:
            args += ["--block-time", str(block_time)]
        if not automine:
            args += ["--no-mining"]
        if state is not None:
            state.parent.mkdir(parents=True, exist_ok=True)
            args += ["--state", str(state), "--state-interval", "1", "--preserve-historical-states"]
        self.chain_id = chain_id
        self.url = ""
        self._last: deque[str] = deque(maxlen=20)
        self._ready = threading.Event()
        self._process: subprocess.Popen[str] | None = None
        # Linux ends the child with the *thread* that started it: so this thread stays as long as the child.
        self._keeper = threading.Thread(target=self._keep, args=([*args, *extra],), name="anvil", daemon=True)
        self._keeper.start()
        if not self._ready.wait(30) or not self.url:
            self.stop()
            said = " ".join(" ".join(self._last).split()) or "nothing"
            raise DevChainError(f"anvil did not start on port {port or 'any'}; it said: {said}")

    def __enter__(self) -> "DevChain":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def stop(self) -> None:
        """End it; with a state file, after that is written."""
        process = self._process
        if process is None:
            return
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._keeper.join()

    def connect(self) -> Connection:
        return Connection.open(self.url, self.chain_id)

    def _keep(self, args: list[str]) -> None:
        parent = os.getpid()
        libc = ctypes.CDLL(None) if sys.platform == "linux" else None

        def die_with_parent() -> None:
            if libc:
                libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
                if os.getppid() != parent:
                    os._exit(1)

        try:
            self._process = process = subprocess.Popen(
                args,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                # Ctrl-C in a terminal is for us: anvil must outlive it until its users are done.
                start_new_session=True,
                preexec_fn=die_with_parent,
            )
        except OSError as e:
            self._last.append(str(e))
            self._ready.set()
            return
        assert process.stdout is not None
        for line in process.stdout:
            if not self.url:
                self._last.append(line)
                if line.startswith("Listening on "):
                    self.url = "http://" + line.split()[-1]
                    self._ready.set()
        self._ready.set()


def dev_key(index: int) -> bytes:
    """The private key of one of the accounts that anvil fills with ether; everybody knows it."""
    Account.enable_unaudited_hdwallet_features()
    return bytes(Account.from_mnemonic(MNEMONIC, account_path=f"m/44'/60'/0'/0/{index}").key)


def dev_wallet(index: int) -> Wallet:
    """One of the accounts that anvil fills with ether."""
    return Wallet(dev_key(index))
