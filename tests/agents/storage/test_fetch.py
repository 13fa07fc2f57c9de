"""Fetching from real servers: several at once, bad ones among them, killed half-way, disk full."""

import errno
import hashlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import httpx
import pytest
from block_servers import answer, honest, hostile

from agents.protocol.cid import DAG_PB, Cid
from agents.storage.errors import BadDag, NoPeer, NotStored, PeerError, StoreFull
from agents.storage.fetch import fetch, fetch_http
from agents.storage.local import LocalStore
from agents.storage.peer import HttpPeer

MIB = 1 << 20
SIZE = 7 * MIB + 3
BODY = hashlib.shake_128(b"weights").digest(SIZE)
ROOT = Path(__file__).parents[3]


@pytest.fixture
def seed(tmp_path: Path) -> tuple[LocalStore, Cid]:
    store = LocalStore(tmp_path / "seed")
    return store, store.add_bytes(BODY)


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "mine")


def cid_asked(handler: BaseHTTPRequestHandler) -> Cid:
    return Cid.parse(handler.path.removeprefix("/ipfs/").split("?")[0])


def test_a_file_from_three_peers_each_gives_some(store: LocalStore, seed: tuple[LocalStore, Cid]) -> None:
    origin, cid = seed
    seen: list[list[str]] = [[], [], []]
    progress: list[tuple[int, int]] = []
    with honest(origin, seen[0]) as a, honest(origin, seen[1]) as b, honest(origin, seen[2]) as c:
        path = fetch_http(store, cid, [a, b, c + "/"], SIZE, lambda done, all_: progress.append((done, all_)))
    assert path == store.path_of(cid)
    assert path.read_bytes() == BODY
    asked = [p for one in seen for p in one]
    assert len(asked) == len(set(asked)) == 1 + 8  # the root and each leaf, once
    assert sum(bool(one) for one in seen) >= 2
    assert progress[0] == (0, SIZE)
    assert progress[-1] == (SIZE, SIZE)
    assert progress == sorted(progress)
    assert list((store.root / "partial").iterdir()) == []
    assert store.get_block(Cid.of(BODY[:MIB])) == BODY[:MIB]  # and can be served on


@pytest.mark.parametrize("size", [0, 1, MIB])
def test_a_small_file_is_one_block(store: LocalStore, tmp_path: Path, size: int) -> None:
    origin = LocalStore(tmp_path / "seed")
    cid = origin.add_bytes(BODY[:size])
    with honest(origin) as url:
        assert fetch_http(store, cid, [url], MIB).read_bytes() == BODY[:size]


def test_what_is_here_is_not_fetched(store: LocalStore, seed: tuple[LocalStore, Cid]) -> None:
    _, cid = seed
    assert store.add_bytes(BODY) == cid
    assert fetch(store, cid, [], SIZE).read_bytes() == BODY


def test_only_corrupt_and_missing_blocks_are_fetched(store: LocalStore, seed: tuple[LocalStore, Cid]) -> None:
    origin, cid = seed
    store.add_bytes(BODY)
    with (store.root / "files" / str(cid)).open("r+b") as file:
        file.seek(3 * MIB + 77)
        file.write(b"\0\0\0\0")
    seen: list[str] = []
    with honest(origin, seen) as url:
        assert fetch_http(store, cid, [url], SIZE).read_bytes() == BODY
    assert seen == [f"/ipfs/{Cid.of(BODY[3 * MIB : 4 * MIB])}"]


def test_mending_leaves_a_linked_original_alone(
    store: LocalStore, seed: tuple[LocalStore, Cid], tmp_path: Path
) -> None:
    origin, cid = seed
    mine = tmp_path / "model.gguf"
    mine.write_bytes(BODY)
    assert store.add_file(mine) == cid
    changed = BODY[:5] + b"my own change" + BODY[18:]
    mine.write_bytes(changed)
    with honest(origin) as url:
        assert fetch_http(store, cid, [url], SIZE).read_bytes() == BODY
    assert mine.read_bytes() == changed


def test_blocks_of_another_file_are_used(store: LocalStore, seed: tuple[LocalStore, Cid]) -> None:
    origin, _ = seed
    longer = origin.add_bytes(BODY + b"more")
    store.add_bytes(BODY)
    seen: list[str] = []
    with honest(origin, seen) as url:
        assert fetch_http(store, longer, [url], SIZE + 4).read_bytes() == BODY + b"more"
    assert len(seen) == 2  # the root, and the last leaf


def flip(data: bytes) -> bytes:
    return bytes([data[0] ^ 1]) + data[1:]


