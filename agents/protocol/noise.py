"""Sampling noise that anybody can draw again (docs/protocol.md section 4).

Gumbel noise turns choosing into an argmax (Gumbel-max, Maddison et al. 2014), and Philox (Salmon et al. 2011)
is a counter-based generator, so a token's noise is a pure function of (seed, node, position, token).
"""

import hashlib

import numpy as np
from numpy.random import Philox
from numpy.typing import NDArray

ADDRESS_BYTES = 20

_GRID = 2.0**20


def bits(seed: int, node: bytes, position: int, size: int) -> NDArray[np.uint64]:
    """The raw draws r[0..size) for the token at an absolute position.

    Raises:
        ValueError: the node is not 20 bytes, the seed not a uint64, or the position not a uint32.
    """
    if len(node) != ADDRESS_BYTES:
        raise ValueError(f"a node's address is {ADDRESS_BYTES} bytes, got {len(node)}")
    if not (0 <= seed < 1 << 64 and 0 <= position < 1 << 32):
        raise ValueError("the seed must be a uint64 and the position a uint32")
    message = seed.to_bytes(8, "big") + node + position.to_bytes(4, "big")
    key = np.frombuffer(hashlib.blake2b(message, digest_size=16).digest(), dtype="<u8")
    return np.asarray(Philox(key=key).random_raw(size), dtype=np.uint64)


def gumbel_of(raw: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Gumbel noise of raw draws, any shape, on a grid of 2^-20 so that the last bits of a `log` don't matter.

    52 bits of each draw are used: with 53 the half would be lost in float64, u could be 1 and g infinite.
    """
    u = ((raw >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52
    noise: NDArray[np.float64] = np.rint(-np.log(-np.log(u)) * _GRID) / _GRID + 0.0  # no negative zero
    return noise


def gumbel(seed: int, node: bytes, position: int, size: int) -> NDArray[np.float64]:
    """Noise of all `size` tokens at an absolute position.

    Raises:
        ValueError: as `bits`.
    """
    return gumbel_of(bits(seed, node, position, size))
