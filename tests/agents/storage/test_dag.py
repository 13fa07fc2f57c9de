"""CIDs against golden values, reading back, and DAGs that must be refused."""

import hashlib
import io
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.protocol.cid import DAG_PB, RAW, Cid
from agents.storage import dag
from agents.storage.dag import CHUNK, FANOUT, Leaf, build, cat, import_file, read_tree
from agents.storage.errors import BadDag, NotStored

MIB = 1 << 20

# By npm ipfs-unixfs-importer 17.1.1 with {profile: "unixfs-v1-2025"} over `content(size)`.
GOLDEN = {
    0: "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku",
    1: "bafkreigs4kw7of33pkfp3w6bfuldjtzd5inhcaqpnijqqbykczaa7nup3y",
    255: "bafkreiahecbdmrz77wgas5fyofkfvlxokk5iejyruf5vfmdfed7jlrvqfm",
    MIB - 1: "bafkreihtdvffpabwltmqxnakfrbabj5eh4wx4dchk62gzuh6hzjqasuudi",
    MIB: "bafkreihh6trjuv3ywbpkavp3bgcdsvh36mpqpze3ajfufijrwqj4jnouk4",
    MIB + 1: "bafybeibg464qbevl5z3on6fbeuarairzwg6qezxh6v2wvskglr66qwr5ei",
    3 * MIB + 7: "bafybeihxtz7pig3nwt2k4oz64birarib3huygegxvi46xb4elnqqzhyu5q",
}
GOLDEN_LARGE = {
    1024 * MIB: "bafybeiajwuvl2qwc7x2oq72focoiy772klsmzxfztsfhcre76rjap2jse4",
    1024 * MIB + 1: "bafybeidnp2h4rlyanhiyjmbrgrtp6v6nxxvvnpppl4rhqortndkf3ichqa",
    1025 * MIB + 5: "bafybeibjtnmgpqh2fjggsngxwhpk47izekbqdybb3sqh7yo7rjmamienq4",
}