@pytest.mark.parametrize("lie", [flip, lambda d: d[:-1], lambda d: d + b"\0", lambda d: bytes(3 * MIB)])
def test_a_peer_that_sends_a_bad_block_is_dropped(
    store: LocalStore,
    seed: tuple[LocalStore, Cid],
    lie: Callable[[bytes], bytes],
    caplog: pytest.LogCaptureFixture,
) -> None:
    origin, cid = seed
    lies: list[Cid] = []

    def behave(handler: BaseHTTPRequestHandler) -> None:
        wanted = cid_asked(handler)
        block = origin.get_block(wanted)
        if wanted.codec != DAG_PB:  # honest about the root, so that it is asked for leaves
            lies.append(wanted)
            block = lie(block)
        answer(handler, 200, block)

    with hostile(behave) as bad, honest(origin) as good:
        assert fetch_http(store, cid, [bad, good], SIZE).read_bytes() == BODY
    assert 1 <= len(lies) <= 4  # no more than were under way together
    assert f"asking {bad} no more" in caplog.text


def test_with_bad_peers_alone_the_error_names_them_and_keeps_nothing_false(
    store: LocalStore, seed: tuple[LocalStore, Cid]
) -> None:
    origin, cid = seed
    with (
        hostile(lambda h: answer(h, 200, flip(origin.get_block(cid_asked(h))))) as liar,
        hostile(lambda h: answer(h, 404)) as empty,
        pytest.raises(NoPeer) as error,
    ):
        fetch_http(store, cid, [liar, empty], SIZE)
    assert str(cid) in str(error.value)
    assert f"{liar} was given up" in str(error.value) or f"{liar} sent" in str(error.value)
    assert f"{empty} does not have" in str(error.value)
    assert [p for p in store.root.rglob("*") if p.is_file()] == []


def test_no_peers_and_no_connection_are_clear(store: LocalStore, seed: tuple[LocalStore, Cid]) -> None:
    _, cid = seed
    with pytest.raises(NoPeer, match="no peer is known"):
        fetch(store, cid, [], SIZE)
    with pytest.raises(NoPeer, match="did not deliver"):
        fetch_http(store, cid, ["http://127.0.0.1:9"], SIZE)  # the discard port: nothing listens
    with pytest.raises(PeerError, match="no http"):
        fetch_http(store, cid, ["file:///etc/passwd"], SIZE)


def test_a_peer_that_hiccups_is_asked_again(store: LocalStore, seed: tuple[LocalStore, Cid]) -> None:
    origin, cid = seed
    failed: set[Cid] = set()

    def behave(handler: BaseHTTPRequestHandler) -> None:
        wanted = cid_asked(handler)
        if len(failed) < 3 and wanted not in failed:
            failed.add(wanted)
            answer(handler, 503)
        else:
            answer(handler, 200, origin.get_block(wanted))

    with hostile(behave) as url:
        assert fetch_http(store, cid, [url], SIZE).read_bytes() == BODY
    assert len(failed) == 3


