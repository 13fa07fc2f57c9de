"""The process dies at every point where it matters; nothing may be sent twice, nothing lost."""

import os
import random
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from chain_support import Anvil, key

from agents.chain.connection import Connection
from agents.chain.contracts import Contract
from agents.chain.devchain import dev_wallet
from agents.chain.journal import Journal
from agents.chain.outbox import Outbox, OutboxSettings, State

NAMES = ["a", "b", "c"]
DIED, FINISHED, GAVE_UP = 9, 0, 3


def work(url: str, probe: Contract, path: Path, mine: bool, edge: Callable[[str], None]) -> bool:
    """What an agent does at each start: put its intents, and tick until they are done."""
    connection = Connection.open(url)
    with Journal(path) as journal:
        outbox = Outbox(journal, connection, dev_wallet(0), OutboxSettings(confirmations=2), edge=edge)
        for name in NAMES:
            # The same intents are put again after every start.
            outbox.put(
                f"{path.stem}/{name}", "mark", probe.address, probe.data("mark", key(path.stem + name))
            )
        for _ in range(400):
            if outbox.tick() == 0:
                outbox.close()
                return True
            if mine:
                connection.rpc("evm_mine")
        outbox.close()
    return False


def in_child(job: Callable[[], bool]) -> int:
    pid = os.fork()
    if pid == 0:
        code = GAVE_UP
        try:
            code = FINISHED if job() else GAVE_UP
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


class DieAt:
    """An edge that ends the process the n-th time any edge is passed."""

    def __init__(self, n: int) -> None:
        self.left = n

    def __call__(self, name: str) -> None:
        self.left -= 1
        if self.left == 0:
            os._exit(DIED)


def edges(anvil: Anvil, probe: Contract, path: Path) -> list[str]:
    seen: list[str] = []
    assert work(anvil.url, probe, path, True, seen.append)
    return seen


def check(anvil: Anvil, probe: Contract, path: Path, nonce: int) -> None:
    assert [probe.call("countOf", key(path.stem + name)) for name in NAMES] == [1, 1, 1], path.stem
    assert anvil.connection.nonce(dev_wallet(0).address) == nonce + 3, "one transaction each"
    with Journal(path) as journal, Outbox(journal, anvil.connection, dev_wallet(0)) as outbox:
        for name in NAMES:
            found = outbox.status(f"{path.stem}/{name}", "mark")
            assert found is not None
            assert found.state is State.DONE


def test_dying_at_every_edge(anvil: Anvil, probe: Contract, tmp_path: Path) -> None:
    """Once at every edge, and once more soon after the restart."""
    all_edges = edges(anvil, probe, tmp_path / "calm.db")
    assert set(all_edges) == {"before-sign", "signed", "before-send", "sent", "before-record", "recorded"}
    for first in range(1, len(all_edges) + 1):
        for second in (2, None):
            path = tmp_path / f"e{first}-{second or 0}.db"
            nonce = anvil.connection.nonce(dev_wallet(0).address)
            assert in_child(lambda p=path, n=first: work(anvil.url, probe, p, True, DieAt(n))) == DIED
            if second:
                in_child(lambda p=path, n=second: work(anvil.url, probe, p, True, DieAt(n)))
            assert in_child(lambda p=path: work(anvil.url, probe, p, True, lambda _: None)) == FINISHED
            check(anvil, probe, path, nonce)


@pytest.mark.parametrize("seed", range(4))
def test_sigkill_at_any_moment(anvil: Anvil, probe: Contract, tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    path = tmp_path / f"k{seed}.db"
    nonce = anvil.connection.nonce(dev_wallet(0).address)
    for _ in range(12):
        pid = os.fork()
        if pid == 0:
            try:
                work(anvil.url, probe, path, True, lambda _: None)
            finally:
                os._exit(FINISHED)
        threading.Event().wait(chance.uniform(0, 0.15))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    assert in_child(lambda: work(anvil.url, probe, path, True, lambda _: None)) == FINISHED
    check(anvil, probe, path, nonce)
