"""What the chain's logs say, kept in the journal: confirmed blocks only, every log once, reorganisations
undone.

The cursor (number and hash of the last block followed) and everything derived from the logs up to it are
committed in one transaction, so that no crash can part them. A log is a hint: before acting, read the
contract.
"""

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from sqlite3 import Connection as Database
from typing import Literal, Protocol

from agents.chain.connection import Block, Connection, RawLog
from agents.chain.contracts import Event
from agents.chain.errors import ChainError
from agents.chain.journal import Journal
from agents.chain.loop import Loop

log = logging.getLogger(__name__)

_SCHEMA = [
    """
CREATE TABLE follower(
  name TEXT PRIMARY KEY,
  source TEXT NOT NULL,
  number INTEGER NOT NULL,
  hash BLOB
) STRICT;
CREATE TABLE follower_block(
  name TEXT NOT NULL,
  number INTEGER NOT NULL,
  hash BLOB NOT NULL,
  PRIMARY KEY(name, number)
) STRICT;
"""
]

Confirmations = int | Literal["safe", "finalized"]


class Inconsistent(ChainError):
    """The RPC's answers do not fit together (it lags, or the chain is just being reorganised). Nothing is
    lost: the next tick asks again."""


class Source(Protocol):
    """The chain as a follower sees it; a Connection is one."""

    def latest(self) -> Block: ...

    def block(self, which: int | str) -> Block | None: ...

    def logs(
        self, addresses: Sequence[str], first: int, last: int, block_hash: bytes | None = None
    ) -> list[RawLog]: ...


class Decoder(Protocol):
    """Turns a contract's logs into events; a Contract is one."""

    @property
    def address(self) -> str: ...

    def decode(self, log: RawLog) -> Event | None: ...


class Projection:
    """State derived from events. Rows carry the number of the block they come from, so that they can be
    undone.

    Override `apply`; `undo` too when rows are changed and not only added. Both write only through the
    connection they are given and wait for nothing.
    """

    tables: tuple[str, ...] = ()
    """Tables with a column `block_number`."""

    def apply(self, db: Database, event: Event) -> None:
        raise NotImplementedError

    def undo(self, db: Database, ancestor: int) -> None:
        """Forget what came from blocks above `ancestor`."""
        for table in self.tables:
            db.execute(f"DELETE FROM {table} WHERE block_number > ?", (ancestor,))


@dataclass(frozen=True, slots=True)
class Progress:
    """After a tick: the last block followed, the last one that is confirmed, and the common ancestor if the
    tick undid a reorganisation."""

    cursor: int
    target: int
    rolled_back_to: int | None = None

    @property
    def caught_up(self) -> bool:
        return self.rolled_back_to is None and self.cursor >= self.target


