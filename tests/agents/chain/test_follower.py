import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from chain_support import Anvil, key

from agents.chain.connection import Block, Connection, RawLog
from agents.chain.contracts import Contract, Event
from agents.chain.devchain import dev_wallet
from agents.chain.errors import ChainUnreachable, RpcFault
from agents.chain.follower import Confirmations, Follower, Inconsistent, Progress, Projection
from agents.chain.journal import Journal

MARKS = ["CREATE TABLE mark(key BLOB, count INTEGER, block_number INTEGER NOT NULL) STRICT"]


class Marks(Projection):
    tables = ("mark",)

    def __init__(self, journal: Journal) -> None:
        self.fail = False
        self._journal = journal
        journal.migrate("marks", MARKS)

    def apply(self, db: sqlite3.Connection, event: Event) -> None:
        db.execute(
            "INSERT INTO mark VALUES(?, ?, ?)", (event.args["key"], event.args["count"], event.block_number)
        )
        if self.fail:
            raise ZeroDivisionError

    def seen(self) -> list[tuple[str, int]]:
        rows = self._journal.rows("SELECT key, count FROM mark ORDER BY rowid")
        return [(row["key"].rstrip(b"\0").decode(), row["count"]) for row in rows]


class Bench:
    def __init__(self, anvil: Anvil, probe: Contract, path: Path) -> None:
        self.anvil, self.probe, self.path = anvil, probe, path
        self.journal = Journal(path)
        self.marks = Marks(self.journal)

    def follow(self, source: Any = None, confirmations: Confirmations = 0, **more: Any) -> Follower:
        return Follower(
            self.journal, source or self.anvil.connection, [self.probe], [self.marks], start=0,
            confirmations=confirmations, **more,
        )  # fmt: skip

    def mark(self, *names: str, mine: bool = True) -> None:
        """Each in a block of its own, or all waiting."""
        wallet = dev_wallet(4)
        nonce = self.anvil.connection.nonce(wallet.address, "pending")
        for n, name in enumerate(names):
            tx = {
                "type": 2, "chainId": 31337, "nonce": nonce + n, "to": self.probe.address, "value": 0,
                "data": self.probe.data("mark", key(name)), "gas": 200_000,
                "maxFeePerGas": 10**12, "maxPriorityFeePerGas": 10**9,
            }  # fmt: skip
            self.anvil.connection.send(wallet.sign_transaction(tx).raw)
            if mine:
                self.anvil.mine()


