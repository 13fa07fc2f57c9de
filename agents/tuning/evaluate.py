"""How good a version is on what no function saw: held-out preferences, and held-out text.

The differential loss is a version's loss on a text less its parent's; a merge whose preferences got worse, or
whose text did, by more than the bounds is not published.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from agents.tuning.calls import Tokens
from agents.tuning.host import Pair

MAX_ACCURACY_LOSS = 0.0
"""How far the share of held-out preferences a version agrees with may fall."""
MAX_TEXT_LOSS = 0.10
"""How far the mean loss of a token of held-out text may rise, in nats."""


class Scorer(Protocol):
    """`policy.LlamaPolicy` is one."""

    def log_probabilities(self, prompt: Tokens, answer: Tokens) -> NDArray[np.float64]: ...


@dataclass(frozen=True, slots=True)
class Measured:
    """On held-out preferences: accuracy, the share whose better answer is likelier, per token of it.

    margin: mean of log p(better) − log p(worse). loss: mean over tokens of the better answers, in nats.
    """

    accuracy: float
    margin: float
    loss: float
    count: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """A version against its parent. text: the differential loss on held-out text, in nats a token."""

    before: Measured
    after: Measured
    text: float

    @property
    def good(self) -> bool:
        """Whether the version may be published; false for anything that is no number."""
        fell = self.before.accuracy - self.after.accuracy
        return fell <= MAX_ACCURACY_LOSS and self.text <= MAX_TEXT_LOSS


def evaluate(scorer: Scorer, pairs: Sequence[Pair]) -> Measured:
    """Measure on held-out preferences, at least one.

    Raises:
        ValueError: there are none.
    """
    if not pairs:
        raise ValueError("there are no held-out preferences to measure on")
    right, margins, losses, tokens = 0, [], 0.0, 0
    for pair in pairs:
        better = scorer.log_probabilities(pair.prompt, pair.better)
        worse = scorer.log_probabilities(pair.prompt, pair.worse)
        right += bool(better.mean() > worse.mean())
        margins.append(float(better.sum() - worse.sum()))
        losses -= float(better.sum())
        tokens += better.size
    return Measured(right / len(pairs), float(np.mean(margins)), losses / tokens, len(pairs))


def text_loss(scorer: Scorer, texts: Sequence[Tokens]) -> float:
    """Mean loss of a token of plain texts, in nats; the first token of each is given."""
    found = [scorer.log_probabilities(text[:1], text[1:]) for text in texts if len(text) > 1]
    if not found:
        raise ValueError("there is no held-out text to measure on")
    return -float(np.concatenate(found).mean())


def compare(parent: Scorer, version: Scorer, pairs: Sequence[Pair], texts: Sequence[Tokens]) -> Comparison:
    """A version against its parent on what neither was tuned on."""
    differential = text_loss(version, texts) - text_loss(parent, texts)
    return Comparison(evaluate(parent, pairs), evaluate(version, pairs), differential)


def held_out(digests: Sequence[bytes], seed: bytes, share: float = 0.2) -> tuple[int, ...]:
    """Which preferences of a batch are held out, by the block hash at close: ascending, at least one of two.

    A record is drawn by its own digest, so nobody who published it before the hash was known could choose.
    """
    count = max(1, round(len(digests) * share)) if len(digests) > 1 else 0
    order = sorted(range(len(digests)), key=lambda i: hashlib.sha256(seed + digests[i]).digest())
    return tuple(sorted(order[:count]))
