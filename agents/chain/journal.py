"""An agent's memory: one SQLite file that survives kill -9 and power cuts.

WAL with synchronous=FULL: what a committed transaction wrote is on the disk.
"""

import os
import shutil
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from agents.chain.errors import ChainError
from agents.chain.lock import FileLock


class JournalError(ChainError):
    """The journal can't be used; the text says what to do."""


class JournalFull(JournalError):
    """The disk is full. What was committed is safe; the failed step left nothing behind."""


class JournalCorrupt(JournalError):
    """The file is damaged."""


class JournalMismatch(JournalError):
    """The file belongs to another chain, account or a newer program."""


class Journal:
    """Opened, locked against a second process, and checked for damage.

    Threads may share it. Never wait for the network inside `transaction`: others wait for the lock.

    Raises:
        AlreadyRunning: another process has it open.
        JournalError: it can't be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.RLock()
        self._depth = 0
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._file_lock = FileLock(path.with_name(path.name + ".lock"), f"journal {path}")
            # Made before SQLite does, so that it is private from its first moment; WAL files take its mode.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            path.chmod(0o600)
        except OSError as e:
            raise JournalError(
                f"can't open journal {path}: {e.strerror}: check the folder's owner and mode"
            ) from None
        try:
            with self._explained():
                self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
                self._db.row_factory = sqlite3.Row
                damage = self._db.execute("PRAGMA integrity_check(1)").fetchone()[0]
                if damage != "ok":
                    raise sqlite3.DatabaseError(f"malformed: {damage}")
                self._db.execute("PRAGMA journal_mode=WAL")
                self._db.execute("PRAGMA synchronous=FULL")
                self._db.execute("PRAGMA foreign_keys=ON")
            self.migrate(
                "journal",
                ["CREATE TABLE journal_meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT"],
            )
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        with self._lock:
            if hasattr(self, "_db"):
                self._db.close()
            self._file_lock.close()

    def migrate(self, component: str, steps: Sequence[str]) -> None:
        """Bring a component's tables up to date: `steps[i]` (one or more statements) leads from version i to
        i + 1. A line ends at most one statement. Each step runs once, ever: append, never change.

        Raises:
            JournalMismatch: the file was written by a newer program.
        """
        with self.transaction() as db:
            db.execute(
                "CREATE TABLE IF NOT EXISTS journal_schema("
                "component TEXT PRIMARY KEY, version INTEGER NOT NULL)"
            )
            row = db.execute(
                "SELECT version FROM journal_schema WHERE component = ?", (component,)
            ).fetchone()
            version = int(row[0]) if row else 0
            if version > len(steps):
                raise JournalMismatch(
                    f"journal {self.path} is from a newer version ({component} {version}): update this one"
                )
            for step in steps[version:]:
                for statement in _statements(step):
                    db.execute(statement)
            db.execute(
                "INSERT INTO journal_schema VALUES(?, ?)"
                " ON CONFLICT(component) DO UPDATE SET version = excluded.version",
                (component, len(steps)),
            )

    def bind(self, key: str, value: str, meaning: str) -> None:
        """Tie the file to a fact (its chain, its account) when first used.

        Raises:
            JournalMismatch: it was tied to another one; `meaning` says what that is.
        """
        with self.transaction() as db:
            db.execute("INSERT OR IGNORE INTO journal_meta VALUES(?, ?)", (key, value))
            (bound,) = db.execute("SELECT value FROM journal_meta WHERE key = ?", (key,)).fetchone()
        if bound != value:
            raise JournalMismatch(
                f"journal {self.path} belongs to another {meaning} ({bound}, not {value}): use that one, or, "
                "if it is gone for good (a local chain that was restarted), move the file away"
            )

    def bind_chain(self, chain_id: int, genesis: bytes) -> None:
        """Tie the file to a chain by the hash of its first block: a restarted local chain keeps its id.

        Raises:
            JournalMismatch: it belongs to another chain.
        """
        self.bind("chain", f"{chain_id}, first block 0x{genesis.hex()}", "chain")

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing, and on the disk when it ends. Inside another transaction it joins that one."""
        with self._lock, self._explained():
            outermost = self._depth == 0
            name = f"step_{self._depth}"
            self._db.execute("BEGIN IMMEDIATE" if outermost else f"SAVEPOINT {name}")
            self._depth += 1
            try:
                yield self._db
                self._db.execute("COMMIT" if outermost else f"RELEASE {name}")
            except BaseException:
                # A full disk has rolled back already.
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK" if outermost else f"ROLLBACK TO {name}")
                    if not outermost:
                        self._db.execute(f"RELEASE {name}")
                raise
            finally:
                self._depth -= 1

    def rows(self, sql: str, *params: Any) -> list[sqlite3.Row]:
        with self._lock, self._explained():
            return self._db.execute(sql, params).fetchall()

    def row(self, sql: str, *params: Any) -> sqlite3.Row | None:
        found = self.rows(sql, *params)
        return found[0] if found else None

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.IntegrityError:
            raise
        except sqlite3.DatabaseError as e:
            text = " ".join(str(e).split())
            if "full" in text or getattr(e, "sqlite_errorcode", 0) == sqlite3.SQLITE_FULL:
                free = shutil.disk_usage(self.path.parent).free
                raise JournalFull(
                    f"no room for journal {self.path} ({free} bytes free): make room and start again; "
                    "nothing that was committed is lost"
                ) from e
            if "malformed" in text or "not a database" in text:
                raise JournalCorrupt(
                    f"journal {self.path} is damaged ({text}): stop this account's other programs, restore "
                    "the file from a backup, or keep a copy, move it away and start anew: the chain's state "
                    "is read again, but transactions signed and not yet mined are known only to this file"
                ) from e
            if "readonly" in text or "unable to open" in text or "disk I/O" in text:
                raise JournalError(
                    f"can't write journal {self.path} ({text}): check the disk and the file's owner and mode"
                ) from e
            raise


def _statements(script: str) -> Iterator[str]:
    rest = ""
    for line in script.splitlines(keepends=True):
        rest += line
        if sqlite3.complete_statement(rest):
            yield rest
            rest = ""
    if rest.strip():
        yield rest
