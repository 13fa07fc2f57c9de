"""Whatever the chain and the RPC do, a follower that gets to the end holds what a fresh one would."""

import contextlib
import itertools
import random
import sqlite3
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from eth_utils.crypto import keccak
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.chain.connection import Block, RawLog
from agents.chain.contracts import Event
from agents.chain.errors import ChainError, ChainUnreachable
from agents.chain.follower import Follower, Projection
from agents.chain.journal import Journal

ADDRESS = "0x5FbDB2315678afecb367f032d93F642f64180aa3"


@dataclass
class FakeBlock:
    block: Block
    logs: list[RawLog]


class FakeChain:
    """A chain that grows, is reorganised, and is served by an RPC that lags, fails, repeats and shuffles."""

    def __init__(self) -> None:
        self.salt = itertools.count()
        self.blocks: list[FakeBlock] = []
        self.height = 0
        self.chance = random.Random(0)
        self.flaky = False
        self.grow([0])

    def grow(self, log_counts: Sequence[int]) -> None:
        for count in log_counts:
            number = len(self.blocks)
            parent = self.blocks[-1].block.hash if self.blocks else bytes(32)
            own = keccak(parent + str(next(self.salt)).encode())
            logs = [
                RawLog(ADDRESS, (), keccak(own + bytes([i]))[:4], number, own, keccak(own), i)
                for i in range(count)
            ]
            self.blocks.append(FakeBlock(Block(number, own, parent, number * 12, 1, 30_000_000), logs))
        self.height = len(self.blocks) - 1

    def reorganise(self, depth: int, log_counts: Sequence[int]) -> None:
        del self.blocks[max(1, len(self.blocks) - depth) :]
        self.grow(log_counts)

    def lag(self, by: int) -> None:
        self.height = max(0, len(self.blocks) - 1 - by)

    def _maybe_fail(self) -> None:
        if self.flaky and self.chance.random() < 0.2:
            raise ChainUnreachable("flaky")

    def latest(self) -> Block:
        self._maybe_fail()
        return self.blocks[self.height].block

    def block(self, which: int | str) -> Block | None:
        self._maybe_fail()
        assert isinstance(which, int)
        return self.blocks[which].block if 0 <= which <= self.height else None

    def logs(
        self, addresses: Sequence[str], first: int, last: int, block_hash: bytes | None = None
    ) -> list[RawLog]:
        self._maybe_fail()
        found = [entry for b in self.blocks[first : last + 1] for entry in b.logs]
        if block_hash is not None and self.blocks[first].block.hash != block_hash:
            raise ChainUnreachable("unknown block")
        found += [entry for entry in found if self.chance.random() < 0.3]
        self.chance.shuffle(found)
        return found

    def truth(self) -> list[bytes]:
        return [entry.data for b in self.blocks for entry in b.logs]


class FakeContract:
    address = ADDRESS

    def decode(self, log: RawLog) -> Event | None:
        return Event(
            "Fake",
            ADDRESS,
            "Said",
            {"what": log.data},
            log.block_number,
            log.block_hash,
            log.tx_hash,
            log.log_index,
        )


class Said(Projection):
    tables = ("said",)

    def apply(self, db: sqlite3.Connection, event: Event) -> None:
        db.execute("INSERT INTO said VALUES(?, ?)", (event.args["what"], event.block_number))


class Total(Projection):
    """Derived state that is changed and not only added, with an undo of its own."""

    def apply(self, db: sqlite3.Connection, event: Event) -> None:
        db.execute(
            "INSERT INTO total VALUES(?, 1) ON CONFLICT(block_number) DO UPDATE SET n = n + 1",
            (event.block_number,),
        )

    def undo(self, db: sqlite3.Connection, ancestor: int) -> None:
        db.execute("DELETE FROM total WHERE block_number > ?", (ancestor,))


counts = st.lists(st.integers(0, 3), min_size=1, max_size=6)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("grow"), counts),
        st.tuples(st.just("reorganise"), st.integers(1, 8), counts),
        st.tuples(st.just("lag"), st.integers(0, 5)),
        st.tuples(st.just("flaky"), st.booleans()),
        st.tuples(st.just("tick"), st.integers(1, 3)),
        st.tuples(st.just("restart")),
    ),
    max_size=25,
)


@settings(max_examples=100, deadline=None)
@given(
    steps=steps,
    confirmations=st.integers(0, 3),
    chunk=st.integers(1, 7),
    keep=st.integers(1, 10),
    seed=st.integers(0, 2**32),
)
def test_any_history_ends_in_the_same_state(
    steps: list[tuple[object, ...]], confirmations: int, chunk: int, keep: int, seed: int
) -> None:
    chain = FakeChain()
    chain.chance = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        journal = Journal(Path(folder) / "j.db")
        journal.migrate(
            "said",
            [
                "CREATE TABLE said(what BLOB, block_number INTEGER);\n"
                "CREATE TABLE total(block_number INTEGER PRIMARY KEY, n INTEGER);\n"
            ],
        )

        def follower() -> Follower:
            return Follower(
                journal, chain, [FakeContract()], [Said(), Total()], start=0, confirmations=confirmations,
                chunk=chunk, keep=keep,
            )  # fmt: skip

        current = follower()
        for what, *how in steps:
            if what == "restart":
                current = follower()
            elif what == "flaky":
                (chain.flaky,) = how  # type: ignore[assignment]
            elif what == "tick":
                for _ in range(how[0]):  # type: ignore[call-overload]
                    with contextlib.suppress(ChainError):
                        current.tick()
            else:
                getattr(chain, str(what))(*how)
        chain.flaky = False
        chain.grow([1] + [0] * confirmations + [0] * 10)
        for _ in range(1000):
            if current.tick().caught_up:
                break
        confirmed = [b.logs for b in chain.blocks[: len(chain.blocks) - confirmations]]
        truth = [entry.data for logs in confirmed for entry in logs]
        assert [row["what"] for row in journal.rows("SELECT what FROM said ORDER BY rowid")] == truth
        total = journal.row("SELECT sum(n) FROM total")
        assert total is not None
        assert total[0] == len(truth)
        assert current.cursor == len(chain.blocks) - 1 - confirmations
        journal.close()
