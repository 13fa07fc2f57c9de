"""The jobs of a node and where each stands. Every change is one SQLite transaction, so that a node killed
anywhere carries on.

accepted → open → running → done → completed → final, or failed. Prompts, secrets and outputs lie here in the
clear: the journal is readable by its owner alone, and they are wiped some days after a job has ended.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from sqlite3 import Connection as Database
from sqlite3 import Row
from typing import Any

from agents.chain.journal import Journal
from agents.node.errors import Refusal
from agents.protocol.messages import Completion, Job, Message, from_json, struct_hash, to_json
from agents.protocol.tokens import pack, unpack

_SCHEMA = [
    """
CREATE TABLE node_job(
  hash BLOB PRIMARY KEY,
  state TEXT NOT NULL,
  job TEXT NOT NULL,
  client TEXT NOT NULL,
  model_id TEXT NOT NULL,
  version INTEGER NOT NULL,
  deadline INTEGER NOT NULL,
  secret BLOB,
  prompt BLOB,
  expires INTEGER NOT NULL,
  acceptance BLOB NOT NULL,
  attempts INTEGER NOT NULL DEFAULT 0,
  output BLOB,
  output_tokens INTEGER NOT NULL DEFAULT 0,
  completion TEXT,
  completion_signature BLOB,
  claim TEXT,
  window_end INTEGER,
  check_due INTEGER NOT NULL DEFAULT 0,
  collecting TEXT,
  collections INTEGER NOT NULL DEFAULT 0,
  paid TEXT,
  reason TEXT,
  ended_at INTEGER
) STRICT;
CREATE INDEX node_job_state ON node_job(state, deadline);
CREATE INDEX node_job_due ON node_job(check_due) WHERE check_due;
CREATE TABLE node_event(
  block_number INTEGER NOT NULL,
  log_index INTEGER NOT NULL,
  hash BLOB NOT NULL,
  name TEXT NOT NULL,
  facts TEXT NOT NULL,
  PRIMARY KEY(block_number, log_index)
) STRICT;
CREATE INDEX node_event_hash ON node_event(hash);
CREATE TABLE node_start(block_number INTEGER NOT NULL) STRICT;
"""
]


class JobState(StrEnum):
    """As docs/protocol.md section 7 names them."""

    ACCEPTED = "accepted"
    OPEN = "open"
    RUNNING = "running"
    DONE = "done"
    COMPLETED = "completed"
    FINAL = "final"
    FAILED = "failed"


ACTIVE = (JobState.ACCEPTED, JobState.OPEN, JobState.RUNNING, JobState.DONE, JobState.COMPLETED)


@dataclass(frozen=True, slots=True)
class JobRecord:
    """A job without its prompt and output. `claim` is what the node and the model earn together, in base
    units; `window_end`, `expires` in chain seconds; `collecting` names the last of `collections` batches it
    was in; `paid` is the payment once it is final.
    """

    hash: bytes
    state: JobState
    job: Job
    expires: int
    acceptance: bytes
    attempts: int
    output_tokens: int
    completion: Completion | None
    completion_signature: bytes | None
    claim: int
    window_end: int | None
    collecting: str | None
    collections: int
    check_due: int
    paid: int | None
    reason: str | None

    @property
    def name(self) -> str:
        """0x hex of the hash: the job's name in HTTP, logs and the outbox."""
        return "0x" + self.hash.hex()

    def check_expiry(self, now: int) -> None:
        """Raises Refusal (409) when its acceptance ran out unused, as far as is known here."""
        if self.state is JobState.ACCEPTED and self.expires <= now:
            raise Refusal(
                409,
                "expired",
                f"this job was accepted before and its acceptance expired at {self.expires}: sign a new one, "
                "with another seed",
            )


@dataclass(frozen=True, slots=True)
class Limits:
    """How many acceptances may be outstanding that nobody has opened, and how many jobs may wait at all. A
    client's own count for `memory` seconds after they expired, so that who opens none is backed off.
    """

    pending_per_client: int
    pending: int
    queue: int
    memory: int


