"""Which token a model must say, and by how much a claimed one misses it (docs/protocol.md section 4)."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from agents.protocol import noise

if TYPE_CHECKING:
    from agents.protocol.messages import Job

MICRO = 1_000_000
TOLERANCE = 20_000
"""δ: how far the nucleus's edge may be off in the tolerant tier, micro."""

Logits = NDArray[np.float32]

_WEIGHT_ONE = 2.0**40


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are chosen: `temperature` and `top_p` in micro, `node` as the 20 bytes of its address.

    Raises:
        ValueError: a field is out of range.
    """

    seed: int = 0
    node: bytes = bytes(noise.ADDRESS_BYTES)
    temperature: int = 0
    top_p: int = MICRO

    def __post_init__(self) -> None:
        if len(self.node) != noise.ADDRESS_BYTES:
            raise ValueError(f"a node's address is {noise.ADDRESS_BYTES} bytes, got {len(self.node)}")
        if not 0 <= self.seed < 1 << 64:
            raise ValueError("the seed must be a uint64")
        if not (0 <= self.temperature < 1 << 32 and 0 <= self.top_p < 1 << 32):
            raise ValueError("temperature and top_p must be uint32 millionths")

    @classmethod
    def of(cls, job: "Job") -> "Sampling":
        """The sampling a job asks for."""
        return cls(job.seed, bytes.fromhex(job.node[2:]), job.temperature, job.top_p)

    @property
    def greedy(self) -> bool:
        """Whether the best logit wins, without noise or nucleus."""
        return self.temperature == 0

    @property
    def nucleus(self) -> bool:
        """Whether tokens outside a nucleus are out of the running."""
        return not self.greedy and self.top_p < MICRO


def choose(logits: Logits, sampling: Sampling, position: int) -> int:
    """The token for an absolute position, from the raw logits (shape V) of the position before it.

    Raises:
        ValueError: the logits hold NaN or infinity.
    """
    top = int(np.argmax(logits))
    _check_finite(logits[top])
    if sampling.greedy:
        return top
    raw = noise.bits(sampling.seed, sampling.node, position, logits.size)
    if sampling.nucleus:
        running = _nucleus(logits, _weights(logits, top), sampling.top_p)
    else:
        running = _contenders(logits, top, raw, sampling)
    scores = _scores(logits, raw, sampling, running)
    return int(running[scores == scores.max()].min())


def margins(
    logits: Logits, tokens: ArrayLike, sampling: Sampling, first_position: int, tolerance: int = 0
) -> NDArray[np.float64]:
    """How far each claimed token's score lies below the best: 0 for the right one, infinite off the nucleus.

    `logits` has shape (n, V) and `tokens` (n): row i is what the model said before the token at absolute
    position `first_position + i`. With `tolerance` δ (micro) the best is taken over the nucleus of mass
    top_p − δ and membership is judged at top_p + δ. Returns float64 of shape (n), never negative.

    Raises:
        ValueError: shapes that don't fit, a token outside the vocabulary, NaN or infinite logits.
    """
    claimed = np.asarray(tokens, dtype=np.int64)
    if logits.ndim != 2 or claimed.shape != logits.shape[:1]:
        raise ValueError(f"tokens of shape {claimed.shape} do not fit logits of shape {logits.shape}")
    if claimed.size and (claimed.min() < 0 or claimed.max() >= logits.shape[1]):
        raise ValueError(f"a claimed token is outside the vocabulary of {logits.shape[1]}")
    if sampling.greedy:
        best = logits.max(axis=1)
        _check_finite(best)
        said = np.take_along_axis(logits, claimed[:, None], axis=1)[:, 0]
        greedy: NDArray[np.float64] = best.astype(np.float64) - said.astype(np.float64)
        return greedy
    rows = enumerate(zip(logits, claimed.tolist(), strict=True), first_position)
    return np.array(
        [_margin(row, token, sampling, at, tolerance) for at, (row, token) in rows], dtype=np.float64
    )


def _margin(logits: Logits, token: int, sampling: Sampling, position: int, tolerance: int) -> float:
    top = int(np.argmax(logits))
    _check_finite(logits[top])
    raw = noise.bits(sampling.seed, sampling.node, position, logits.size)
    if sampling.nucleus:
        weights = _weights(logits, top)
        if not _in_nucleus(logits, weights, token, sampling.top_p + tolerance):
            return float("inf")
        running = _nucleus(logits, weights, sampling.top_p - tolerance)
    else:
        running = _contenders(logits, top, raw, sampling)
    best = float(_scores(logits, raw, sampling, running).max())
    said = float(_scores(logits, raw, sampling, np.array([token]))[0])
    return max(0.0, best - said)


def _scores(
    logits: Logits, raw: NDArray[np.uint64], sampling: Sampling, ids: NDArray[np.int64]
) -> NDArray[np.float64]:
    return logits[ids].astype(np.float64) + sampling.temperature / MICRO * noise.gumbel_of(raw[ids])


def _contenders(logits: Logits, top: int, raw: NDArray[np.uint64], sampling: Sampling) -> NDArray[np.int64]:
    # Without a nucleus all tokens run, but most can't win even with the most noise: spare their logarithms.
    noise_top, noise_max = noise.gumbel_of(np.array([raw[top], raw.max()]))
    reach = sampling.temperature / MICRO * float(noise_max - noise_top) + 1e-6
    return np.flatnonzero(logits >= float(logits[top]) - reach)


def _weights(logits: Logits, top: int) -> NDArray[np.uint64]:
    weights = logits.astype(np.float64)
    weights -= weights[top]
    np.exp(weights, out=weights)
    weights *= _WEIGHT_ONE
    return weights.astype(np.uint64)


def _limit(total: int, mass: int) -> int:
    # above · 1e6 < mass · total without overflow: above < limit. The first token is always in.
    return -(-max(mass, 1) * total // MICRO)


def _nucleus(logits: Logits, weights: NDArray[np.uint64], mass: int) -> NDArray[np.int64]:
    """Ids in the nucleus of a mass below 1e6, best first; only tokens heavy enough to be in it are sorted."""
    total = int(weights.sum())
    limit = _limit(total, mass)
    # Lighter tokens weigh at most total − limit together, so at least `limit` is ranked before each of them.
    heavy = np.flatnonzero(weights >= (total - limit) // weights.size + 1)
    ranked = heavy[np.argsort(-logits[heavy], kind="stable")]
    above = np.cumsum(weights[ranked]) - weights[ranked]
    return ranked[: np.searchsorted(above, np.uint64(limit))]


def _in_nucleus(logits: Logits, weights: NDArray[np.uint64], token: int, mass: int) -> bool:
    if mass >= MICRO:
        return True
    before = logits > logits[token]
    before[:token] |= logits[:token] == logits[token]
    return int(weights[before].sum()) < _limit(int(weights.sum()), mass)


def _check_finite(best: ArrayLike) -> None:
    if not np.isfinite(best).all():
        raise ValueError("the model's logits are not finite: the weights are damaged, fetch them again")
