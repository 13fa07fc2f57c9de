"""Draws that anybody can repeat: the pure part of libraries/Sortition.sol and libraries/Witness.sol."""

from eth_abi.abi import encode
from eth_hash.auto import keccak

WITNESS_POSITIONS = 8


def pick(seed: bytes, size: int, count: int) -> list[int]:
    """`count` different numbers below `size`, every set of them equally likely (Floyd's algorithm).

    Args:
        seed: 32 bytes.

    Raises:
        ValueError: there are not so many.
    """
    if count > size:
        raise ValueError(f"{count} different numbers below {size} do not exist")
    top = size - count
    picked: list[int] = []
    for i in range(count):
        draw = int.from_bytes(keccak(encode(["bytes32", "uint256"], [seed, i])), "big") % (top + i + 1)
        # None of the earlier ones can be the highest number of this turn.
        picked.append(top + i if draw in picked else draw)
    return picked


def witness_positions(lot: int, tokens: int) -> list[int]:
    """Where a panel's members look: eight absolute positions in prompt + output, in the witness's order.

    Args:
        lot: the draw's number.
        tokens: prompt and output together, at least 1; below eight, positions repeat.
    """
    if tokens >= WITNESS_POSITIONS:
        return pick(lot.to_bytes(32, "big"), tokens, WITNESS_POSITIONS)
    return [i % tokens for i in range(WITNESS_POSITIONS)]
