"""What every content store can do."""

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from agents.protocol.cid import Cid


class BlockSource(Protocol):
    """Anything that can be asked for blocks: a peer, a daemon, another store."""

    @property
    def name(self) -> str:
        """How errors and logs call it."""

    def get_block(self, cid: Cid) -> bytes:
        """A block's bytes, at most 2 MiB.

        Raises:
            NotStored: it has no such block.
            PeerError: it did not answer properly.
            CorruptBlock: what it has is not the block.
        """


class Store(BlockSource, Protocol):
    """A place that keeps content under its CID."""

    def put_block(self, cid: Cid, block: bytes) -> None:
        """Keep a block, if these are its bytes."""

    def has(self, cid: Cid) -> bool:
        """Whether the block is here, without reading it."""

    def add_bytes(self, data: bytes) -> Cid:
        """Keep bytes as a file."""

    def add_file(self, path: Path) -> Cid:
        """Keep a file's content."""

    def cat(self, cid: Cid, max_size: int) -> Iterator[bytes]:
        """A file's content, verified, a chunk at a time; BadDag above `max_size` bytes."""
