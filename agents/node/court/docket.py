"""Disputes as the court logged them, in the node's journal: evidence, and what happened since.

Every dispute is kept while it runs: whether it concerns this node shows when its panel is drawn.
"""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from sqlite3 import Connection as Database
from typing import Any

from eth_utils.address import to_checksum_address

from agents.chain.contracts import Event
from agents.chain.follower import Projection
from agents.chain.journal import Journal
from agents.market.court import Opened, decode_opened
from agents.market.errors import BadEvidence
from agents.market.evidence import unreadable

log = logging.getLogger(__name__)

_SCHEMA = [
    """
CREATE TABLE court_case(
  id BLOB PRIMARY KEY,
  opener TEXT NOT NULL,
  exact INTEGER NOT NULL,
  network INTEGER NOT NULL,
  appealable INTEGER NOT NULL,
  ticket INTEGER NOT NULL,
  evidence BLOB NOT NULL,
  block_number INTEGER NOT NULL
) STRICT;
CREATE TABLE court_event(
  block_number INTEGER NOT NULL,
  log_index INTEGER NOT NULL,
  id BLOB NOT NULL,
  name TEXT NOT NULL,
  facts TEXT NOT NULL,
  tx_hash BLOB NOT NULL,
  PRIMARY KEY(block_number, log_index)
) STRICT;
CREATE INDEX court_event_id ON court_event(id, name);
CREATE TABLE court_outcome(
  id BLOB PRIMARY KEY,
  ruling INTEGER NOT NULL,
  places INTEGER NOT NULL,
  silent INTEGER NOT NULL,
  earned TEXT NOT NULL,
  own INTEGER NOT NULL,
  ended_at INTEGER NOT NULL,
  block_number INTEGER NOT NULL
) STRICT;
"""
]

# Of the evidence's ABI encoding: subject, challenger, node, … a word each.
_NODE_AT, _ADDRESS = 2 * 32 + 12, 20

OPENED, CLOSED = "DisputeOpened", "DisputeClosed"
_FACTS = ("round", "lot", "seats", "ballot", "vote", "funder", "amount", "ruling", "told", "paidToSeats")


