"""Serving blocks over real HTTP: the trustless gateway's form, and what is refused."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from block_servers import honest

from agents.protocol.cid import Cid
from agents.storage.local import LocalStore

RAW = "application/vnd.ipld.raw"


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path)


@pytest.fixture
def client(store: LocalStore) -> Iterator[httpx.Client]:
    with honest(store) as url, httpx.Client(base_url=url) as client:
        yield client


@pytest.mark.parametrize("size", [0, 1, 1 << 20])
def test_a_block_by_query_or_by_accept(store: LocalStore, client: httpx.Client, size: int) -> None:
    data = bytes(size)
    cid = store.add_bytes(data)
    for answer in (
        client.get(f"/ipfs/{cid}?format=raw"),
        client.get(f"/ipfs/{cid}", headers={"Accept": f"text/html;q=0.1, {RAW}"}),
    ):
        assert answer.status_code == 200
        assert answer.content == data
        headers = answer.headers
        assert headers["content-type"] == RAW
        assert headers["content-length"] == str(size)
        assert headers["etag"] == f'"{cid}.raw"'
        assert "immutable" in headers["cache-control"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["content-disposition"] == f'attachment; filename="{cid}.bin"'
        assert headers["x-ipfs-path"] == f"/ipfs/{cid}"


def test_an_inner_node_and_a_leaf_of_a_large_file(store: LocalStore, client: httpx.Client) -> None:
    cid = store.add_bytes(bytes(2 << 20) + b"end")
    for wanted in (cid, Cid.of(bytes(1 << 20)), Cid.of(b"end")):
        assert wanted.verifies(client.get(f"/ipfs/{wanted}?format=raw").content)


def test_head_and_etag(store: LocalStore, client: httpx.Client) -> None:
    cid = store.add_bytes(b"data")
    head = client.head(f"/ipfs/{cid}?format=raw")
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", "4")
    assert client.head(f"/ipfs/{Cid.of(b'none')}?format=raw").status_code == 404
    same = client.get(f"/ipfs/{cid}?format=raw", headers={"If-None-Match": head.headers["etag"]})
    assert (same.status_code, same.content) == (304, b"")


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        (f"/ipfs/{Cid.of(b'none')}?format=raw", 404, "not_found"),
        ("/ipfs/QmdfTbBqBPQ7VNxZEYEj14VmRuZBkqFbiwReogJgS1zR1n?format=raw", 400, "cid"),
        ("/ipfs/%2e%2e%2fetc?format=raw", 404, None),
        ("/ipfs/x?format=raw", 400, "cid"),
        (f"/ipfs/{Cid.of(b'x')}/path?format=raw", 404, None),
        (f"/ipfs/{Cid.of(b'x')}", 400, "format"),
        (f"/ipfs/{Cid.of(b'x')}?format=car", 400, "format"),
    ],
)
def test_what_is_not_served(client: httpx.Client, path: str, status: int, code: str | None) -> None:
    answer = client.get(path, headers={"Accept": "*/*"})
    assert answer.status_code == status
    if code:
        assert answer.json()["error"]["code"] == code


def test_a_corrupt_block_is_never_sent(store: LocalStore, client: httpx.Client) -> None:
    cid = store.add_bytes(b"data")
    store.path_of(cid).write_bytes(b"dat4")
    answer = client.get(f"/ipfs/{cid}?format=raw")
    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "unreadable"
    assert str(store.root) not in answer.text


def test_no_more_reads_at_once_than_allowed(tmp_path: Path) -> None:
    """Reads that hang hold their places; the next caller is told to come back, and is served later."""
    entered, leave = threading.Semaphore(0), threading.Event()

    class Slow(LocalStore):
        def get_block(self, cid: Cid) -> bytes:
            entered.release()
            assert leave.wait(20)
            return super().get_block(cid)

    store = Slow(tmp_path)
    path = f"/ipfs/{store.add_bytes(b'data')}?format=raw"
    with honest(store, max_reads=2) as url, ThreadPoolExecutor() as pool:
        held = [pool.submit(httpx.get, url + path) for _ in range(2)]
        for _ in range(2):
            assert entered.acquire(timeout=20)
        busy = httpx.get(url + path)
        assert (busy.status_code, busy.headers["retry-after"]) == (429, "1")
        leave.set()
        assert [f.result().status_code for f in held] == [200, 200]
        assert httpx.get(url + path).status_code == 200
