"""The consumer's own memory of its jobs and of the models it has pinned, in the account's journal.

Secrets, prompts and answers lie here in the clear: the file is readable by its owner alone (mode 0600). Where
a job stands is read from the contract, never from here; here lies what the chain does not know.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from sqlite3 import Error as DatabaseError
from sqlite3 import Row, connect
from typing import Any

from agents.chain.journal import Journal
from agents.consumer.errors import UnknownJob
from agents.protocol.messages import Completion, Job, from_json, struct_hash, to_json
from agents.protocol.tokens import pack, unpack

_SCHEMA = [
    """
CREATE TABLE consumer_job(
  hash BLOB PRIMARY KEY,
  made_at REAL NOT NULL,
  chain_time INTEGER NOT NULL,
  job TEXT NOT NULL,
  model TEXT NOT NULL,
  manifest BLOB NOT NULL,
  node_url TEXT NOT NULL,
  operator TEXT NOT NULL,
  approve INTEGER NOT NULL,
  secret BLOB NOT NULL,
  client_private BLOB NOT NULL,
  prompt BLOB NOT NULL,
  expires INTEGER,
  acceptance BLOB,
  completion TEXT,
  output BLOB,
  verdict TEXT,
  outcome TEXT,
  facts TEXT NOT NULL DEFAULT '{}'
) STRICT;
CREATE INDEX consumer_job_open ON consumer_job(made_at) WHERE outcome IS NULL;
CREATE TABLE consumer_pin(
  name TEXT PRIMARY KEY,
  model_id TEXT NOT NULL,
  pinned_at REAL NOT NULL
) STRICT;
"""
]


class Outcome(StrEnum):
    """How a job ended."""

    NOT_OPENED = "not opened"
    """No money was ever locked."""
    PAID = "paid"
    """The node and the model were paid, the rest came back."""
    MISSED = "missed"
    """The node missed its deadline: all came back, and a share of its penalty."""
    WITHHELD = "withheld"
    """The node kept its answer: all came back, and a share of its penalty."""
    UPHELD = "upheld"
    """The court found the answer wrong: its price came back, and a share of the node's penalty."""
    DISMISSED = "dismissed"
    """The court found the answer right: the node was paid, and the bond is lost."""
    UNDECIDED = "undecided"
    """The court decided nothing: the price came back, and a part of the bond if a panel was drawn."""


@dataclass(frozen=True, slots=True)
class Record:
    """A job as this account knows it. `chain_time` is when it was made, in chain seconds; `facts` what was
    read from the chain on the way (amounts in base units as decimal text, transaction hashes)."""

    hash: bytes
    made_at: float
    chain_time: int
    job: Job
    model: str
    manifest: bytes
    node_url: str
    operator: str
    approve: bool
    secret: bytes
    client_private: bytes
    prompt: tuple[int, ...]
    expires: int | None
    acceptance: bytes | None
    completion: Completion | None
    output: tuple[int, ...] | None
    verdict: Mapping[str, Any] | None
    outcome: Outcome | None
    facts: Mapping[str, str]

    def __repr__(self) -> str:
        # Never the secrets, nor what was asked.
        return f"Record({self.name}, {self.model}, {self.outcome or 'open'})"

    @property
    def name(self) -> str:
        """0x hex of the job's hash: its name in HTTP and in the outbox."""
        return "0x" + self.hash.hex()

    @property
    def may_demand(self) -> bool:
        """Whether a withheld answer may be demanded on chain, for a fee, without asking again."""
        return self.facts.get("demand") != "no"

    @property
    def may_challenge(self) -> bool:
        """Whether a wrong answer may be challenged, with a bond, without asking again."""
        return self.facts.get("challenge") != "no"

    @property
    def appeals(self) -> bool:
        """Whether to fund an appeal, without asking again, when the court's first panel dismisses."""
        return self.facts.get("appeal") == "yes"

    @property
    def accepted(self) -> bool | None:
        """What the check of the answer found; None before it."""
        return None if self.verdict is None else bool(self.verdict.get("accepted"))


