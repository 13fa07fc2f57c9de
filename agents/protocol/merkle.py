"""Merkle trees that OpenZeppelin's MerkleProof verifies: keccak, pairs in ascending order.

Ordered pairs forget who was left and who was right, so a list whose order matters binds each place into its
leaf (`leaf`). The tree has the shape of OpenZeppelin's merkle-tree library, without sorting the leaves.
"""

from collections.abc import Sequence

from eth_abi.abi import encode
from eth_hash.auto import keccak


def leaf(index: int, value: bytes) -> bytes:
    """The leaf of a 32-byte value at a place in a list: keccak(keccak(abi.encode(uint256, bytes32))).

    Hashed twice, so that no inner node can pass for a leaf.
    """
    return keccak(keccak(encode(["uint256", "bytes32"], [index, value])))


def leaves(values: Sequence[bytes]) -> list[bytes]:
    """The leaves of a list of 32-byte values."""
    return [leaf(index, value) for index, value in enumerate(values)]


def root(nodes: Sequence[bytes]) -> bytes:
    """The root over leaves; 32 zero bytes over none."""
    return _tree(nodes)[0] if nodes else bytes(32)


def proof(nodes: Sequence[bytes], index: int) -> list[bytes]:
    """The siblings from a leaf up to the root, as MerkleProof.verify takes them.

    Raises:
        IndexError: there is no such leaf.
    """
    if not 0 <= index < len(nodes):
        raise IndexError(f"leaf {index} of {len(nodes)}")
    tree = _tree(nodes)
    at, found = len(tree) - 1 - index, []
    while at > 0:
        found.append(tree[at + 1 if at % 2 else at - 1])
        at = (at - 1) // 2
    return found


def verifies(found: bytes, siblings: Sequence[bytes], expected: bytes) -> bool:
    """Whether a leaf with its siblings leads to a root."""
    for sibling in siblings:
        found = _pair(found, sibling)
    return found == expected


def _pair(a: bytes, b: bytes) -> bytes:
    return keccak(a + b if a < b else b + a)


def _tree(nodes: Sequence[bytes]) -> list[bytes]:
    size = 2 * len(nodes) - 1
    tree = [b""] * size
    for index, node in enumerate(nodes):
        tree[size - 1 - index] = node
    for at in range(size - 1 - len(nodes), -1, -1):
        tree[at] = _pair(tree[2 * at + 1], tree[2 * at + 2])
    return tree
