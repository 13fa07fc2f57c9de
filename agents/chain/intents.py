"""What is to be sent, and what was signed for it, in the journal."""

from dataclasses import dataclass
from enum import StrEnum
from sqlite3 import Row
from typing import Any

from agents.chain.fees import Fees
from agents.chain.journal import Journal

_SCHEMA = [
    """
CREATE TABLE outbox_intent(
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  subject TEXT NOT NULL,
  action TEXT NOT NULL,
  recipient TEXT,
  data BLOB NOT NULL,
  value TEXT NOT NULL,
  gas_limit INTEGER,
  state TEXT NOT NULL,
  nonce INTEGER UNIQUE,
  note TEXT,
  refused_since REAL,
  tx_hash BLOB,
  block_number INTEGER,
  block_hash BLOB,
  gas_used INTEGER,
  fee TEXT,
  contract TEXT,
  UNIQUE(subject, action)
) STRICT;
CREATE INDEX outbox_intent_state ON outbox_intent(state);
CREATE TABLE outbox_attempt(
  hash BLOB PRIMARY KEY,
  intent INTEGER NOT NULL REFERENCES outbox_intent(id),
  nonce INTEGER NOT NULL,
  raw BLOB NOT NULL,
  gas INTEGER NOT NULL,
  max_fee TEXT NOT NULL,
  tip TEXT NOT NULL,
  made_at REAL NOT NULL,
  made_in INTEGER NOT NULL,
  live INTEGER NOT NULL DEFAULT 1
) STRICT;
CREATE INDEX outbox_attempt_intent ON outbox_attempt(intent);
CREATE INDEX outbox_attempt_nonce ON outbox_attempt(nonce);
"""
]


class State(StrEnum):
    QUEUED = "queued"
    """Not signed."""
    PENDING = "pending"
    """Signed, and perhaps sent."""
    MINED = "mined"
    """In a block that is not deep enough yet."""
    DONE = "done"
    FAILED = "failed"
    """Refused: before it was sent, or by reverting in a block."""


@dataclass(frozen=True, slots=True)
class Intent:
    """Where an intent stands. `note` says why it waits or failed; `fee` is what it cost, in wei; `contract`
    is what it created."""

    id: int
    subject: str
    action: str
    state: State
    nonce: int | None
    note: str | None
    tx_hash: bytes | None
    block_number: int | None
    gas_used: int | None
    fee: int | None
    contract: str | None

    @property
    def over(self) -> bool:
        return self.state in (State.DONE, State.FAILED)


@dataclass(frozen=True, slots=True)
class Call:
    """What an intent's transaction does; `recipient` None creates a contract, `value` is in wei."""

    recipient: str | None
    data: bytes
    value: int
    gas_limit: int | None

    def sent_by(self, address: str) -> dict[str, Any]:
        """As eth_call takes it."""
        return {"from": address, "to": self.recipient, "data": self.data, "value": self.value}


@dataclass(frozen=True, slots=True)
class Attempt:
    """One signed transaction of an intent. `made_at` in seconds, `made_in` the latest block then."""

    hash: bytes
    nonce: int
    raw: bytes
    gas: int
    fees: Fees
    made_at: float
    made_in: int


