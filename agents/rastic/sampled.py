"""The RASTiC paper's own mode: check the first token, k random interior ones, and the end.

Where a whole output is read in one prefill this saves nothing (docs/rastic.md); it is for judges that pay for
each position, and for comparison with the paper.
"""

import hashlib
import math

import numpy as np
from numpy.typing import ArrayLike

from agents.protocol.manifest import Verification
from agents.rastic.claim import Claim
from agents.rastic.judge import judge
from agents.rastic.verdict import Mode, Verdict

_SEED_BYTES = 32


def seed(job_hash: bytes, output_hash: bytes, beacon: bytes) -> bytes:
    """The seed of the indices, 32 bytes. `beacon` is what nobody knew when `output_hash` was committed to.

    For example the hash of the first block after the one that holds the completion: a node that knew the seed
    before would be honest at the indices alone.

    Raises:
        ValueError: a value is not 32 bytes.
    """
    if not len(job_hash) == len(output_hash) == len(beacon) == _SEED_BYTES:
        raise ValueError("job hash, output hash and beacon are 32 bytes each")
    return hashlib.sha256(b"capek/sampled/1" + job_hash + output_hash + beacon).digest()


def indices(drawn_from: bytes, count: int, k: int) -> tuple[int, ...]:
    """`k` different interior positions of an output of `count` tokens (1 to count − 2), ascending; all if
    fewer.

    The i-th draw is the first 8 bytes of sha256(seed ‖ uint32(i)), big-endian; draws that would favour some
    positions are passed over.

    Raises:
        ValueError: the seed is not 32 bytes, or `count` or `k` is negative.
    """
    if len(drawn_from) != _SEED_BYTES:
        raise ValueError("the seed is 32 bytes: see seed()")
    if count < 0 or k < 0:
        raise ValueError("count and k are at least 0")
    interior = max(count - 2, 0)
    if k >= interior:
        return tuple(range(1, interior + 1))
    found: set[int] = set()
    fair = (1 << 64) // interior * interior
    draw = 0
    while len(found) < k:
        word = hashlib.sha256(drawn_from + draw.to_bytes(4, "big")).digest()[:8]
        value = int.from_bytes(word, "big")
        if value < fair:
            found.add(1 + value % interior)
        draw += 1
    return tuple(sorted(found))


def judge_sampled(
    claim: Claim, margins: ArrayLike, positions: tuple[int, ...], verification: Verification, mode: Mode
) -> Verdict:
    """Judge an output by continuity, the margins at `positions`, and truncation.

    `margins` is float of shape (len(claim.tokens)); only the first, those at `positions` and the last are
    looked at. In the tolerant tier the mean is that of a whole output whose other margins are 0: it only errs
    towards accepting.

    Raises:
        ValueError: as `judge`, or a position outside the output.
    """
    found = np.asarray(margins, dtype=np.float64)
    count = len(claim.tokens)
    if found.shape != (count,):
        raise ValueError(f"{count} tokens need as many margins, not {found.shape}")
    if not all(0 <= position < count for position in positions):
        raise ValueError(f"a position is outside the output of {count} tokens")
    seen = np.zeros(count)
    looked_at = sorted({0, *positions, count - 1}) if count else []
    seen[looked_at] = found[looked_at]
    return judge(claim, seen, verification, mode)


def detection(share: float, k: int) -> float:
    """The paper's closed form: the chance that one of `k` draws hits when a `share` is wrong."""
    return float(-math.expm1(k * math.log1p(-share))) if share < 1 else float(k > 0)


def detection_of(wrong: int, interior: int, k: int) -> float:
    """The same for k different positions out of `interior`, `wrong` of them wrong: no approximation.

    Raises:
        ValueError: more positions are wrong than there are.
    """
    if not 0 <= wrong <= interior:
        raise ValueError(f"{wrong} of {interior} positions can't be wrong")
    k = min(k, interior)
    return 1.0 - math.comb(interior - wrong, k) / math.comb(interior, k)


def positions_needed(share: float, chance: float) -> int:
    """The smallest k that finds a `share` of wrong positions with at least `chance`.

    Raises:
        ValueError: the share or the chance is not between 0 and 1.
    """
    if not (0 < share < 1 and 0 < chance < 1):
        raise ValueError("share and chance lie between 0 and 1")
    return math.ceil(math.log1p(-chance) / math.log1p(-share))