def chunk(k: int, size: int = MIB) -> bytes:
    """The k-th MiB of the golden content: sha256 of k's decimal digits, repeated."""
    return (hashlib.sha256(str(k).encode()).digest() * (size // 32 + 1))[:size]


def content(size: int) -> bytes:
    return b"".join(chunk(k, min(MIB, size - k * MIB)) for k in range(-(-size // MIB)))


def all_blocks(data: bytes) -> tuple[Cid, dict[Cid, bytes]]:
    tree = import_file(io.BytesIO(data))
    leaves = {leaf.cid: data[leaf.offset : leaf.offset + leaf.size] for leaf in tree.leaves}
    return tree.root, leaves | dict(tree.nodes)


def getter(blocks: dict[Cid, bytes]) -> Callable[[Cid], bytes]:
    def get(cid: Cid) -> bytes:
        if cid not in blocks:
            raise NotStored(str(cid))
        assert cid.verifies(blocks[cid])
        return blocks[cid]

    return get


@pytest.mark.parametrize("size", GOLDEN)
def test_golden_cids(size: int) -> None:
    assert str(import_file(io.BytesIO(content(size))).root) == GOLDEN[size]


def test_golden_cids_above_1024_links() -> None:
    digests = [hashlib.sha256(chunk(k)).digest() for k in range(1025)]
    for size, cid in GOLDEN_LARGE.items():
        whole, rest = divmod(size, MIB)
        leaves = [Leaf(Cid(RAW, digests[k]), k * MIB, MIB) for k in range(whole)]
        if rest:
            leaves.append(Leaf(Cid.of(chunk(whole, rest)), whole * MIB, rest))
        tree = build(leaves)
        assert str(tree.root) == cid
        again = read_tree(tree.root, getter(dict(tree.nodes)), size)
        assert again.root == tree.root
        assert (again.leaves, again.size) == (tree.leaves, size)


def test_short_reads_do_not_move_chunk_borders() -> None:
    class Dripping(io.BufferedIOBase):
        def __init__(self, data: bytes) -> None:
            self._data = io.BytesIO(data)

        def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
            return self._data.readinto(buffer[:333_333])

    data = content(3 * MIB + 7)
    copy = io.BytesIO()
    assert str(import_file(Dripping(data), copy).root) == GOLDEN[3 * MIB + 7]
    assert copy.getvalue() == data


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_what_goes_in_comes_out(data: st.DataObject) -> None:
    # small chunks and fan-out, so that deep trees and their edges are cheap to reach
    size = data.draw(st.integers(0, 2000))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dag, "CHUNK", 7)
        patch.setattr(dag, "FANOUT", 3)
        body = hashlib.shake_128(bytes([size % 251])).digest(size)
        root, blocks = all_blocks(body)
        assert b"".join(cat(root, getter(blocks), size)) == body
        tree = read_tree(root, getter(blocks), size)
        assert all(a.offset + a.size == b.offset for a, b in pairwise(tree.leaves))
        if size:
            with pytest.raises(BadDag, match="more than the"):
                read_tree(root, getter(blocks), size - 1)


def varint(value: int) -> bytes:
    out = b""
    while value >= 0x80:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def node(
    links: list[tuple[Cid, int]], sizes: list[int], filesize: int, name: bytes = b"", kind: int = 2
) -> bytes:
    """A dag-pb UnixFS node written out by hand, as honest or dishonest as asked."""
    out = b""
    for cid, total in links:
        link = b"\x0a\x24" + bytes(cid) + b"\x12" + varint(len(name)) + name + b"\x18" + varint(total)
        out += b"\x12" + varint(len(link)) + link
    data = b"\x08" + bytes([kind]) + b"\x18" + varint(filesize) + b"".join(b"\x20" + varint(s) for s in sizes)
    return out + b"\x0a" + varint(len(data)) + data


A, B = chunk(0), chunk(1)
CA, CB = Cid.of(A), Cid.of(B)
GOOD = node([(CA, MIB), (CB, MIB)], [MIB, MIB], 2 * MIB)


def test_the_handwritten_node_is_the_importers() -> None:
    tree = import_file(io.BytesIO(A + B))
    assert tree.nodes == ((Cid.of(GOOD, DAG_PB), GOOD),)


@pytest.mark.parametrize(
    ("block", "says"),
    [
        (node([(CA, MIB), (CB, MIB)], [MIB, MIB], 2 * MIB - 1), "refused"),
        (node([(CA, MIB), (CB, MIB)], [MIB, MIB], 3 * MIB), "too many or too few"),
        (node([(CA, MIB), (CB, MIB)], [MIB, MIB], 1 << 62), "more than the"),
        (node([(CA, MIB), (CB, MIB)], [MIB, MIB], MIB), "needs no inner node"),
        (node([(CA, MIB), (CB, MIB)], [MIB, MIB], 0), "needs no inner node"),
        (node([(CA, MIB), (CB, MIB)], [MIB - 1, MIB + 1], 2 * MIB), "refused"),
        (node([(CA, MIB), (CB, MIB)], [MIB], 2 * MIB), "refused"),
        (node([(CA, MIB), (CB, MIB + 1)], [MIB, MIB], 2 * MIB), "refused"),
        (node([(CA, MIB)], [MIB], 2 * MIB), "too many or too few"),
        (node([(CA, MIB), (CB, MIB)], [MIB, MIB], 2 * MIB, name=b"../etc/passwd"), "refused"),
        (node([(CA, MIB), (CB, MIB)], [MIB, MIB], 2 * MIB, kind=1), "no inner node"),
        (node([(CA, MIB), (CB, MIB)], [], 2 * MIB, kind=4), "no inner node"),
        (node([(CA, MIB), (CA, MIB)] * FANOUT, [MIB] * 2 * FANOUT, 2 * MIB), "more than 1024"),
        (GOOD + b"\x0a\x00", "refused"),
        (GOOD[:-1], "refused"),
        (b"", "no inner node"),
        (b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", "no inner node"),
        (b"\x12\x00", "no inner node"),
        (b"\x0a\x06\x08\x02\x18" + b"\xff" * 12, "no inner node"),
        (b"\x0a\x04\x0a\x02\x08\x01", "no inner node"),
    ],
)
def test_hostile_roots_are_refused(block: bytes, says: str) -> None:
    root = Cid.of(block, DAG_PB)
    with pytest.raises(BadDag, match=says):
        read_tree(root, getter({root: block, CA: A, CB: B}), 8 * MIB)


def test_a_node_where_a_leaf_belongs_and_a_leaf_where_a_node_belongs() -> None:
    inner = Cid.of(GOOD, DAG_PB)
    deep = node([(inner, 1), (CB, MIB)], [MIB, MIB], 2 * MIB)
    root = Cid.of(deep, DAG_PB)
    with pytest.raises(BadDag):
        read_tree(root, getter({root: deep, inner: GOOD}), 8 * MIB)
    # 1025 MiB need two levels: raw links in the root are then wrong
    flat = node([(CA, MIB), (CB, MIB)], [1024 * MIB, MIB], 1025 * MIB)
    root = Cid.of(flat, DAG_PB)
    with pytest.raises(BadDag, match="inner node"):
        read_tree(root, getter({root: flat, CA: A, CB: B}), 1 << 40)


def test_a_size_bomb_costs_no_more_than_the_size_allowed() -> None:
    """Sixty levels of nodes that each link 1024 times to the next would be 2^600 bytes."""
    blocks: dict[Cid, bytes] = {}
    cid, size = CA, MIB
    for _ in range(5):
        size = min(size * 1024, 1 << 62)
        block = node([(cid, 1)] * 1024, [size // 1024] * 1024, size)
        cid = Cid.of(block, DAG_PB)
        blocks[cid] = block
    asked = 0

    def get(wanted: Cid) -> bytes:
        nonlocal asked
        asked += 1
        return blocks[wanted]

    with pytest.raises(BadDag, match="more than the"):
        read_tree(cid, get, 100 * MIB)
    assert asked == 1
    lying = node([(cid, 1)] * 100, [MIB] * 100, 100 * MIB)
    root = Cid.of(lying, DAG_PB)
    blocks[root] = lying
    with pytest.raises(BadDag):
        read_tree(root, get, 100 * MIB)
    assert asked <= 4


def test_a_leaf_of_another_length_is_refused() -> None:
    block = node([(CA, MIB), (Cid.of(b"short"), MIB)], [MIB, MIB], 2 * MIB)
    root = Cid.of(block, DAG_PB)
    with pytest.raises(BadDag, match="5 bytes where its parents name 1048576"):
        list(cat(root, getter({root: block, CA: A, Cid.of(b"short"): b"short"}), 8 * MIB))


def test_a_single_block_above_the_profile_is_refused() -> None:
    big = bytes(CHUNK + 1)
    with pytest.raises(BadDag, match="larger than 1 MiB"):
        read_tree(Cid.of(big), getter({Cid.of(big): big}), 8 * MIB)
