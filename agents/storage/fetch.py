"""Fetching a file into the local store from several peers at once.

Inner nodes come first; then every leaf is written to its place in partial/<cid>. Nothing records what has
arrived: after a crash the leaves already there are recognised by their hashes.
"""

import fcntl
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx

from agents.protocol.cid import RAW, Cid

from . import dag
from .errors import CorruptBlock, NotStored
from .local import LocalStore
from .peer import HttpPeer
from .store import BlockSource
from .swarm import Swarm

Progress = Callable[[int, int], None]
"""Called with (bytes here, bytes in all), in the thread that called fetch."""

_PARALLEL_A_PEER = 4
_PARALLEL = 16
_TIMEOUT = httpx.Timeout(20.0, connect=5.0)


def fetch_http(
    store: LocalStore, cid: Cid, urls: Sequence[str], max_size: int, progress: Progress | None = None
) -> Path:
    """`fetch` from the nodes at these base addresses (`http://host:port`)."""
    limits = httpx.Limits(max_connections=2 * _PARALLEL, max_keepalive_connections=0)
    with httpx.Client(timeout=_TIMEOUT, limits=limits, follow_redirects=False) as client:
        return fetch(store, cid, [HttpPeer(url, client) for url in urls], max_size, progress)


def fetch(
    store: LocalStore,
    cid: Cid,
    peers: Sequence[BlockSource],
    max_size: int,
    progress: Progress | None = None,
) -> Path:
    """Bring a file into the store and return its path. Blocks that are here already are not fetched again.

    Raises:
        NoPeer: some block was to be had from nobody; what arrived is kept for the next call.
        BadDag: the CID names no file of the profile, or one above `max_size` bytes.
        StoreFull: no room for the file.
    """
    with suppress(NotStored, CorruptBlock):
        return store.path_of(cid)
    swarm = Swarm(peers)

    def get_node(wanted: Cid) -> bytes:
        with suppress(NotStored, CorruptBlock):
            return store.get_block(wanted)
        block = swarm.get(wanted)
        store.put_block(wanted, block)
        return block

    tree = dag.read_tree(cid, get_node, max_size)
    if cid.codec == RAW:
        if progress:
            progress(tree.size, tree.size)
        return store.path_of(cid)
    with _partial(store, tree) as fd:
        if fd is None:  # another process finished it while this one waited
            return store.path_of(cid)
        missing = [leaf for leaf in tree.leaves if not _have(store, fd, leaf)]
        _load(store, fd, tree, missing, swarm, progress, min(_PARALLEL, _PARALLEL_A_PEER * len(peers)))
        with store.writing():
            os.fsync(fd)
        return store.adopt(store.partial_path(cid), tree)


def _load(
    store: LocalStore,
    fd: int,
    tree: dag.Tree,
    missing: list[dag.Leaf],
    swarm: Swarm,
    progress: Progress | None,
    threads: int,
) -> None:
    here = tree.size - sum(leaf.size for leaf in missing)
    if progress:
        progress(here, tree.size)

    def load(leaf: dag.Leaf) -> int:
        block = dag.read_leaf(leaf, swarm.get)
        with store.writing():
            _write(fd, block, leaf.offset)
        return leaf.size

    pool = ThreadPoolExecutor(max(1, threads), thread_name_prefix="fetch")
    try:
        for done in as_completed([pool.submit(load, leaf) for leaf in missing]):
            here += done.result()
            if progress:
                progress(here, tree.size)
    finally:
        swarm.stop()
        pool.shutdown(cancel_futures=True)


@contextmanager
def _partial(store: LocalStore, tree: dag.Tree) -> Iterator[int | None]:
    """The file under construction, locked, with room for all of it; None if it is complete already."""
    path = store.partial_path(tree.root)
    with store.writing():
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        if not _same_file(path, fd):
            yield None
            return
        fresh = os.fstat(fd).st_size == 0
        with store.writing():
            try:
                os.ftruncate(fd, tree.size)
                os.posix_fallocate(fd, 0, tree.size)  # a full disk shows now, not at the last block
            except OSError:
                if fresh:
                    path.unlink()
                raise
        yield fd
    finally:
        os.close(fd)


def _same_file(path: Path, fd: int) -> bool:
    with suppress(FileNotFoundError):
        return os.path.samestat(path.stat(), os.fstat(fd))
    return False


def _have(store: LocalStore, fd: int, leaf: dag.Leaf) -> bool:
    if leaf.cid.verifies(os.pread(fd, leaf.size, leaf.offset)):
        return True
    with suppress(NotStored, CorruptBlock):
        block = dag.read_leaf(leaf, store.get_block)
        with store.writing():
            _write(fd, block, leaf.offset)
        return True
    return False


def _write(fd: int, block: bytes, offset: int) -> None:
    rest = memoryview(block)
    while rest:
        done = os.pwrite(fd, rest, offset)
        rest, offset = rest[done:], offset + done