class Book:
    """All jobs of one account on one chain. Threads may share it."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        journal.migrate("consumer", _SCHEMA)

    def add(
        self,
        job: Job,
        *,
        chain_time: int,
        model: str,
        manifest: bytes,
        node_url: str,
        operator: str,
        approve: bool,
        secret: bytes,
        client_private: bytes,
        prompt: Sequence[int],
    ) -> Record:
        """Write a job down before anybody else hears of it."""
        key = struct_hash(job)
        with self._journal.transaction() as db:
            db.execute(
                "INSERT INTO consumer_job(hash, made_at, chain_time, job, model, manifest, node_url,"
                " operator, approve, secret, client_private, prompt)"
                " VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    key, time.time(), chain_time, json.dumps(to_json(job)), model, manifest, node_url,
                    operator, int(approve), secret, client_private, pack(prompt),
                ),
            )  # fmt: skip
        return self.get(key)

    def get(self, key: bytes) -> Record:
        """Raises UnknownJob."""
        row = self._journal.row("SELECT * FROM consumer_job WHERE hash = ?", key)
        if row is None:
            raise UnknownJob(f"no job 0x{key.hex()} in this account's journal: `agent jobs --all` lists them")
        return _record(row)

    def open(self) -> list[Record]:
        """Jobs that have not ended, oldest first."""
        rows = self._journal.rows("SELECT * FROM consumer_job WHERE outcome IS NULL ORDER BY made_at")
        return [_record(row) for row in rows]

    def all(self) -> list[Record]:
        """Every job, oldest first."""
        return [_record(row) for row in self._journal.rows("SELECT * FROM consumer_job ORDER BY made_at")]

    def find(self, prefix: str) -> Record:
        """A job by its hash or the beginning of it, with or without 0x.

        Raises:
            UnknownJob: none, or several.
        """
        return choose(self.all(), prefix)

    def accepted(self, key: bytes, expires: int, signature: bytes, and_then: Callable[[], object]) -> Record:
        """Keep the node's acceptance and, in the same transaction, do `and_then`: plan to open the job."""
        with self._journal.transaction() as db:
            db.execute(
                "UPDATE consumer_job SET expires = ?, acceptance = ? WHERE hash = ?",
                (expires, signature, key),
            )
            and_then()
        return self.get(key)

    def completed(self, key: bytes, completion: Completion) -> Record:
        """Keep the completion that the contract committed to; a reorganisation may bring another one."""
        with self._journal.transaction() as db:
            before = db.execute("SELECT completion FROM consumer_job WHERE hash = ?", (key,)).fetchone()[0]
            text = json.dumps(to_json(completion))
            if before != text:
                db.execute(
                    "UPDATE consumer_job SET completion = ?, output = NULL, verdict = NULL WHERE hash = ?",
                    (text, key),
                )
        return self.get(key)

    def answered(self, key: bytes, output: Sequence[int]) -> Record:
        return self._set(key, "output", pack(output))

    def judged(self, key: bytes, verdict: Mapping[str, Any]) -> Record:
        return self._set(key, "verdict", json.dumps(dict(verdict)))

    def leave(self, key: bytes) -> Record:
        """Never approve this job: its window decides."""
        return self._set(key, "approve", 0)

    def note(self, key: bytes, **facts: str) -> Record:
        """Add to what is known of a job."""
        with self._journal.transaction() as db:
            old = json.loads(
                db.execute("SELECT facts FROM consumer_job WHERE hash = ?", (key,)).fetchone()[0]
            )
            db.execute("UPDATE consumer_job SET facts = ? WHERE hash = ?", (json.dumps(old | facts), key))
        return self.get(key)

    def end(self, key: bytes, outcome: Outcome, **facts: str) -> Record:
        with self._journal.transaction():
            self.note(key, **facts)
            return self._set(key, "outcome", outcome)

    def pinned(self, name: str) -> int | None:
        """The model that a name stood for when it was first used."""
        row = self._journal.row("SELECT model_id FROM consumer_pin WHERE name = ?", name)
        return None if row is None else int(row["model_id"])

    def pin(self, name: str, model_id: int) -> None:
        with self._journal.transaction() as db:
            db.execute(
                "INSERT OR REPLACE INTO consumer_pin VALUES(?, ?, ?)",
                (name, str(model_id), time.time()),
            )

    def _set(self, key: bytes, column: str, value: object) -> Record:
        with self._journal.transaction() as db:
            db.execute(f"UPDATE consumer_job SET {column} = ? WHERE hash = ?", (value, key))
        return self.get(key)


def peek(path: Path) -> list[Record]:
    """All jobs in a journal that another process may have open, oldest first; none without a journal."""
    if not path.is_file():
        return []
    try:
        with closing(connect(f"file:{path}?mode=ro", uri=True, timeout=10)) as db:
            db.row_factory = Row
            known = db.execute("SELECT 1 FROM sqlite_master WHERE name = 'consumer_job'").fetchone()
            if known is None:
                return []
            return [_record(row) for row in db.execute("SELECT * FROM consumer_job ORDER BY made_at")]
    except DatabaseError as error:
        raise UnknownJob(f"can't read journal {path} ({error}): check its owner and mode") from None


def choose(records: Sequence[Record], prefix: str) -> Record:
    """The one record whose hash begins with `prefix`.

    Raises:
        UnknownJob: none, or several.
    """
    wanted = prefix.lower().removeprefix("0x")
    found = [r for r in records if r.hash.hex().startswith(wanted)] if wanted else []
    if len(found) == 1:
        return found[0]
    if found:
        raise UnknownJob(f"{len(found)} jobs begin with {prefix[:20]}: write more of the hash")
    raise UnknownJob(f"no job {prefix[:70]} in this account's journal: `agent jobs --all` lists them")


def _record(row: Row) -> Record:
    completion, verdict = row["completion"], row["verdict"]
    return Record(
        hash=bytes(row["hash"]),
        made_at=row["made_at"],
        chain_time=row["chain_time"],
        job=from_json(Job, json.loads(row["job"])),
        model=row["model"],
        manifest=bytes(row["manifest"]),
        node_url=row["node_url"],
        operator=row["operator"],
        approve=bool(row["approve"]),
        secret=bytes(row["secret"]),
        client_private=bytes(row["client_private"]),
        prompt=tuple(unpack(row["prompt"])),
        expires=row["expires"],
        acceptance=None if row["acceptance"] is None else bytes(row["acceptance"]),
        completion=None if completion is None else from_json(Completion, json.loads(completion)),
        output=None if row["output"] is None else tuple(unpack(row["output"])),
        verdict=None if verdict is None else json.loads(verdict),
        outcome=None if row["outcome"] is None else Outcome(row["outcome"]),
        facts=json.loads(row["facts"]),
    )