@dataclass(frozen=True, slots=True)
class Note:
    """Something that happened to a dispute; `facts` as logged, big numbers as text."""

    name: str
    facts: Mapping[str, Any]
    block: int
    tx_hash: bytes


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a dispute ended for this node: `places` in its panels, of which `silent` did not reveal; `earned`
    in base units; `own` when it was about this node's answer; `ended_at` in chain seconds.
    """

    id: bytes
    ruling: int
    places: int
    silent: int
    earned: int
    own: bool
    ended_at: int
    block: int


class Docket(Projection):
    """The court's log, followed with everything else in the journal. Threads may share it.

    `version` grows whenever something was logged or undone; see `version_of` for one dispute's.
    """

    tables = ("court_case", "court_event", "court_outcome")

    def __init__(self, journal: Journal, court: str) -> None:
        self._journal = journal
        self._court = court
        self.version = 0
        self._undone = 0
        self._versions: dict[bytes, int] = {}
        journal.migrate("court_docket", _SCHEMA)
        self._decoded = lru_cache(maxsize=32)(self._decode)

    def apply(self, db: Database, event: Event) -> None:
        if event.address != self._court:
            return
        self.version += 1
        a = event.args
        if "id" in a:
            self._versions[bytes(a["id"])] = self.version
        if event.name == OPENED:
            db.execute(
                "INSERT OR REPLACE INTO court_case VALUES(?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    bytes(a["id"]), a["opener"], a["exact"], a["network"], a["appealable"], a["ticket"],
                    bytes(a["evidence"]), event.block_number,
                ),
            )  # fmt: skip
        elif "id" in a:
            facts = {name: _plain(a[name]) for name in _FACTS if name in a}
            db.execute(
                "INSERT OR REPLACE INTO court_event VALUES(?, ?, ?, ?, ?, ?)",
                (
                    event.block_number, event.log_index, bytes(a["id"]), event.name, json.dumps(facts),
                    event.tx_hash,
                ),
            )  # fmt: skip

    def undo(self, db: Database, ancestor: int) -> None:
        self.version += 1
        self._undone = self.version
        super().undo(db, ancestor)

    # Reading.

    def version_of(self, key: bytes) -> int:
        """Grows whenever something was logged of this dispute, or anything undone."""
        return max(self._versions.get(key, 0), self._undone)

    def parties(self, key: bytes) -> tuple[str, str]:
        """Who opened a dispute, and the node it is about, without decoding its evidence.

        Raises:
            KeyError: it is not (any more) in the docket.
        """
        row = self._journal.row(
            f"SELECT opener, substr(evidence, {_NODE_AT + 1}, {_ADDRESS}) FROM court_case WHERE id = ?", key
        )
        if row is None:
            raise KeyError("no such dispute in the docket")
        node = bytes(row[1] or b"")
        return str(row[0]), to_checksum_address(node) if len(node) == _ADDRESS else ""

    def open(self) -> list[bytes]:
        """The disputes that are not closed, oldest first."""
        rows = self._journal.rows(
            "SELECT id FROM court_case c WHERE NOT EXISTS"
            " (SELECT 1 FROM court_event e WHERE e.id = c.id AND e.name = ?) ORDER BY block_number, id",
            CLOSED,
        )
        return [bytes(row[0]) for row in rows]

    def unsettled(self) -> list[bytes]:
        """Closed ones whose outcome is not written down."""
        rows = self._journal.rows(
            "SELECT id FROM court_case c WHERE EXISTS"
            " (SELECT 1 FROM court_event e WHERE e.id = c.id AND e.name = ?)"
            " AND id NOT IN (SELECT id FROM court_outcome) ORDER BY block_number, id",
            CLOSED,
        )
        return [bytes(row[0]) for row in rows]

    def opened(self, key: bytes) -> Opened:
        """A dispute with its evidence, `unreadable` where that can't be read.

        Raises:
            KeyError: it is not (any more) in the docket.
        """
        row = self._journal.row("SELECT block_number FROM court_case WHERE id = ?", key)
        if row is None:
            raise KeyError("no such dispute in the docket")
        return self._decoded(key, int(row[0]))

    def _decode(self, key: bytes, block: int) -> Opened:
        row = self._journal.row("SELECT * FROM court_case WHERE id = ? AND block_number = ?", key, block)
        if row is None:
            raise KeyError("no such dispute in the docket")
        args = {name: row[name] for name in ("id", "opener", "exact", "network", "appealable", "ticket")}
        event = Event(
            "DisputeCourt", self._court, OPENED, args | {"evidence": row["evidence"]}, block, b"", b"", 0
        )
        try:
            return decode_opened(event)
        except BadEvidence as error:
            log.error("%s", error, extra={"dispute": "0x" + key.hex()})
            return unreadable(event, str(error))

    def notes(self, key: bytes, name: str) -> list[Note]:
        """What was logged of a dispute under this event's name, oldest first."""
        rows = self._journal.rows(
            "SELECT * FROM court_event WHERE id = ? AND name = ? ORDER BY block_number, log_index", key, name
        )
        return [
            Note(row["name"], json.loads(row["facts"]), row["block_number"], bytes(row["tx_hash"]))
            for row in rows
        ]

    # What became of them.

    def settle(self, outcome: Outcome) -> None:
        """Write an outcome down, once."""
        with self._journal.transaction() as db:
            db.execute(
                "INSERT OR IGNORE INTO court_outcome VALUES(?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    outcome.id, outcome.ruling, outcome.places, outcome.silent, str(outcome.earned),
                    outcome.own, outcome.ended_at, outcome.block,
                ),
            )  # fmt: skip

    def outcomes(self) -> list[Outcome]:
        """Of the disputes that concerned this node, oldest first."""
        rows = self._journal.rows("SELECT * FROM court_outcome WHERE places OR own ORDER BY block_number, id")
        return [
            Outcome(
                bytes(r["id"]), r["ruling"], r["places"], r["silent"], int(r["earned"]), bool(r["own"]),
                r["ended_at"], r["block_number"],
            )
            for r in rows
        ]  # fmt: skip

    def wipe(self, before: int) -> int:
        """Forget the evidence and the log of disputes that were closed before chain time `before`; the
        outcome stays. How many these were.
        """
        ended = "SELECT id FROM court_outcome WHERE ended_at < ?"
        with self._journal.transaction() as db:
            db.execute(f"DELETE FROM court_event WHERE id IN ({ended})", (before,))
            gone = db.execute(f"DELETE FROM court_case WHERE id IN ({ended})", (before,))
            db.execute("DELETE FROM court_outcome WHERE ended_at < ? AND NOT (places OR own)", (before,))
            return gone.rowcount


def _plain(value: Any) -> Any:
    """As JSON keeps it: a lot has 64 bits."""
    if isinstance(value, (list, tuple)):
        return list(value)
    return str(value) if isinstance(value, int) and abs(value) >= 1 << 53 else value
