"""LocalStore on a real file system: what is kept, that damage is found, what a full disk leaves behind."""

import errno
import hashlib
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agents.protocol.cid import Cid
from agents.storage import dag, local
from agents.storage.errors import BadDag, CorruptBlock, NotStored, StorageError, StoreFull
from agents.storage.local import LocalStore
from agents.storage.store import Store

MIB = 1 << 20
ROOT = Path(__file__).parents[3]


def body(size: int) -> bytes:
    return hashlib.shake_128(b"body").digest(size)


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "store")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.gguf"
    path.write_bytes(body(3 * MIB + 5))
    return path


def leftovers(store: LocalStore) -> list[Path]:
    return [p for folder in ("tmp", "partial") for p in (store.root / folder).iterdir()]


@pytest.mark.parametrize("size", [0, 1, MIB, MIB + 1, 3 * MIB + 5])
def test_bytes_and_file_of_one_content_are_one_cid(tmp_path: Path, store: Store, size: int) -> None:
    path = tmp_path / "file"
    path.write_bytes(body(size))
    cid = store.add_bytes(body(size))
    assert store.add_file(path) == cid == store.add_bytes(body(size))
    assert b"".join(store.cat(cid, size)) == body(size)
    assert store.has(cid)
    assert isinstance(store, LocalStore)
    assert store.has_file(cid)
    assert store.path_of(cid).read_bytes() == body(size)
    assert leftovers(store) == []
    if size:
        with pytest.raises(BadDag, match="more than the"):
            list(store.cat(cid, size - 1))


def test_a_large_file_is_stored_once_and_its_leaves_are_ranges_of_it(store: LocalStore, model: Path) -> None:
    cid = store.add_file(model)
    assert os.path.samefile(store.path_of(cid), model)  # linked: no second copy at all
    with model.open("rb") as file:
        tree = dag.import_file(file)
    for leaf in tree.leaves:
        assert store.get_block(leaf.cid) == body(3 * MIB + 5)[leaf.offset : leaf.offset + leaf.size]
    stored = sum(p.stat().st_size for p in store.root.rglob("*") if p.is_file())
    assert stored < 3 * MIB + 5 + 1024


