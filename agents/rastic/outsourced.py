"""The paper's outsourced check (2.5.3): who has no model asks neighbours what the token at an index should
be.

A neighbour answers with a hash of the token it computed. The paper's plain hash gives the token away: there
are some 50,000 of them to try. So the hash is a slow one (scrypt, RFC 7914): a client that has an answer to
check computes it once, one that fishes for a completion would have to compute it for the whole vocabulary, at
many times the price of the token. The salt holds the neighbour's address, so that nobody can repeat another's
answer.

Pure; how replies travel and are paid is the actors' business.
"""

import hashlib
import hmac
import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

_COST = {"n": 1 << 14, "r": 8, "p": 1}
"""scrypt: 16 MiB and about 50 ms for one hash."""

_ADDRESS, _HASH = 20, 32


@dataclass(frozen=True, slots=True)
class Question:
    """What token stands at `index` of a job's output (from 0), after the tokens before it? `nonce`: 32 fresh
    bytes."""

    job_hash: bytes
    index: int
    nonce: bytes

    def __post_init__(self) -> None:
        """Raises ValueError for a field of the wrong size."""
        if len(self.job_hash) != _HASH or len(self.nonce) != _HASH or not 0 <= self.index < 1 << 32:
            raise ValueError("job hash and nonce are 32 bytes, the index is a uint32")


def reply(question: Question, neighbour: bytes, token: int) -> bytes:
    """What a neighbour (20 bytes of address) that computed `token` sends, 32 bytes.

    Raises:
        ValueError: the address is not 20 bytes, or the token not a uint32.
    """
    if len(neighbour) != _ADDRESS or not 0 <= token < 1 << 32:
        raise ValueError("an address is 20 bytes, a token a uint32")
    place = question.index.to_bytes(4, "big")
    salt = b"capek/outsourced/1" + question.job_hash + place + question.nonce + neighbour
    return hashlib.scrypt(token.to_bytes(4, "big"), salt=salt, dklen=_HASH, **_COST)


def agrees(question: Question, neighbour: bytes, token: int, answer: bytes) -> bool:
    """Whether a neighbour computed the token that the output has at the index.

    Raises:
        ValueError: as `reply`.
    """
    return hmac.compare_digest(reply(question, neighbour, token), answer)


class Finding(StrEnum):
    """What the neighbours say of the node's token."""

    RIGHT = "right"
    WRONG = "wrong"
    ASK_MORE = "ask more"


@dataclass(frozen=True, slots=True)
class Poll:
    """How sure to be: Wald's sequential test (1945) of agreeing against disagreeing neighbours.

    honest: least share of neighbours that compute and say the truth, above 1/2.
    wrong: chance of a wrong finding that is put up with.
    """

    honest: float = 0.8
    wrong: float = 0.001

    def __post_init__(self) -> None:
        """Raises ValueError for a share or chance that decides nothing."""
        if not (0.5 < self.honest < 1 and 0 < self.wrong < 0.5):
            raise ValueError("more than half of the neighbours must be honest, and a wrong finding rare")

    @property
    def lead(self) -> int:
        """How many more neighbours must say one thing than the other."""
        return math.ceil(math.log((1 - self.wrong) / self.wrong) / math.log(self.honest / (1 - self.honest)))

    def finding(self, agreements: Iterable[bool]) -> Finding:
        """After these replies, in the order in which they were asked for; what comes after a finding is
        ignored."""
        ahead = 0
        for agreement in agreements:
            ahead += 1 if agreement else -1
            if abs(ahead) >= self.lead:
                return Finding.RIGHT if ahead > 0 else Finding.WRONG
        return Finding.ASK_MORE
