"""A compact fingerprint of what a model thought: evidence where tokens hardly tell two quantizations.

The last hidden states (after the final norm, one vector a token) are projected on a few random directions,
drawn from a seed that is fixed after the answer, and each component is kept in a byte: 8 bytes a token, 256
for 32 tokens. A judge computes the same from its own states; the distance is small between machines that run
the same weights, and larger between weights. After Activation-DiFR's random projections (arXiv 2511.20621),
of the size of TOPLOC's proofs (arXiv 2501.16007). Optional: no message of the protocol carries it
(docs/rastic.md).
"""

import hashlib

import numpy as np
from numpy.typing import NDArray

DIRECTIONS = 8
"""Bytes a token."""

_STEP = 1 / 32
"""Of a component whose standard deviation is 1, so that a byte holds four of them to either side."""

States = NDArray[np.float32]


class BadFingerprint(Exception):
    """The fingerprint does not fit the answer: it proves nothing; judge by tokens alone."""


def encode(states: States, seed: bytes) -> bytes:
    """The fingerprint of hidden states, float of shape (tokens, width); `DIRECTIONS` bytes a token.

    Raises:
        ValueError: not two axes, or states that are not finite or all zero.
    """
    scaled = np.rint(_project(states, seed) / _STEP)
    return np.clip(scaled, -127, 127).astype(np.int8).tobytes()


def distance(fingerprint: bytes, states: States, seed: bytes) -> float:
    """How far a fingerprint lies from a judge's own states.

    The median over tokens of the root mean square of the components' differences, in standard deviations of a
    component: 0 is the same, and about 1.4 has nothing to do with each other.

    Raises:
        BadFingerprint: its size is not that of so many tokens.
        ValueError: as `encode`.
    """
    own = _project(states, seed)
    if len(fingerprint) != own.size:
        raise BadFingerprint(
            f"{len(own)} tokens have a fingerprint of {own.size} bytes, not {len(fingerprint)}: judge tokens"
        )
    claimed = np.frombuffer(fingerprint, dtype=np.int8).reshape(own.shape) * _STEP
    return float(np.median(np.sqrt(np.mean((claimed - own) ** 2, axis=1))))


def _project(states: States, seed: bytes) -> NDArray[np.float64]:
    found = np.asarray(states, dtype=np.float64)
    if found.ndim != 2 or found.shape[0] == 0:
        raise ValueError("hidden states have the shape (tokens, width), of at least one token")
    lengths = np.linalg.norm(found, axis=1, keepdims=True)
    if not np.isfinite(lengths).all() or (lengths == 0).any():
        raise ValueError("hidden states are finite and not all zero: the weights are damaged")
    key = int.from_bytes(hashlib.sha256(b"capek/fingerprint/1" + seed).digest()[:16], "little")
    draw = np.random.Generator(np.random.Philox(key=key))
    signs = draw.integers(0, 2, (found.shape[1], DIRECTIONS)) * 2.0 - 1.0
    projected: NDArray[np.float64] = (found / lengths) @ signs
    return projected