def test_a_peer_that_breaks_off_or_redirects_is_no_peer(
    store: LocalStore, seed: tuple[LocalStore, Cid]
) -> None:
    origin, cid = seed

    def breaks_off(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        handler.wfile.write(b"half")
        handler.close_connection = True

    with honest(origin) as good:

        def redirects(handler: BaseHTTPRequestHandler) -> None:
            handler.send_response(302)
            handler.send_header("Location", good + handler.path)
            handler.send_header("Content-Length", "0")
            handler.end_headers()

        with hostile(breaks_off) as a, hostile(redirects) as b, httpx.Client(timeout=5) as client:
            with pytest.raises(PeerError, match="did not deliver"):
                HttpPeer(a, client).get_block(cid)
            with pytest.raises(PeerError, match="answered 302"):
                HttpPeer(b, client).get_block(cid)


def test_a_peer_that_drips_is_left(seed: tuple[LocalStore, Cid], monkeypatch: pytest.MonkeyPatch) -> None:
    _, cid = seed
    monkeypatch.setattr("agents.storage.peer.BLOCK_SECONDS", 0.2)
    gone = threading.Event()

    def drip(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        try:
            while not gone.wait(0.02):
                handler.wfile.write(bytes(1 << 16))
        except OSError:
            pass

    # pieces of 64 KiB every 20 ms would reach 2 MiB only after 0.64 s
    with hostile(drip) as url, httpx.Client(timeout=5) as client:
        with pytest.raises(PeerError, match="took more than"):
            HttpPeer(url, client).get_block(cid)
        gone.set()


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 200 OK\r\n\r\n"])
def test_a_peer_that_sends_a_byte_now_and_then_is_left(
    head: bytes, seed: tuple[LocalStore, Cid], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, cid = seed
    monkeypatch.setattr("agents.storage.peer.BLOCK_SECONDS", 0.3)
    gone = threading.Event()

    def drip(handler: BaseHTTPRequestHandler) -> None:
        try:
            handler.wfile.write(head)
            while not gone.wait(0.05):
                handler.wfile.write(b"x")
        except OSError:
            pass

    with hostile(drip) as url, httpx.Client(timeout=5) as client:
        with pytest.raises(PeerError, match="took more than"):
            HttpPeer(url, client).get_block(cid)
        gone.set()


def test_an_endless_answer_is_cut_at_the_largest_block(
    store: LocalStore, seed: tuple[LocalStore, Cid]
) -> None:
    _, cid = seed
    sent = 0

    def endless(handler: BaseHTTPRequestHandler) -> None:
        nonlocal sent
        handler.send_response(200)
        handler.end_headers()
        try:
            while sent < 1 << 30:
                sent += handler.wfile.write(bytes(1 << 16))
        except OSError:
            pass

    with hostile(endless) as url, pytest.raises(NoPeer, match="more than 2097152 bytes"):
        fetch_http(store, cid, [url], SIZE)
    assert sent < 64 * MIB


def test_a_file_above_the_size_allowed_is_refused_by_its_root(
    store: LocalStore, seed: tuple[LocalStore, Cid]
) -> None:
    origin, cid = seed
    seen: list[str] = []
    with honest(origin, seen) as url, pytest.raises(BadDag, match=f"{SIZE} bytes, more than the {SIZE - 1}"):
        fetch_http(store, cid, [url], SIZE - 1)
    assert seen == [f"/ipfs/{cid}"]


def test_a_fetch_killed_half_way_goes_on_where_it_was(
    store: LocalStore, seed: tuple[LocalStore, Cid]
) -> None:
    origin, cid = seed
    served: list[Cid] = []
    enough, lock = threading.Event(), threading.Lock()

    def five_then_silence(handler: BaseHTTPRequestHandler) -> None:
        wanted = cid_asked(handler)
        with lock:
            served.append(wanted)
            hang = len(served) > 5
        if hang:
            enough.wait(60)
            return
        answer(handler, 200, origin.get_block(wanted))

    script = f"""
import pathlib, sys
from agents.protocol.cid import Cid
from agents.storage.fetch import fetch_http
from agents.storage.local import LocalStore
def progress(done, size):
    print(done, flush=True)
store = LocalStore(pathlib.Path({str(store.root)!r}))
fetch_http(store, Cid.parse({str(cid)!r}), [sys.argv[1]], {SIZE}, progress)
"""
    with hostile(five_then_silence) as url:
        child = subprocess.Popen(
            [sys.executable, "-c", script, url], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        assert child.stdout is not None
        here = 0
        while here < 4 * MIB:  # the root and four leaves arrive, then nothing
            here = int(child.stdout.readline())
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
        enough.set()
    assert not (store.root / "files" / str(cid)).exists()
    assert store.has(cid)  # the root block
    assert not store.has_file(cid)
    with pytest.raises(NotStored):
        store.path_of(cid)

    first = set(served[:5])
    seen: list[str] = []
    progress: list[int] = []
    with honest(origin, seen) as url:
        path = fetch_http(store, cid, [url], SIZE, lambda done, _: progress.append(done))
    assert path.read_bytes() == BODY
    assert progress[0] == here
    assert not {f"/ipfs/{c}" for c in first} & set(seen)
    assert len(seen) == 4


def test_two_fetches_of_one_file_at_once_load_it_once(
    store: LocalStore, seed: tuple[LocalStore, Cid]
) -> None:
    origin, cid = seed
    seen: list[str] = []
    got: list[Path] = []
    with honest(origin, seen) as url:
        threads = [
            threading.Thread(target=lambda: got.append(fetch_http(LocalStore(store.root), cid, [url], SIZE)))
            for _ in range(3)
        ]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
    assert [p.read_bytes() == BODY for p in got] == [True] * 3
    leaves = [p for p in seen if p != f"/ipfs/{cid}"]
    assert len(leaves) == len(set(leaves)) == 8


def test_a_full_disk_shows_before_the_first_leaf(
    store: LocalStore, seed: tuple[LocalStore, Cid], monkeypatch: pytest.MonkeyPatch
) -> None:
    origin, cid = seed
    seen: list[str] = []

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with honest(origin, seen) as url, pytest.raises(StoreFull, match="no room"):
        fetch_http(store, cid, [url], SIZE)
    assert seen == [f"/ipfs/{cid}"]
    assert list((store.root / "partial").iterdir()) == []