class Follower:
    """Follows `contracts` from block `start` on.

    Args:
        confirmations: blocks above a followed one (0: the latest block is followed too), or the tag `safe` or
            `finalized`.
        chunk: most blocks asked for at once; halves when the RPC refuses, and grows again.
        keep: hashes of recent blocks remembered; a reorganisation beyond them reads everything again.
    """

    def __init__(
        self,
        journal: Journal,
        source: Source,
        contracts: Sequence[Decoder],
        projections: Sequence[Projection],
        *,
        start: int,
        confirmations: Confirmations = 0,
        name: str = "main",
        chunk: int = 2000,
        keep: int = 256,
        poll: float = 1.0,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> None:
        self._journal = journal
        self._source = source
        self._contracts = {c.address: c for c in contracts}
        self._projections = projections
        self._origin = max(0, start) - 1
        self._confirmations = confirmations
        self._name = name
        self._most = self._chunk = max(1, chunk)
        self._keep = max(1, keep)
        self._poll = poll
        self._on_progress = on_progress
        self._loop: Loop | None = None
        if isinstance(source, Connection):
            journal.bind_chain(source.chain_id, source.genesis)
        journal.migrate("follower", _SCHEMA)
        self._begin()

    def start(self) -> None:
        """Tick in a thread until `close`."""
        self._loop = Loop("follower", self._step)
        self._loop.start()

    def close(self) -> None:
        if self._loop:
            self._loop.stop()

    @property
    def trouble(self) -> str | None:
        """Why the thread can't work just now."""
        return self._loop.trouble if self._loop else None

    @property
    def cursor(self) -> int:
        """The last block followed; `start` - 1 before the first."""
        return self._cursor()[0]

    def catch_up(self) -> Progress:
        """Tick until there is nothing more to follow now."""
        while True:
            progress = self.tick()
            if progress.caught_up:
                return progress

    def tick(self) -> Progress:
        """Follow one chunk of blocks, or undo one reorganisation.

        Raises:
            ChainUnreachable, RpcFault, Inconsistent: the state is as before; tick again.
        """
        progress = self._tick()
        if self._on_progress:
            self._on_progress(progress)
        return progress

    def _step(self) -> float:
        progress = self.tick()
        return self._poll if progress.caught_up else 0.0

    def _tick(self) -> Progress:
        number, known = self._cursor()
        latest = self._source.latest()
        target = self._target(latest)
        if not self._still_there(number, known, latest):
            return Progress(ancestor := self._roll_back(latest), max(target, ancestor), ancestor)
        if target <= number:
            # Nothing new, or the RPC lags behind what it showed before.
            return Progress(number, number)
        first, last = number + 1, min(target, number + self._chunk)
        logs, end = self._fetch(first, last, known)
        self._commit(number, logs, end)
        return Progress(last, target)

    def _target(self, latest: Block) -> int:
        if isinstance(self._confirmations, int):
            return latest.number - self._confirmations
        block = self._source.block(self._confirmations)
        return -1 if block is None else block.number

    def _still_there(self, number: int, known: bytes | None, latest: Block) -> bool:
        """Whether the chain still holds the last block followed, as far as the RPC can tell."""
        if known is None:
            return True
        if number > latest.number:
            # Either the RPC lags or the chain became shorter: what is known of its height tells.
            row = self._journal.row(
                "SELECT number, hash FROM follower_block WHERE name = ? AND number <= ? ORDER BY number DESC "
                "LIMIT 1",
                self._name,
                latest.number,
            )
            if row is None:
                return True
            number, known = row["number"], row["hash"]
        block = latest if number == latest.number else self._source.block(number)
        return block is None or block.hash == known

    def _fetch(self, first: int, last: int, known: bytes | None) -> tuple[list[RawLog], Block]:
        """The logs of `first` to `last`, and block `last`: all of one chain, the one that holds the "
        "cursor."""
        end = self._block(last)
        if first == last:
            # By hash: a node that lags then answers with an error instead of with nothing.
            if known is not None and end.parent != known:
                raise Inconsistent(f"block {last} does not follow the block before it: asking again")
            logs = self._ask(first, last, end.hash)
        else:
            logs = self._ask(first, last, None)
            if self._block(last).hash != end.hash or (
                known is not None and self._block(first - 1).hash != known
            ):
                raise Inconsistent(f"blocks {first} to {last} changed while they were read: asking again")
        # The same log twice, or out of order, is the same log.
        unique = {(entry.block_number, entry.log_index): entry for entry in logs}
        for entry in unique.values():
            if not first <= entry.block_number <= last or (
                entry.block_number == last and entry.block_hash != end.hash
            ):
                raise Inconsistent(
                    f"the RPC gave a log of another block than {first} to {last}: asking again"
                )
        return [unique[key] for key in sorted(unique)], end

    def _ask(self, first: int, last: int, block_hash: bytes | None) -> list[RawLog]:
        try:
            logs = self._source.logs(list(self._contracts), first, last, block_hash)
        except ChainError:
            # Too many results, too wide a range, too slow: each RPC has its own words, and fewer blocks help.
            self._chunk = max(1, self._chunk // 2)
            raise
        self._chunk = min(self._most, self._chunk * 2)
        return logs

    def _block(self, number: int) -> Block:
        block = self._source.block(number)
        if block is None:
            raise Inconsistent(f"the RPC does not have block {number}, which it counted before: asking again")
        return block

    def _commit(self, number: int, logs: Sequence[RawLog], end: Block) -> None:
        events = [event for entry in logs if (event := self._contracts[entry.address].decode(entry))]
        hashes = {entry.block_number: entry.block_hash for entry in logs} | {end.number: end.hash}
        with self._journal.transaction() as db:
            self._expect(db, number)
            for event in events:
                for projection in self._projections:
                    projection.apply(db, event)
            db.executemany(
                "INSERT INTO follower_block VALUES(?, ?, ?)", [(self._name, n, h) for n, h in hashes.items()]
            )
            db.execute(
                "DELETE FROM follower_block WHERE name = ?1 AND number <= (SELECT number FROM follower_block"
                " WHERE name = ?1 ORDER BY number DESC LIMIT 1 OFFSET ?2)",
                (self._name, self._keep),
            )
            db.execute(
                "UPDATE follower SET number = ?, hash = ? WHERE name = ?", (end.number, end.hash, self._name)
            )

    def _roll_back(self, latest: Block) -> int:
        """Undo to the last block that the chain and the journal share; its number."""
        kept = self._journal.rows(
            "SELECT number, hash FROM follower_block WHERE name = ? ORDER BY number", self._name
        )
        # Two chains agree up to a height and differ above it: halve.
        low, high = 0, len(kept)
        while low < high:
            middle = (low + high) // 2
            number = kept[middle]["number"]
            block = self._source.block(number) if number <= latest.number else None
            if block is not None and block.hash == kept[middle]["hash"]:
                low = middle + 1
            else:
                high = middle
        if low:
            ancestor, known = int(kept[low - 1]["number"]), kept[low - 1]["hash"]
        else:
            ancestor, known = self._origin, None
        was, _ = self._cursor()
        with self._journal.transaction() as db:
            self._expect(db, was)
            self._undo(db, ancestor, known)
        log.warning("reorganisation: blocks %d to %d undone", ancestor + 1, was)
        return ancestor

    def _undo(self, db: Database, ancestor: int, known: bytes | None) -> None:
        for projection in self._projections:
            projection.undo(db, ancestor)
        db.execute("DELETE FROM follower_block WHERE name = ? AND number > ?", (self._name, ancestor))
        db.execute("UPDATE follower SET number = ?, hash = ? WHERE name = ?", (ancestor, known, self._name))

    def _begin(self) -> None:
        """The first time, or when other contracts are to be followed than before: from the start."""
        source = json.dumps({"start": self._origin + 1, "contracts": sorted(self._contracts)})
        with self._journal.transaction() as db:
            row = db.execute("SELECT source FROM follower WHERE name = ?", (self._name,)).fetchone()
            if row is None:
                db.execute("INSERT INTO follower VALUES(?, ?, ?, NULL)", (self._name, source, self._origin))
            elif row["source"] != source:
                self._undo(db, -1, None)
                db.execute(
                    "UPDATE follower SET source = ?, number = ? WHERE name = ?",
                    (source, self._origin, self._name),
                )

    def _cursor(self) -> tuple[int, bytes | None]:
        row = self._journal.row("SELECT number, hash FROM follower WHERE name = ?", self._name)
        assert row is not None
        return int(row["number"]), row["hash"]

    def _expect(self, db: Database, number: int) -> None:
        row = db.execute("SELECT number FROM follower WHERE name = ?", (self._name,)).fetchone()
        if row["number"] != number:
            raise Inconsistent("two threads tick one follower: asking again")
