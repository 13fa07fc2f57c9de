"""The embedded store: a directory.

    blocks/xy/<cid>  small files and inner nodes, one block a file
    files/<cid>      larger files, whole: their leaf blocks are ranges of them, so nothing is stored twice
    partial/<cid>    files being fetched
    tmp/             writes under way

What lies where is derived from these names and the inner nodes, so no index can disagree with them. Several
processes may use one store.
"""

import errno
import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BufferedIOBase, BytesIO
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO

from agents.protocol.cid import RAW, Cid, CidError

from . import dag
from .errors import BadDag, CorruptBlock, NotStored, StorageError, StoreFull

_STALE_SECONDS = 24 * 3600
_ANY_SIZE = 1 << 62

log = logging.getLogger(__name__)


class LocalStore:
    """Blocks and files under one directory, verified on every read.

    A file is added by hard link where the file system allows it (and takes no room of its own), or copied. If
    somebody writes into the linked file later, reads say so: they never return changed bytes.
    """

    def __init__(self, root: Path) -> None:
        self.root = Path(root)
        self._blocks, self._files = self.root / "blocks", self.root / "files"
        self._partial, self._tmp = self.root / "partial", self.root / "tmp"
        self._ranges: dict[Cid, tuple[Path, int, int]] = {}
        self._indexed: set[str] = set()
        self._lock = threading.Lock()
        with self.writing():
            for folder in (self._blocks, self._files, self._partial, self._tmp):
                folder.mkdir(parents=True, exist_ok=True)
            self._sweep()

    @property
    def name(self) -> str:
        """How errors call this store."""
        return f"the store in {self.root}"

    def get_block(self, cid: Cid) -> bytes:
        """A block's bytes.

        Raises:
            NotStored: it is not here.
            CorruptBlock: what is here no longer has its hash.
        """
        with suppress(NotStored):
            return self._read_own_file(cid)
        return self._read_range(cid)

    def has(self, cid: Cid) -> bool:
        """Whether the block is here, without reading it."""
        return self._block_path(cid).exists() or self._range_of(cid) is not None

    def has_file(self, cid: Cid) -> bool:
        """Whether the whole file is here, without reading it: half a fetch leaves a root that `has` finds."""
        return self.has(cid) if cid.codec == RAW else (self._files / str(cid)).exists()

    def put_block(self, cid: Cid, block: bytes) -> None:
        """Keep a block; a corrupt one of the same name is replaced.

        Raises:
            CorruptBlock: the bytes do not have that hash.
            StoreFull: no room.
        """
        if len(block) > dag.MAX_BLOCK:
            raise StorageError(f"a block has at most {dag.MAX_BLOCK} bytes, {cid} has {len(block)}")
        if not cid.verifies(block):
            raise CorruptBlock(f"these {len(block)} bytes are not {cid}: get them again from elsewhere")
        path = self._block_path(cid)
        with suppress(OSError):
            if path.read_bytes() == block:
                return
        with self.writing():
            path.parent.mkdir(exist_ok=True)
            with self._staging() as staged:
                staged.write(block)
                _sync(staged)
                os.replace(staged.name, path)
            _sync_folder(path.parent)

    def add_bytes(self, data: bytes) -> Cid:
        """Keep bytes as a file; returns its CID."""
        tree = dag.import_file(BytesIO(data))
        if tree.root.codec == RAW:
            self.put_block(tree.root, data)
        elif not self._holds(tree):
            with self.writing(), self._staging() as staged:
                staged.write(data)
                _sync(staged)
                self.adopt(Path(staged.name), tree)
        return tree.root

    def add_file(self, path: Path) -> Cid:
        """Keep a file's content; returns its CID.

        Raises:
            StorageError: it is no readable regular file.
            StoreFull: no room for a copy.
        """
        source = Path(path).resolve()
        if not source.is_file():  # a pipe would block for ever
            raise StorageError(f"there is no regular file {path}: give the path of one")
        try:
            file = source.open("rb")
        except OSError as error:
            raise StorageError(f"can't read {path}: {error.strerror}") from None
        with file, self.writing(), self._staging() as staged:
            tree = self._take(source, file, staged)
            if tree.root.codec == RAW:
                self.put_block(tree.root, Path(staged.name).read_bytes())
            else:
                self.adopt(Path(staged.name), tree)
        return tree.root

    def adopt(self, path: Path, tree: dag.Tree) -> Path:
        """Move a file of this file system, known to have this DAG, into the store; returns where it is."""
        for cid, block in tree.nodes:  # first, so that a file that is here can always be served
            self.put_block(cid, block)
        kept = self._files / str(tree.root)
        with self.writing():
            os.replace(path, kept)
            _sync_folder(self._files)
        return kept

    def path_of(self, cid: Cid) -> Path:
        """A file's place on disk, read and verified whole just now; fit for mmap, not for writing.

        Raises:
            NotStored: it is not here.
            CorruptBlock: a block of it no longer has its hash.
        """
        if cid.codec == RAW:
            block = self.get_block(cid)
            if not self._block_path(cid).exists():  # it is a range of a larger file
                self.put_block(cid, block)
            return self._block_path(cid)
        path = self._files / str(cid)
        try:
            with path.open("rb") as file:
                found = dag.import_file(file)
        except FileNotFoundError:
            raise NotStored(f"{cid} is not in {self.name}: fetch it from a peer or add the file") from None
        if found.root != cid:
            raise CorruptBlock(f"{self._first_difference(cid, found)}: {_mend(cid)}")
        return path

    def cat(self, cid: Cid, max_size: int) -> Iterator[bytes]:
        """A file's content, verified, a chunk at a time.

        Raises:
            NotStored, CorruptBlock: a block is missing or corrupt.
            BadDag: it is no file of the profile, or has more than `max_size` bytes.
        """
        return dag.cat(cid, self.get_block, max_size)

    def partial_path(self, cid: Cid) -> Path:
        """Where a file lies while it is being fetched."""
        return self._partial / str(cid)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Turns what the disk may say to a write into errors that name the way out."""
        try:
            yield
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise StoreFull(
                    f"no room for {self.name}: free some or set another folder, then repeat; "
                    "nothing was left half-written"
                ) from None
            raise StorageError(f"can't write to {self.name}: {error.strerror} ({error.filename})") from error

    def _block_path(self, cid: Cid) -> Path:
        text = str(cid)
        return self._blocks / text[-3:-1] / text  # Kubo's "next to last two": the last holds a few bits only

    def _read_own_file(self, cid: Cid) -> bytes:
        path = self._block_path(cid)
        try:
            with path.open("rb") as file:
                block = file.read(dag.MAX_BLOCK + 1)
        except FileNotFoundError:
            raise _not_stored(cid, self.name) from None
        if not cid.verifies(block):
            raise CorruptBlock(f"block {cid} in {path} is corrupt: {_mend(cid)}")
        return block

    def _read_range(self, cid: Cid) -> bytes:
        place = self._range_of(cid)
        if place is None:
            raise _not_stored(cid, self.name)
        path, offset, size = place
        try:
            with path.open("rb") as file:
                block = os.pread(file.fileno(), size, offset)
        except FileNotFoundError:
            self._forget()
            raise _not_stored(cid, self.name) from None
        if not cid.verifies(block):
            raise CorruptBlock(
                f"block {cid} in {path} at byte {offset} is corrupt: {_mend(Cid.parse(path.name))}"
            )
        return block

    def _range_of(self, cid: Cid) -> tuple[Path, int, int] | None:
        with self._lock:
            if cid not in self._ranges:
                self._index()
            return self._ranges.get(cid)

    def _index(self) -> None:
        for name in os.listdir(self._files):
            if name in self._indexed:
                continue
            try:
                tree = dag.read_tree(Cid.parse(name), self._read_own_file, _ANY_SIZE)
            except (CidError, NotStored, CorruptBlock, BadDag) as error:
                log.warning("the blocks of %s can't be served: %s", self._files / name, error)
                continue
            self._indexed.add(name)
            for leaf in tree.leaves:
                self._ranges.setdefault(leaf.cid, (self._files / name, leaf.offset, leaf.size))

    def _forget(self) -> None:
        with self._lock:
            self._ranges.clear()
            self._indexed.clear()

    def _take(self, source: Path, file: BufferedIOBase, staged: IO[bytes]) -> dag.Tree:
        """Make the staged file the source's content: a link if possible, else a copy. Returns its DAG."""
        linked = Path(f"{staged.name}.link")
        try:
            os.link(source, linked)
            os.replace(linked, staged.name)
        except OSError:
            tree = dag.import_file(file, copy_to=staged)
            _sync(staged)
            return tree
        with open(staged.name, "rb") as same:
            return dag.import_file(same)

    def _holds(self, tree: dag.Tree) -> bool:
        with suppress(NotStored, CorruptBlock):
            return self.path_of(tree.root).exists() and all(self.get_block(cid) for cid, _ in tree.nodes)
        return False

    def _first_difference(self, cid: Cid, found: dag.Tree) -> str:
        path = self._files / str(cid)
        with suppress(NotStored, CorruptBlock, BadDag):
            wanted = dag.read_tree(cid, self._read_own_file, _ANY_SIZE)
            for leaf, other in zip(wanted.leaves, found.leaves, strict=False):
                if leaf != other:
                    return f"block {leaf.cid} in {path} at byte {leaf.offset} is corrupt"
            return f"{path} has {found.size} bytes instead of {wanted.size}"
        return f"{path} is corrupt"

    @contextmanager
    def _staging(self) -> Iterator[IO[bytes]]:
        """A new file in tmp/ that is gone afterwards, unless it was moved away."""
        with NamedTemporaryFile(dir=self._tmp, delete=False) as staged:
            try:
                yield staged
            finally:
                Path(staged.name).unlink(missing_ok=True)

    def _sweep(self) -> None:
        # what a killed process left; a day keeps the writes of a living one
        for path in self._tmp.iterdir():
            with suppress(FileNotFoundError):
                if path.stat().st_ctime < time.time() - _STALE_SECONDS:
                    path.unlink()


def _not_stored(cid: Cid, where: str) -> NotStored:
    return NotStored(f"block {cid} is not in {where}: fetch it from a peer")


def _mend(cid: Cid) -> str:
    return f"fetch {cid} again, which loads the bad blocks alone, or add the file again"


def _sync(file: IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