class Intents:
    """The two tables. Every method is one transaction, or part of the caller's."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        journal.migrate("outbox", _SCHEMA)

    def put(self, subject: str, action: str, call: Call) -> int:
        with self._journal.transaction() as db:
            db.execute(
                "INSERT OR IGNORE INTO"
                " outbox_intent(subject, action, recipient, data, value, gas_limit, state)"
                " VALUES(?, ?, ?, ?, ?, ?, ?)",
                (subject, action, call.recipient, call.data, str(call.value), call.gas_limit, State.QUEUED),
            )
            (found,) = db.execute(
                "SELECT id FROM outbox_intent WHERE subject = ? AND action = ?", (subject, action)
            ).fetchone()
        return int(found)

    def find(self, subject: str, action: str) -> Intent | None:
        row = self._journal.row(
            "SELECT * FROM outbox_intent WHERE subject = ? AND action = ?", subject, action
        )
        return None if row is None else _intent(row)

    def queued(self) -> list[Intent]:
        """In the order they were put."""
        return self._in("state = 'queued' ORDER BY id")

    def pending(self) -> list[Intent]:
        """In the order of their nonces."""
        return self._in("state = 'pending' ORDER BY nonce")

    def out(self) -> list[Intent]:
        """Pending or mined, in the order of their nonces."""
        return self._in("state IN ('pending', 'mined') ORDER BY nonce")

    def unfinished(self) -> list[Intent]:
        return self._in("state IN ('queued', 'pending', 'mined') ORDER BY id")

    def call(self, intent: Intent) -> Call:
        row = self._row(intent.id)
        return Call(row["recipient"], row["data"], int(row["value"]), row["gas_limit"])

    def attempts(self, intent: Intent) -> list[Attempt]:
        """What was signed for it and can still be mined, newest first."""
        rows = self._journal.rows("SELECT * FROM outbox_attempt WHERE intent = ? AND live", intent.id)
        # Each raised the fee of the one before.
        return sorted((_attempt(row) for row in rows), key=lambda a: a.fees.most, reverse=True)

    def any_attempt(self) -> bool:
        return self._journal.row("SELECT 1 FROM outbox_attempt LIMIT 1") is not None

    def finished_from(self, nonce: int) -> list[Attempt]:
        """The transactions of finished intents that were mined with `nonce` or a later one."""
        rows = self._journal.rows(
            "SELECT a.* FROM outbox_attempt a JOIN outbox_intent i ON i.id = a.intent AND i.tx_hash = a.hash"
            " WHERE a.nonce >= ? AND a.live AND i.state IN ('done', 'failed') ORDER BY a.nonce",
            nonce,
        )
        return [_attempt(row) for row in rows]

    def free_nonce(self, chain: int) -> int:
        """The lowest that neither the chain nor a transaction of ours has used: so no gap can come to be."""
        rows = self._journal.rows("SELECT nonce FROM outbox_attempt WHERE live AND nonce >= ?", chain)
        taken = {int(row[0]) for row in rows}
        while chain in taken:
            chain += 1
        return chain

    def reserved(self) -> int:
        """The most that transactions under way can still cost, in wei."""
        total = 0
        for intent in self.pending():
            latest = self.attempts(intent)[0]
            total += self.call(intent).value + latest.gas * latest.fees.most
        return total

    def refused_since(self, intent: Intent) -> float | None:
        since = self._row(intent.id)["refused_since"]
        return None if since is None else float(since)

    def add_attempt(self, intent: Intent, attempt: Attempt) -> None:
        """Keep what was signed, and with it its nonce."""
        with self._journal.transaction() as db:
            db.execute(
                "INSERT INTO outbox_attempt(intent, hash, nonce, raw, gas, max_fee, tip, made_at, made_in)"
                " VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    intent.id, attempt.hash, attempt.nonce, attempt.raw, attempt.gas, str(attempt.fees.most),
                    str(attempt.fees.tip), attempt.made_at, attempt.made_in,
                ),
            )  # fmt: skip
            db.execute(
                "UPDATE outbox_intent SET state = 'pending', nonce = ?, note = NULL, refused_since = NULL"
                " WHERE id = ?",
                (attempt.nonce, intent.id),
            )

    def update(self, intent: Intent, **values: Any) -> None:
        """Set columns. Nothing to change is nothing written: a tick that only waits costs no disk."""
        sets = ", ".join(f"{key} = ?" for key in values)
        differs = " OR ".join(f"{key} IS NOT ?" for key in values)
        with self._journal.transaction() as db:
            db.execute(
                f"UPDATE outbox_intent SET {sets} WHERE id = ? AND ({differs})",
                (*values.values(), intent.id, *values.values()),
            )

    def requeue(self, intent: Intent, note: str | None, data: bytes | None = None) -> None:
        """Begin anew: what was signed for it will never be mined (again)."""
        with self._journal.transaction() as db:
            db.execute("UPDATE outbox_attempt SET live = 0 WHERE intent = ?", (intent.id,))
            db.execute(
                "UPDATE outbox_intent SET state = 'queued', nonce = NULL, note = ?, refused_since = NULL,"
                " tx_hash = NULL, block_number = NULL, block_hash = NULL, gas_used = NULL, fee = NULL,"
                " contract = NULL, data = coalesce(?, data) WHERE id = ?",
                (note, data, intent.id),
            )

    def drop(self, subject: str, action: str) -> bool:
        """Forget one that nothing was ever signed for."""
        with self._journal.transaction() as db:
            gone = db.execute(
                "DELETE FROM outbox_intent WHERE subject = ? AND action = ? AND state = 'queued'"
                " AND id NOT IN (SELECT intent FROM outbox_attempt)",
                (subject, action),
            )
            return gone.rowcount == 1

    def _in(self, where: str) -> list[Intent]:
        return [_intent(row) for row in self._journal.rows(f"SELECT * FROM outbox_intent WHERE {where}")]

    def _row(self, intent: int) -> Row:
        row = self._journal.row("SELECT * FROM outbox_intent WHERE id = ?", intent)
        assert row is not None
        return row


def _intent(row: Row) -> Intent:
    return Intent(
        id=row["id"],
        subject=row["subject"],
        action=row["action"],
        state=State(row["state"]),
        nonce=row["nonce"],
        note=row["note"],
        tx_hash=row["tx_hash"],
        block_number=row["block_number"],
        gas_used=row["gas_used"],
        fee=None if row["fee"] is None else int(row["fee"]),
        contract=row["contract"],
    )


def _attempt(row: Row) -> Attempt:
    return Attempt(
        hash=row["hash"],
        nonce=row["nonce"],
        raw=row["raw"],
        gas=row["gas"],
        fees=Fees(int(row["max_fee"]), int(row["tip"])),
        made_at=row["made_at"],
        made_in=row["made_in"],
    )
