import os
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from agents.chain.journal import Journal, JournalCorrupt, JournalError, JournalFull, JournalMismatch
from agents.chain.lock import AlreadyRunning

TABLE = ["CREATE TABLE note(id INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "agent.db"


def texts(journal: Journal) -> list[str]:
    return [row["text"] for row in journal.rows("SELECT text FROM note ORDER BY id")]


def write(journal: Journal, text: str) -> None:
    with journal.transaction() as db:
        db.execute("INSERT INTO note(text) VALUES(?)", (text,))


def test_it_is_private_and_durable(path: Path) -> None:
    with Journal(path) as journal:
        journal.migrate("note", TABLE)
        write(journal, "x")
        for file in path.parent.iterdir():
            assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
        assert journal.rows("PRAGMA journal_mode")[0][0] == "wal"
        assert journal.rows("PRAGMA synchronous")[0][0] == 2  # FULL
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    path.chmod(0o644)
    with Journal(path) as journal:
        assert texts(journal) == ["x"]
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_transaction_is_all_or_nothing(path: Path) -> None:
    with Journal(path) as journal:
        journal.migrate("note", TABLE)
        with pytest.raises(ZeroDivisionError), journal.transaction() as db:  # noqa: PT012
            db.execute("INSERT INTO note(text) VALUES('gone')")
            raise ZeroDivisionError
        with journal.transaction() as db:
            db.execute("INSERT INTO note(text) VALUES('outer')")
            with pytest.raises(ZeroDivisionError), journal.transaction() as inner:  # noqa: PT012
                inner.execute("INSERT INTO note(text) VALUES('inner')")
                raise ZeroDivisionError
            write(journal, "joined")
        assert texts(journal) == ["outer", "joined"]
        with pytest.raises(ZeroDivisionError), journal.transaction():  # noqa: PT012
            write(journal, "joined and gone with the outer one")
            raise ZeroDivisionError
        assert texts(journal) == ["outer", "joined"]


def test_migrations_run_once_each_and_in_order(path: Path) -> None:
    with Journal(path) as journal:
        journal.migrate("note", TABLE)
        write(journal, "old")
    more = [*TABLE, "ALTER TABLE note ADD COLUMN stars INTEGER NOT NULL DEFAULT 3;\nCREATE TABLE b(x);\n"]
    for _ in range(2):
        with Journal(path) as journal:
            journal.migrate("note", more)
            assert journal.rows("SELECT text, stars FROM note, (SELECT count(*) FROM b)")[0]["stars"] == 3
    with Journal(path) as journal, pytest.raises(JournalMismatch, match="newer version"):
        journal.migrate("note", TABLE)


def test_a_migration_that_fails_leaves_nothing(path: Path) -> None:
    with Journal(path) as journal:
        with pytest.raises(sqlite3.OperationalError):
            journal.migrate("note", [TABLE[0] + ";\nCREATE NONSENSE;"])
        journal.migrate("note", TABLE)


def test_it_belongs_to_one_chain(path: Path) -> None:
    with Journal(path) as journal:
        journal.bind("chain", "1", "chain")
        journal.bind("chain", "1", "chain")
        with pytest.raises(JournalMismatch, match=r"another chain \(1, not 2\).*move the file away"):
            journal.bind("chain", "2", "chain")


def test_a_second_process_is_refused_and_told_who_has_it(path: Path) -> None:
    code = f"""
from pathlib import Path
from agents.chain.journal import Journal
try:
    Journal(Path({str(path)!r}))
except Exception as e:
    print(type(e).__name__, e)
"""
    with Journal(path):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout.startswith("AlreadyRunning journal")
        assert f"pid {os.getpid()}" in done.stdout
        assert "stop that one first" in done.stdout
        with pytest.raises(AlreadyRunning):
            Journal(path)
    Journal(path).close()


def test_what_was_committed_survives_kill_9(path: Path) -> None:
    code = f"""
import os, signal
from pathlib import Path
from agents.chain.journal import Journal
journal = Journal(Path({str(path)!r}))
journal.migrate("note", {TABLE!r})
with journal.transaction() as db:
    db.execute("INSERT INTO note(text) VALUES('committed')")
with journal.transaction() as db:
    db.execute("INSERT INTO note(text) VALUES('not committed')")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", code]).returncode == -signal.SIGKILL
    with Journal(path) as journal:
        journal.migrate("note", TABLE)
        assert texts(journal) == ["committed"]


def test_a_damaged_file_says_what_to_do(path: Path) -> None:
    with Journal(path) as journal:
        journal.migrate("note", TABLE)
        for n in range(500):
            write(journal, f"{n} " + "x" * 200)
    whole = path.read_bytes()
    # A page that nothing reads at the start.
    path.write_bytes(whole[:-8192] + b"\xff" * 4096 + whole[-4096:])
    with pytest.raises(JournalCorrupt, match="damaged.*restore the file from a backup"):
        Journal(path)
    path.write_bytes(b"this is no database, it is a text of some length" * 100)
    with pytest.raises(JournalCorrupt, match="damaged"):
        Journal(path)
    path.write_bytes(whole)
    Journal(path).close()


def test_a_full_disk_loses_nothing_and_says_so(path: Path) -> None:
    with Journal(path) as journal:
        journal.migrate("note", TABLE)
        write(journal, "before")
        with journal.transaction() as db:
            pages = db.execute("PRAGMA page_count").fetchone()[0]
        journal.rows(f"PRAGMA max_page_count={pages}")
        with pytest.raises(JournalFull, match="make room"):
            write(journal, "x" * 9000)
        assert texts(journal) == ["before"]
        journal.rows("PRAGMA max_page_count=100000")
        write(journal, "after")
        assert (texts(journal)[0], texts(journal)[-1]) == ("before", "after")


def test_a_disk_that_really_is_full(path: Path) -> None:
    """The kernel refuses to let files grow; SQLite must come out of it whole."""
    code = f"""
import resource, signal
from pathlib import Path
from agents.chain.journal import Journal, JournalError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
journal = Journal(Path({str(path)!r}))
journal.migrate("note", {TABLE!r})
with journal.transaction() as db:
    db.execute("INSERT INTO note(text) VALUES('before')")
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
try:
    for _ in range(1000):
        with journal.transaction() as db:
            db.execute("INSERT INTO note(text) VALUES(?)", ("x" * 1000,))
except JournalError as e:
    print("refused:", e)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("refused:"), done.stderr
    with Journal(path) as journal:
        journal.migrate("note", TABLE)
        assert texts(journal)[0] == "before"
        assert set(texts(journal)[1:]) == {"x" * 1000}


def test_a_folder_that_can_not_be_written(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(JournalError, match="check the folder's owner"):
        Journal(blocked / "agent.db")


def test_threads_do_not_see_each_others_halves(path: Path) -> None:
    with Journal(path) as journal:
        journal.migrate("note", TABLE)
        inside, seen = threading.Event(), []

        def read() -> None:
            inside.wait()
            seen.extend(texts(journal))

        thread = threading.Thread(target=read)
        thread.start()
        with journal.transaction() as db:
            db.execute("INSERT INTO note(text) VALUES('a')")
            inside.set()
            db.execute("INSERT INTO note(text) VALUES('b')")
        thread.join()
        assert seen == ["a", "b"]