@pytest.fixture
def bench(anvil: Anvil, probe: Contract, tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(anvil, probe, tmp_path / "agent.db")
    yield bench
    bench.journal.close()


class Liar:
    """A connection some of whose answers can be replaced."""

    def __init__(self, real: Connection) -> None:
        self._real = real
        self.calls: list[tuple[int, int]] = []

    def latest(self) -> Block:
        return self._real.latest()

    def block(self, which: int | str) -> Block | None:
        return self._real.block(which)

    def logs(
        self, addresses: Sequence[str], first: int, last: int, block_hash: bytes | None = None
    ) -> list[RawLog]:
        self.calls.append((first, last))
        return self._real.logs(addresses, first, last, block_hash)


def test_it_sees_every_log_once_and_in_order(bench: Bench) -> None:
    bench.mark("a", "b", "a")
    follower = bench.follow()
    follower.catch_up()
    bench.mark("c", "d", mine=False)
    bench.anvil.mine()
    follower.catch_up()
    follower.catch_up()
    assert bench.marks.seen() == [("a", 1), ("b", 1), ("a", 2), ("c", 1), ("d", 1)]
    assert follower.cursor == bench.anvil.connection.latest().number


def test_only_confirmed_blocks_are_followed(bench: Bench) -> None:
    follower = bench.follow(confirmations=2)
    bench.mark("a")
    bench.anvil.mine()
    follower.catch_up()
    assert bench.marks.seen() == []
    bench.anvil.mine()
    follower.catch_up()
    assert bench.marks.seen() == [("a", 1)]


def test_the_finalized_tag(bench: Bench) -> None:
    finalized = bench.anvil.connection.block("finalized")
    assert finalized is not None
    follower = bench.follow(confirmations="finalized")
    bench.mark("a")
    follower.catch_up()
    assert bench.marks.seen() == []
    bench.anvil.rpc("anvil_mine", hex(100))
    follower.catch_up()
    assert bench.marks.seen() == [("a", 1)]
    assert follower.cursor < bench.anvil.connection.latest().number


def test_it_goes_on_where_it_stopped(bench: Bench) -> None:
    bench.mark("a")
    bench.follow().catch_up()
    bench.journal.close()
    bench.journal = Journal(bench.path)
    bench.marks = Marks(bench.journal)
    source = Liar(bench.anvil.connection)
    bench.mark("b")
    bench.follow(source).catch_up()
    assert bench.marks.seen() == [("a", 1), ("b", 1)]
    latest = bench.anvil.connection.latest().number
    assert source.calls == [(latest, latest)]


def test_the_cursor_and_what_is_derived_are_one(bench: Bench) -> None:
    bench.mark("a")
    follower = bench.follow()
    bench.marks.fail = True
    with pytest.raises(ZeroDivisionError):
        follower.catch_up()
    assert (follower.cursor, bench.marks.seen()) == (-1, [])
    bench.marks.fail = False
    follower.catch_up()
    assert bench.marks.seen() == [("a", 1)]


def test_dying_between_rows_leaves_nothing_half(bench: Bench) -> None:
    bench.mark("a", "b")
    bench.journal.close()

    class Deadly(Marks):
        def apply(self, db: sqlite3.Connection, event: Event) -> None:
            super().apply(db, event)
            if event.args["key"] == key("b"):
                os._exit(9)

    pid = os.fork()
    if pid == 0:
        try:
            bench.journal = Journal(bench.path)
            bench.marks = Deadly(bench.journal)
            bench.follow(Connection.open(bench.anvil.url)).catch_up()
        finally:
            os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 9
    bench.journal = Journal(bench.path)
    bench.marks = Marks(bench.journal)
    follower = bench.follow()
    assert (follower.cursor, bench.marks.seen()) == (-1, [])
    follower.catch_up()
    assert bench.marks.seen() == [("a", 1), ("b", 1)]


@pytest.mark.parametrize("longer", [1, 0, -1], ids=["longer", "as long", "shorter"])
def test_a_reorganisation_is_undone(bench: Bench, longer: int) -> None:
    follower = bench.follow()
    bench.mark("common")
    follower.catch_up()
    fork = bench.anvil.connection.latest().number
    before = bench.anvil.snapshot()
    bench.mark("a", "b", "c")
    follower.catch_up()
    assert bench.marks.seen() == [("common", 1), ("a", 1), ("b", 1), ("c", 1)]
    bench.anvil.revert(before)
    bench.anvil.rpc("evm_increaseTime", 77)
    bench.mark("x")
    bench.anvil.mine(2 + longer)
    undone = follower.tick()
    assert undone.rolled_back_to == fork
    assert not undone.caught_up
    assert bench.marks.seen() == [("common", 1)]
    follower.catch_up()
    assert bench.marks.seen() == [("common", 1), ("x", 1)]


def test_a_reorganisation_beyond_what_is_remembered_reads_everything_again(bench: Bench) -> None:
    follower = bench.follow(keep=2)
    before = bench.anvil.snapshot()
    bench.mark("a")
    for _ in range(4):
        bench.anvil.mine()
        follower.catch_up()
    assert len(bench.journal.rows("SELECT * FROM follower_block")) == 2
    bench.anvil.revert(before)
    bench.anvil.rpc("evm_increaseTime", 77)
    bench.mark("x")
    bench.anvil.mine(9)
    assert follower.tick().rolled_back_to == -1
    follower.catch_up()
    assert bench.marks.seen() == [("x", 1)]


def test_an_rpc_that_lags_or_goes_back_changes_nothing(bench: Bench) -> None:
    bench.mark("a", "b", "c")
    bench.follow().catch_up()
    number = bench.anvil.connection.latest().number
    old = bench.anvil.connection.block(number - 2)
    assert old is not None

    class Behind(Liar):
        def latest(self) -> Block:
            return old

        def block(self, which: int | str) -> Block | None:
            return None if isinstance(which, int) and which > old.number else super().block(which)

    lagging = bench.follow(Behind(bench.anvil.connection))
    assert lagging.tick() == Progress(number, number)
    assert bench.marks.seen() == [("a", 1), ("b", 1), ("c", 1)]


def test_a_block_that_is_counted_but_not_there_yet(bench: Bench) -> None:
    bench.mark("a")

    class HalfThere(Liar):
        def block(self, which: int | str) -> Block | None:
            return None

    follower = bench.follow(HalfThere(bench.anvil.connection))
    with pytest.raises(Inconsistent):
        follower.tick()
    assert follower.cursor == -1
    bench.follow().catch_up()
    assert bench.marks.seen() == [("a", 1)]


def test_duplicated_and_shuffled_logs_are_harmless(bench: Bench) -> None:
    bench.mark("a", "b", "c")

    class Stutter(Liar):
        def logs(self, *args: Any) -> list[RawLog]:
            logs = super().logs(*args)
            return [*reversed(logs), *logs]

    bench.follow(Stutter(bench.anvil.connection)).catch_up()
    assert bench.marks.seen() == [("a", 1), ("b", 1), ("c", 1)]


def test_logs_of_another_fork_are_not_mixed_in(bench: Bench) -> None:
    """The chain is reorganised while the logs are read."""
    bench.mark("common")
    follower = bench.follow()
    follower.catch_up()
    before = bench.anvil.snapshot()
    bench.mark("a", "b")
    anvil = bench.anvil

    class Turning(Liar):
        def logs(self, *args: Any) -> list[RawLog]:
            logs = super().logs(*args)
            anvil.revert(before)
            anvil.rpc("evm_increaseTime", 77)
            bench.mark("x")
            anvil.mine(5)
            return logs

    with pytest.raises(Inconsistent):
        bench.follow(Turning(anvil.connection)).tick()
    assert bench.marks.seen() == [("common", 1)]
    bench.follow().catch_up()
    assert bench.marks.seen() == [("common", 1), ("x", 1)]


def test_the_chunk_shrinks_until_the_rpc_takes_it_and_grows_again(bench: Bench) -> None:
    bench.mark(*[f"m{i}" for i in range(40)])

    class Narrow(Liar):
        most = 5

        def logs(
            self, addresses: Sequence[str], first: int, last: int, block_hash: bytes | None = None
        ) -> list[RawLog]:
            if last - first + 1 > self.most:
                raise RpcFault("eth_getLogs", -32005, "query returned more than 10000 results")
            return super().logs(addresses, first, last, block_hash)

    source = Narrow(bench.anvil.connection)
    follower = bench.follow(source, chunk=32)
    for refused in range(3):
        with pytest.raises(RpcFault):
            follower.tick()
        assert follower.cursor == -1, refused
    assert follower.tick().cursor == 3
    source.most = 1000
    follower.catch_up()
    sizes = [last - first + 1 for first, last in source.calls]
    assert sizes[:3] == [4, 8, 16]
    assert bench.marks.seen() == [(f"m{i}", 1) for i in range(40)]


def test_an_rpc_that_fails_is_asked_again_by_the_thread(bench: Bench) -> None:
    bench.mark("a")
    arrived = threading.Event()

    class Moody(Liar):
        failures = 1

        def latest(self) -> Block:
            if self.failures:
                self.failures -= 1
                raise ChainUnreachable("down")
            return super().latest()

    source = Moody(bench.anvil.connection)
    follower = bench.follow(source, poll=0.01, on_progress=lambda p: arrived.set() if p.caught_up else None)
    follower.start()
    assert arrived.wait(30)
    follower.close()
    assert follower.trouble is None
    assert bench.marks.seen() == [("a", 1)]


def test_other_contracts_than_before_are_followed_from_the_start(bench: Bench, probe: Contract) -> None:
    bench.mark("a")
    bench.follow().catch_up()
    other = Contract(
        bench.anvil.connection, probe.artifact, bench.anvil.deploy(probe.artifact, dev_wallet(9))
    )
    both = Follower(bench.journal, bench.anvil.connection, [probe, other], [bench.marks], start=0)
    assert (both.cursor, bench.marks.seen()) == (-1, [])
    both.catch_up()
    assert bench.marks.seen() == [("a", 1)]


def test_two_followers_in_one_journal_do_not_meddle(bench: Bench) -> None:
    bench.mark("a", "b")
    bench.follow().catch_up()
    second = Follower(bench.journal, bench.anvil.connection, [bench.probe], [], start=2, name="second")
    assert second.cursor == 1
    second.catch_up()
    assert second.cursor == bench.anvil.connection.latest().number
    assert bench.marks.seen() == [("a", 1), ("b", 1)]
