"""Files as Merkle DAGs, in the one shape of IPIP-499's profile unixfs-v1-2025.

Raw leaves of 1 MiB, at most 1024 links a node, balanced, CIDv1. A file has exactly one such DAG, so its root
CID names the file itself: a DAG of any other shape is refused. See https://ipld.io/specs/codecs/dag-pb,
https://specs.ipfs.tech/unixfs.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from io import BufferedIOBase
from typing import IO

from agents.protocol.cid import DAG_PB, RAW, Cid

from .errors import BadDag

CHUNK = 1 << 20
FANOUT = 1024
MAX_BLOCK = 2 << 20
"""Largest block that IPFS peers pass on, in bytes."""

GetBlock = Callable[[Cid], bytes]


@dataclass(frozen=True, slots=True)
class Leaf:
    """One chunk of a file: `size` bytes at `offset`."""

    cid: Cid
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class Tree:
    """A file's DAG: its root, the blocks of its inner nodes, its leaves in order."""

    root: Cid
    nodes: tuple[tuple[Cid, bytes], ...]
    leaves: tuple[Leaf, ...]

    @property
    def size(self) -> int:
        """The file's bytes."""
        return self.leaves[-1].offset + self.leaves[-1].size


def import_file(file: BufferedIOBase, copy_to: IO[bytes] | None = None) -> Tree:
    """Read a file to its end, 1 MiB at a time, and build its DAG; `copy_to` receives what is read."""
    buffer = memoryview(bytearray(CHUNK))
    leaves: list[Leaf] = []
    offset = 0
    while size := _fill(file, buffer):
        chunk = buffer[:size]
        leaves.append(Leaf(Cid(RAW, hashlib.sha256(chunk).digest()), offset, size))
        if copy_to is not None:
            copy_to.write(chunk)
        offset += size
    return build(leaves or [Leaf(Cid.of(b""), 0, 0)])


def build(leaves: Iterable[Leaf]) -> Tree:
    """The balanced DAG over a file's leaves."""
    kept = tuple(leaves)
    level = [_Child(leaf.cid, leaf.size, leaf.size) for leaf in kept]
    nodes: list[tuple[Cid, bytes]] = []
    while len(level) > 1:
        groups = [level[i : i + FANOUT] for i in range(0, len(level), FANOUT)]
        level = []
        for group in groups:
            block = _encode(group)
            cid = Cid.of(block, DAG_PB)
            nodes.append((cid, block))
            size, total = sum(c.size for c in group), sum(c.total for c in group)
            level.append(_Child(cid, size, total + len(block)))
    return Tree(level[0].cid, tuple(nodes), kept)


def read_tree(root: Cid, get_block: GetBlock, max_size: int) -> Tree:
    """Read a file's inner nodes, top down, and return its DAG; leaves are not read, unless the root is one.

    Work is bounded by `max_size` whatever the blocks say: the root names the file's size, and that fixes how
    many links each node has.

    Raises:
        BadDag: the file is larger than `max_size`, or the DAG is not the one the profile gives that file.
    """
    if root.codec == RAW:
        size = len(get_block(root))
        _check(size <= CHUNK, root, "its single block is larger than 1 MiB")
        _check(size <= max_size, root, f"it has {size} bytes, more than the {max_size} allowed")
        return Tree(root, (), (Leaf(root, 0, size),))
    size = _decode(root, get_block(root))[1]
    _check(size > CHUNK, root, "its root names a size that needs no inner node")
    _check(size <= max_size, root, f"it has {size} bytes, more than the {max_size} allowed")
    count = -(-size // CHUNK)
    level, span = [root], FANOUT
    while span < count:
        span *= FANOUT
    while span > 1:
        span //= FANOUT
        below: list[Cid] = []
        for cid in level:
            children = _decode(cid, get_block(cid))[0]
            _check(len(children) <= FANOUT, root, f"node {cid} has more than {FANOUT} links")
            below += children
        _check(len(below) == -(-count // span), root, "its nodes have too many or too few links for its size")
        level = below
    tree = build(Leaf(cid, i * CHUNK, min(CHUNK, size - i * CHUNK)) for i, cid in enumerate(level))
    _check(tree.root == root, root, "its nodes are not those of a file in this profile")
    return tree


def read_leaf(leaf: Leaf, get_block: GetBlock) -> bytes:
    """A leaf's bytes.

    Raises:
        BadDag: its length is not the one its parents name.
    """
    block = get_block(leaf.cid)
    _check(len(block) == leaf.size, leaf.cid, f"it has {len(block)} bytes where its parents name {leaf.size}")
    return block


def cat(root: Cid, get_block: GetBlock, max_size: int) -> Iterator[bytes]:
    """A file's bytes in order, one chunk at a time, from any source of verified blocks."""
    for leaf in read_tree(root, get_block, max_size).leaves:
        yield read_leaf(leaf, get_block)


@dataclass(frozen=True, slots=True)
class _Child:
    cid: Cid
    size: int  # bytes of the file below
    total: int  # bytes of the blocks below, itself included: dag-pb's Tsize


def _encode(children: list[_Child]) -> bytes:
    links = b""
    for c in children:
        link = b"\x0a\x24" + bytes(c.cid) + b"\x12\x00\x18" + _varint(c.total)
        links += b"\x12" + _varint(len(link)) + link
    sizes = b"".join(b"\x20" + _varint(c.size) for c in children)
    unixfs = b"\x08\x02\x18" + _varint(sum(c.size for c in children)) + sizes
    return links + b"\x0a" + _varint(len(unixfs)) + unixfs


def _decode(cid: Cid, block: bytes) -> tuple[list[Cid], int]:
    """The links and the file size of a node. `read_tree` then proves the rest by building the DAG again."""
    if cid.codec != DAG_PB:
        raise BadDag(f"{cid} stands where the profile has an inner node")
    try:
        links, at = [], 0
        while block[at] == 0x12:
            size, at = _read_varint(block, at + 1)
            if block[at : at + 2] != b"\x0a\x24":
                raise ValueError("a link to another kind of CID")
            links.append(Cid.decode(block[at + 2 : at + 38]))
            at += size
        if block[at] != 0x0A:
            raise ValueError("no UnixFS data")
        _, at = _read_varint(block, at + 1)
        if block[at : at + 3] != b"\x08\x02\x18":
            raise ValueError("no UnixFS file of raw leaves")
        return links, _read_varint(block, at + 3)[0]
    except (ValueError, IndexError) as error:
        raise BadDag(f"{cid} is no inner node of a file in profile unixfs-v1-2025: {error}") from None


def _varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 63, 7):
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("a varint above 63 bits")


def _fill(file: BufferedIOBase, buffer: memoryview) -> int:
    # a raw file or a pipe may return less than asked for: a chunk is short only at the end
    got = 0
    while got < len(buffer) and (n := file.readinto(buffer[got:])):
        got += n
    return got


def _check(good: bool, cid: Cid, why: str) -> None:
    if not good:
        raise BadDag(f"{cid} is refused: {why}")