class JobBook:
    """All jobs, in the node's journal. Threads may share it."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        journal.migrate("node", _SCHEMA)

    def follow_from(self, block: int) -> int:
        """The block this book is followed from: the one given when it was first asked."""
        with self._journal.transaction() as db:
            row = db.execute("SELECT block_number FROM node_start").fetchone()
            if row is None:
                db.execute("INSERT INTO node_start VALUES(?)", (block,))
            return block if row is None else int(row[0])

    # What a client brings.

    def accept(
        self,
        job: Job,
        secret: bytes,
        prompt: Sequence[int],
        expires: int,
        acceptance: bytes,
        limits: Limits,
        now: int,
    ) -> JobRecord:
        """Write an accepted job down, or find it: the same job gives the same acceptance again.

        Raises:
            Refusal: 429 when too much is outstanding, 409 when its acceptance expired; `now` is chain time.
        """
        key = struct_hash(job)
        with self._journal.transaction() as db:
            known = self.find(key)
            if known:
                known.check_expiry(now)
                return known
            self._check_limits(db, job.client, limits, now)
            db.execute(
                "INSERT INTO node_job(hash, state, job, client, model_id, version, deadline, secret, prompt,"
                " expires, acceptance) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    key, JobState.ACCEPTED, _json(job), job.client, str(job.model_id), job.version,
                    job.deadline, secret, pack(prompt), expires, acceptance,
                ),
            )  # fmt: skip
        found = self.find(key)
        assert found is not None
        return found

    def _check_limits(self, db: Database, client: str, limits: Limits, now: int) -> None:
        mine, everyone = db.execute(
            "SELECT count(*) FILTER (WHERE client = ?), count(*) FILTER (WHERE expires >= ?) FROM node_job"
            " WHERE state = ? AND expires >= ?",
            (client, now, JobState.ACCEPTED, now - limits.memory),
        ).fetchone()
        (waiting,) = db.execute(
            "SELECT count(*) FROM node_job WHERE state IN (?, ?)", (JobState.OPEN, JobState.RUNNING)
        ).fetchone()
        if mine >= limits.pending_per_client:
            raise Refusal(
                429, "too_many_unopened",
                f"{mine} of your jobs were accepted and not opened: open those that still can be, or wait",
                retry_after=self._next_expiry(db, now - limits.memory, client),
            )  # fmt: skip
        if everyone >= limits.pending:
            raise Refusal(
                429, "busy", "too many accepted jobs wait to be opened: try again, or ask another node",
                retry_after=self._next_expiry(db, now, None),
            )  # fmt: skip
        if waiting + everyone >= limits.queue:
            raise Refusal(429, "busy", "the queue is full: try again, or ask another node", retry_after=30)

    def _next_expiry(self, db: Database, now: int, client: str | None) -> int:
        (first,) = db.execute(
            "SELECT min(expires) FROM node_job"
            " WHERE state = ? AND expires >= ? AND client = coalesce(?, client)",
            (JobState.ACCEPTED, now, client),
        ).fetchone()
        return max(1, int(first) - now + 1)

    # Reading.

    def find(self, key: bytes) -> JobRecord | None:
        row = self._journal.row("SELECT * FROM node_job WHERE hash = ?", key)
        return None if row is None else _record(row)

    def in_state(self, *states: JobState) -> list[JobRecord]:
        """Earliest deadline first."""
        marks = ", ".join("?" * len(states))
        rows = self._journal.rows(
            f"SELECT * FROM node_job WHERE state IN ({marks}) ORDER BY deadline, hash", *states
        )
        return [_record(row) for row in rows]

    def unanswered(self, now: int) -> list[JobRecord]:
        """What the machine has promised: open and running jobs, and acceptances that can still be opened."""
        rows = self._journal.rows(
            "SELECT * FROM node_job WHERE state IN ('open', 'running')"
            " OR (state = 'accepted' AND expires >= ?) ORDER BY deadline, hash",
            now,
        )
        return [_record(row) for row in rows]

    def prompt(self, key: bytes) -> tuple[bytes, list[int]]:
        """The secret and the prompt's token ids.

        Raises:
            KeyError: unknown, or wiped.
        """
        row = self._journal.row("SELECT secret, prompt FROM node_job WHERE hash = ?", key)
        if row is None or row["prompt"] is None:
            raise KeyError("this job's prompt is not here any more")
        return bytes(row["secret"]), unpack(row["prompt"])

    def output(self, key: bytes) -> tuple[bytes, list[int]]:
        """The secret and the output's token ids.

        Raises:
            KeyError: unknown, not answered yet, or wiped.
        """
        row = self._journal.row("SELECT secret, output FROM node_job WHERE hash = ?", key)
        if row is None or row["output"] is None or row["secret"] is None:
            raise KeyError("this job's output is not here")
        return bytes(row["secret"]), unpack(row["output"])

    def counts(self) -> dict[JobState, int]:
        found = {
            row[0]: int(row[1])
            for row in self._journal.rows("SELECT state, count(*) FROM node_job GROUP BY state")
        }
        return {state: found.get(state, 0) for state in JobState}

    def earned(self) -> int:
        """What all final jobs paid, the model's fee included, in base units."""
        rows = self._journal.rows("SELECT paid FROM node_job WHERE state = 'final' AND paid IS NOT NULL")
        return sum(int(row[0]) for row in rows)

    # Moving on. Each says whether it did: a job that has moved elsewhere meanwhile stays there.

    def opened(self, key: bytes) -> bool:
        return self._move(key, (JobState.ACCEPTED,), JobState.OPEN)

    def started(self, key: bytes) -> bool:
        with self._journal.transaction() as db:
            db.execute(
                "UPDATE node_job SET attempts = attempts + 1 WHERE hash = ? AND state = 'open'", (key,)
            )
            return self._move(key, (JobState.OPEN,), JobState.RUNNING)

    def interrupted(self, key: bytes, *, own_fault: bool = True) -> bool:
        """Back in the queue: it will be generated again, and come out the same. Only what may be the job's
        own fault counts as an attempt.
        """
        with self._journal.transaction() as db:
            if not own_fault:
                db.execute(
                    "UPDATE node_job SET attempts = attempts - 1 WHERE hash = ? AND state = 'running'", (key,)
                )
            return self._move(key, (JobState.RUNNING,), JobState.OPEN)

    def resume(self) -> int:
        """After a start: whatever ran when the process died is to be run again; how many these are."""
        running = self.in_state(JobState.RUNNING)
        return sum(self.interrupted(record.hash) for record in running)

    def done(
        self,
        key: bytes,
        output: Sequence[int],
        completion: Completion,
        signature: bytes,
        claim: int,
        send: Callable[[JobRecord], object],
    ) -> bool:
        """Output and signed completion, stored before anything is sent and never a second time. `send` writes
        the transaction's intent down, within the same transaction of the journal.
        """
        with self._journal.transaction() as db:
            changed = db.execute(
                "UPDATE node_job SET state = ?, output = ?, output_tokens = ?, completion = ?,"
                " completion_signature = ?, claim = ?, reason = NULL"
                " WHERE hash = ? AND state = ? AND completion IS NULL",
                (
                    JobState.DONE, pack(output), len(output), _json(completion), signature, str(claim),
                    key, JobState.RUNNING,
                ),
            )  # fmt: skip
            if changed.rowcount != 1:
                return False
            record = self.find(key)
            assert record is not None
            send(record)
            return True

    def completed(self, key: bytes, window_end: int) -> bool:
        with self._journal.transaction() as db:
            db.execute("UPDATE node_job SET window_end = ? WHERE hash = ?", (window_end, key))
            return self._move(key, (JobState.DONE,), JobState.COMPLETED)

    def window(self, key: bytes, end: int) -> None:
        """The challenge window has another end now."""
        with self._journal.transaction() as db:
            db.execute("UPDATE node_job SET window_end = ? WHERE hash = ?", (end, key))

    def final(self, key: bytes, paid: int, now: int) -> bool:
        with self._journal.transaction() as db:
            moved = self._move(key, (JobState.DONE, JobState.COMPLETED, JobState.FAILED), JobState.FINAL)
            if moved:
                db.execute(
                    "UPDATE node_job SET paid = ?, ended_at = ?, reason = NULL WHERE hash = ?",
                    (str(paid), now, key),
                )
            return moved

    def failed(self, key: bytes, reason: str, now: int) -> bool:
        with self._journal.transaction() as db:
            moved = self._move(key, ACTIVE, JobState.FAILED)
            if moved:
                db.execute("UPDATE node_job SET reason = ?, ended_at = ? WHERE hash = ?", (reason, now, key))
            return moved

    def lost(self, key: bytes, reason: str, now: int) -> None:
        """Closed on chain without payment."""
        with self._journal.transaction() as db:
            db.execute(
                "UPDATE node_job SET state = 'failed', reason = ?, ended_at = coalesce(ended_at, ?) WHERE "
                "hash = ?",
                (reason, now, key),
            )

    def unwound(self, key: bytes, state: JobState) -> None:
        """The chain took back what had been confirmed: the job is where `state` says again."""
        with self._journal.transaction() as db:
            db.execute(
                "UPDATE node_job SET state = ?, paid = NULL, ended_at = NULL, reason = NULL WHERE hash = ?",
                (state, key),
            )

    def _move(self, key: bytes, before: Sequence[JobState], after: JobState) -> bool:
        marks = ", ".join("?" * len(before))
        with self._journal.transaction() as db:
            changed = db.execute(
                f"UPDATE node_job SET state = ? WHERE hash = ? AND state IN ({marks})", (after, key, *before)
            )
            return changed.rowcount == 1

    # Being paid.

    @contextmanager
    def collect(self, keys: Sequence[bytes], batch: str) -> Iterator[None]:
        """Note that these jobs are in a batch to finalize, in one transaction with what is done inside."""
        with self._journal.transaction() as db:
            db.executemany(
                "UPDATE node_job SET collecting = ?, collections = collections + 1 WHERE hash = ?",
                [(batch, key) for key in keys],
            )
            yield

    # What the chain says.

    @staticmethod
    def note(db: Database, block: int, log: int, key: bytes, name: str, facts: Mapping[str, Any]) -> bool:
        """A confirmed event, within the transaction that moves the follower on; False when the job is not
        ours.
        """
        known = (
            db.execute("UPDATE node_job SET check_due = check_due + 1 WHERE hash = ?", (key,)).rowcount == 1
        )
        if known:
            db.execute(
                "INSERT OR REPLACE INTO node_event VALUES(?, ?, ?, ?, ?)",
                (block, log, key, name, json.dumps(dict(facts))),
            )
        return known

    @staticmethod
    def unnote(db: Database, ancestor: int) -> None:
        """Blocks above `ancestor` are not in the chain any more."""
        db.execute(
            "UPDATE node_job SET check_due = check_due + 1 WHERE hash IN (SELECT hash FROM node_event WHERE "
            "block_number > ?)",
            (ancestor,),
        )
        db.execute("DELETE FROM node_event WHERE block_number > ?", (ancestor,))

    def facts(self, key: bytes) -> dict[str, Mapping[str, Any]]:
        """Confirmed events by name; the latest of each."""
        rows = self._journal.rows(
            "SELECT name, facts FROM node_event WHERE hash = ? ORDER BY block_number, log_index", key
        )
        return {row["name"]: json.loads(row["facts"]) for row in rows}

    def due(self) -> list[JobRecord]:
        """Jobs whose contract is to be read."""
        return [
            _record(row)
            for row in self._journal.rows("SELECT * FROM node_job WHERE check_due ORDER BY deadline")
        ]

    def check_all(self) -> None:
        """Mark every job that has not ended: a log is a hint, and hints can be missed."""
        with self._journal.transaction() as db:
            db.execute("UPDATE node_job SET check_due = check_due + 1 WHERE state NOT IN ('final', 'failed')")

    def checked(self, record: JobRecord) -> None:
        """It is where its contract is; a log that came since `record` was read still counts."""
        with self._journal.transaction() as db:
            db.execute(
                "UPDATE node_job SET check_due = 0 WHERE hash = ? AND check_due = ?",
                (record.hash, record.check_due),
            )

    # Forgetting.

    def drop_unopened(self, before: int) -> int:
        """Forget acceptances that expired before chain time `before` and that no confirmed block opened."""
        with self._journal.transaction() as db:
            gone = db.execute(
                "DELETE FROM node_job WHERE state = 'accepted' AND expires < ?"
                " AND hash NOT IN (SELECT hash FROM node_event)",
                (before,),
            )
            return gone.rowcount

    def wipe(self, before: int) -> int:
        """Forget prompts, secrets and outputs of jobs that ended before chain time `before`."""
        with self._journal.transaction() as db:
            gone = db.execute(
                "UPDATE node_job SET secret = NULL, prompt = NULL, output = NULL"
                " WHERE state IN ('final', 'failed') AND ended_at < ? AND secret IS NOT NULL",
                (before,),
            )
            return gone.rowcount


def _json(message: Message) -> str:
    return json.dumps(to_json(message))


def _record(row: Row) -> JobRecord:
    completion = row["completion"]
    signature = row["completion_signature"]
    return JobRecord(
        hash=bytes(row["hash"]),
        state=JobState(row["state"]),
        job=from_json(Job, json.loads(row["job"])),
        expires=row["expires"],
        acceptance=bytes(row["acceptance"]),
        attempts=row["attempts"],
        output_tokens=row["output_tokens"],
        completion=None if completion is None else from_json(Completion, json.loads(completion)),
        completion_signature=None if signature is None else bytes(signature),
        claim=int(row["claim"] or 0),
        window_end=row["window_end"],
        collecting=row["collecting"],
        collections=row["collections"],
        check_due=row["check_due"],
        paid=None if row["paid"] is None else int(row["paid"]),
        reason=row["reason"],
    )