def test_a_file_of_another_file_system_is_copied(
    store: LocalStore, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cross_device(*_: object) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", cross_device)
    cid = store.add_file(model)
    model.write_bytes(b"changed")
    assert store.path_of(cid).read_bytes() == body(3 * MIB + 5)
    assert leftovers(store) == []


def test_the_original_may_be_deleted_or_replaced(store: LocalStore, model: Path) -> None:
    cid = store.add_file(model)
    model.unlink()
    assert store.path_of(cid).read_bytes() == body(3 * MIB + 5)


def test_writing_into_a_linked_original_is_noticed(store: LocalStore, model: Path) -> None:
    cid = store.add_file(model)
    with model.open("r+b") as file:
        file.seek(2 * MIB + 3)
        file.write(b"!")
    with pytest.raises(CorruptBlock, match=f"at byte {2 * MIB} is corrupt: fetch {cid} again"):
        store.path_of(cid)
    with pytest.raises(CorruptBlock):
        list(store.cat(cid, 4 * MIB))
    model.write_bytes(body(3 * MIB + 5))
    assert store.add_file(model) == cid  # adding again mends
    assert store.path_of(cid).read_bytes() == body(3 * MIB + 5)


def test_another_store_object_and_a_later_one_see_the_same(store: LocalStore, model: Path) -> None:
    other = LocalStore(store.root)
    missing = Cid.of(body(MIB)[:MIB])
    assert not other.has(missing)
    cid = store.add_file(model)
    assert other.has(missing)  # the first leaf, found in a file added meanwhile
    assert other.get_block(missing) == body(MIB)
    assert LocalStore(store.root).path_of(cid).exists()
    (store.root / "files" / str(cid)).unlink()
    with pytest.raises(NotStored, match="fetch it from a peer"):
        other.get_block(missing)
    assert not other.has(missing)


def test_what_is_not_there_is_said_to_be_missing(store: LocalStore) -> None:
    small, large = Cid.of(b"nothing"), Cid.of(b"nothing", 0x70)
    assert not store.has(small)
    for cid in (small, large):
        with pytest.raises(NotStored, match=str(cid)):
            store.get_block(cid)
        with pytest.raises(NotStored, match=str(cid)):
            store.path_of(cid)


def test_a_block_under_a_wrong_name_or_too_large_is_refused(store: LocalStore) -> None:
    with pytest.raises(CorruptBlock, match="are not"):
        store.put_block(Cid.of(b"a"), b"b")
    big = bytes(dag.MAX_BLOCK + 1)
    with pytest.raises(StorageError, match="at most"):
        store.put_block(Cid.of(big), big)
    assert not store.has(Cid.of(b"a"))


def test_paths_that_are_no_files_are_refused(store: LocalStore, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "absent", tmp_path, tmp_path / "pipe"):
        with pytest.raises(StorageError, match="no regular file"):
            store.add_file(path)


@pytest.fixture(scope="module")
def stocked(tmp_path_factory: pytest.TempPathFactory) -> tuple[LocalStore, Cid, list[Path]]:
    """A store with a file of leaves and an inner node, small blocks, and the paths that hold its bytes."""
    store = LocalStore(tmp_path_factory.mktemp("stocked"))
    cid = store.add_bytes(body(2 * MIB + 9))
    for text in (b"", b"one", body(5000)):
        store.add_bytes(text)
    return store, cid, [p for p in store.root.rglob("*") if p.is_file() and p.stat().st_size]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_flipped_bit_is_found(stocked: tuple[LocalStore, Cid, list[Path]], data: st.DataObject) -> None:
    store, cid, paths = stocked
    path = data.draw(st.sampled_from(paths))
    position = data.draw(st.integers(0, path.stat().st_size - 1))
    with flipped(path, position, 1 << data.draw(st.integers(0, 7))):
        if path.parent.name == "files":
            with pytest.raises(CorruptBlock, match=f"at byte {position // MIB * MIB} is corrupt"):
                store.path_of(cid)
            with pytest.raises(CorruptBlock):
                list(store.cat(cid, 3 * MIB))
        else:
            with pytest.raises(CorruptBlock, match=path.name):
                store.get_block(Cid.parse(path.name))
    assert store.path_of(cid).read_bytes() == body(2 * MIB + 9)


class flipped:
    def __init__(self, path: Path, position: int, bit: int) -> None:
        self._path, self._position, self._bit = path, position, bit

    def _flip(self) -> None:
        with self._path.open("r+b") as file:
            file.seek(self._position)
            byte = file.read(1)[0]
            file.seek(self._position)
            file.write(bytes([byte ^ self._bit]))

    def __enter__(self) -> None:
        self._flip()

    def __exit__(self, *_: object) -> None:
        self._flip()


@pytest.mark.parametrize("size", [0, 1, MIB, 2 * MIB, 2 * MIB + 8, 2 * MIB + 10])
def test_a_file_of_another_length_is_found(tmp_path: Path, size: int) -> None:
    store = LocalStore(tmp_path)
    cid = store.add_bytes(body(2 * MIB + 9))
    os.truncate(tmp_path / "files" / str(cid), size)
    with pytest.raises(CorruptBlock, match="is corrupt|bytes instead of"):
        store.path_of(cid)


def test_put_block_replaces_a_corrupt_block(store: LocalStore) -> None:
    cid = store.add_bytes(b"small")
    store.path_of(cid).write_bytes(b"smalL")
    with pytest.raises(CorruptBlock):
        store.get_block(cid)
    store.put_block(cid, b"small")
    assert store.get_block(cid) == b"small"


def test_many_threads_may_write_and_read(store: LocalStore) -> None:
    data = [body(MIB + 10)[i:] for i in range(8)]
    cids: dict[int, Cid] = {}

    def work(i: int) -> None:
        cids[i] = store.add_bytes(data[i % 8])
        assert b"".join(store.cat(cids[i], 2 * MIB)) == data[i % 8]

    threads = [threading.Thread(target=work, args=(i,)) for i in range(16)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(cids) == 16
    assert leftovers(store) == []


@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize("size", [10, 2 * MIB])
def test_a_full_disk_is_a_clear_error_and_leaves_nothing(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch, call: str, size: int
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, call, full)
        with pytest.raises(StoreFull, match="free some or set another folder"):
            store.add_bytes(body(size))
    assert [p for p in store.root.rglob("*") if p.is_file()] == []
    store.path_of(store.add_bytes(body(size)))


def can_mount() -> bool:
    unshare = shutil.which("unshare")
    probe = ["-rm", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    return unshare is not None and subprocess.run([unshare, *probe], capture_output=True).returncode == 0


@pytest.fixture
def small_disk() -> list[str]:
    """A command prefix under which /mnt is a real file system of 4 MiB."""
    if not can_mount():
        pytest.skip("unprivileged mounts are not allowed here: a real full disk can't be had")
    return [
        "unshare",
        "-rm",
        "sh",
        "-c",
        'mount -t tmpfs -o size=4m tmpfs /mnt && exec "$@"',
        "sh",
        sys.executable,
    ]


def test_a_really_full_disk(small_disk: list[str]) -> None:
    script = """
import hashlib, pathlib
from agents.storage.errors import StoreFull
from agents.storage.local import LocalStore
store = LocalStore(pathlib.Path("/mnt/store"))
kept = store.add_bytes(b"kept")
try:
    store.add_bytes(hashlib.shake_128(b"x").digest(6 << 20))
except StoreFull as error:
    print(error)
else:
    raise SystemExit("no error")
print([str(p) for p in store.root.rglob("*") if p.is_file()])
assert store.get_block(kept) == b"kept"
store.path_of(store.add_bytes(hashlib.shake_128(b"x").digest(2 << 20)))
"""
    out = subprocess.run([*small_disk, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert out.returncode == 0, out.stderr
    assert "no room for the store in /mnt/store" in out.stdout
    assert out.stdout.count("/mnt/store/") == 1  # the one small block


def test_what_a_killed_process_left_is_swept_after_a_day(store: LocalStore) -> None:
    old, new = store.root / "tmp/old", store.root / "tmp/new"
    old.write_bytes(b"x")
    new.write_bytes(b"x")

    class Tomorrow:
        @staticmethod
        def time() -> float:
            return swept_after

    swept_after = old.stat().st_ctime + 24 * 3600 + 60
    with pytest.MonkeyPatch.context() as patch:
        LocalStore(store.root)
        assert old.exists()
        patch.setattr(local, "time", Tomorrow)
        LocalStore(store.root)
    assert leftovers(store) == []


def test_a_folder_that_can_t_be_written_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match="can't write to the store in"):
        LocalStore(tmp_path / "file")
