"""The witness: second-best tokens at eight drawn positions, which nobody has who did not run the model.

Mirror of `contracts/libraries/Witness.sol`; the meaning is in docs/court.md.
"""

from collections import Counter
from collections.abc import Sequence

POSITIONS = 8
ENOUGH = 6
"""Lanes that must be what most say."""

NO_LOGITS = 0xFFFF_FFFF
"""A lane where the model has no logits."""

_LANE_BYTES = 4
BYTES = POSITIONS * _LANE_BYTES


def pack(ids: Sequence[int]) -> bytes:
    """Eight token ids (uint32) as a bytes32, the first position in the highest bits.

    Raises:
        ValueError: not eight, or one is no uint32.
    """
    if len(ids) != POSITIONS:
        raise ValueError(f"a witness has {POSITIONS} token ids, not {len(ids)}")
    if any(not 0 <= token <= NO_LOGITS for token in ids):
        raise ValueError("a token id in a witness is a uint32; NO_LOGITS where there are no logits")
    return b"".join(token.to_bytes(_LANE_BYTES, "big") for token in ids)


def unpack(witness: bytes) -> tuple[int, ...]:
    """The eight lanes of a bytes32.

    Raises:
        ValueError: not 32 bytes.
    """
    if len(witness) != BYTES:
        raise ValueError(f"a witness has {BYTES} bytes, not {len(witness)}")
    lanes = range(0, BYTES, _LANE_BYTES)
    return tuple(int.from_bytes(witness[at : at + _LANE_BYTES], "big") for at in lanes)


def agreement(witnesses: Sequence[bytes]) -> tuple[bool, ...]:
    """Which of those who voted agree, in `ENOUGH` lanes or more, with what more than half of them say there.

    One alone agrees with nobody. Leave out who did not vote.

    Raises:
        ValueError: a witness has not 32 bytes.
    """
    lanes = [unpack(witness) for witness in witnesses]
    if len(lanes) < 2:
        return (False,) * len(lanes)
    most = [Counter(lane).most_common(1)[0] for lane in zip(*lanes, strict=True)]
    said = [token if 2 * votes > len(lanes) else None for token, votes in most]
    return tuple(sum(a == b for a, b in zip(own, said, strict=True)) >= ENOUGH for own in lanes)
