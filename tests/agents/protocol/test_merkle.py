"""Merkle trees as OpenZeppelin's MerkleProof verifies them."""

import pytest
from eth_abi.abi import encode
from eth_hash.auto import keccak
from hypothesis import given
from hypothesis import strategies as st

from agents.protocol import merkle


def values(count):
    return [keccak(bytes([i])) for i in range(count)]


def test_the_leaf_is_that_of_openzeppelins_library():
    assert merkle.leaf(3, b"\7" * 32) == keccak(keccak(encode(["uint256", "bytes32"], [3, b"\7" * 32])))


def test_two_leaves_make_the_sorted_pair():
    a, b = sorted(merkle.leaves(values(2)))
    assert merkle.root(merkle.leaves(values(2))) == keccak(a + b)


def test_three_leaves_have_the_librarys_shape():
    # merkle-tree@1: leaves lie reversed at the end of the array, parents before them.
    a, b, c = merkle.leaves(values(3))

    def pair(x, y):
        return keccak(min(x, y) + max(x, y))

    assert merkle.root([a, b, c]) == pair(pair(a, b), c)


@given(st.integers(1, 40))
def test_every_leaf_is_proved_and_no_other(count):
    leaves = merkle.leaves(values(count))
    root = merkle.root(leaves)
    for index, found in enumerate(leaves):
        proof = merkle.proof(leaves, index)
        assert merkle.verifies(found, proof, root)
        assert not merkle.verifies(merkle.leaf(index + 1, values(count)[index]), proof, root)


def test_order_and_length_matter():
    a, b = values(2)
    assert merkle.root(merkle.leaves([a, b])) != merkle.root(merkle.leaves([b, a]))
    assert merkle.root(merkle.leaves([a])) != merkle.root(merkle.leaves([a, a]))
    assert merkle.root([]) == bytes(32)


def test_there_is_no_proof_of_a_leaf_that_is_not_there():
    with pytest.raises(IndexError):
        merkle.proof(merkle.leaves(values(2)), 2)
