"""A host without a model, to try functions on: its answers are made up, but the same every time."""

import hashlib
import json
import math
import random
from collections.abc import Sequence

from agents.tuning.abi import Loss, Policy
from agents.tuning.calls import Call, Tokens
from agents.tuning.errors import BadAdapter
from agents.tuning.host import Drift, Pair


class DryHost:
    """Answers at once. Preferred answers score better with every gradient step that names them.

    `seen` keeps the gradient calls, newest last.
    """

    def __init__(self, preferences: Sequence[Pair], vocabulary: int) -> None:
        self._preferences = tuple(preferences)
        self._vocabulary = vocabulary
        self._steps = 0
        self._weights: dict[str, float] = {}
        self.seen: list[Call] = []

    def preference(self, index: int) -> Pair:
        return self._preferences[index]

    def sample(self, call: Call) -> Tokens:
        draw = random.Random(call.digest)
        length = draw.randint(1, call.max_tokens)
        return tuple(draw.randrange(self._vocabulary) for _ in range(length))

    def score(self, call: Call) -> float:
        base = -2.0 * len(call.answer) - _noise(call.answer)
        return base + (self._weights.get(_name(call.answer), 0.0) if call.policy is Policy.OWN else 0.0)

    def gradient(self, call: Call) -> float:
        self.seen.append(call)
        self._steps += 1
        for item in call.items:
            sign = item.weight if call.loss is Loss.POLICY else 1.0
            self._learn(item.answer, sign * call.rate * 1e3)
            if item.worse:
                self._learn(item.worse, -call.rate * 1e3)
        return 1.0 / self._steps

    def margin(self, call: Call, said: Tokens) -> float:
        return 0.0 if said == self.sample(call) else math.inf

    def drift(self, start: bytes, end: bytes) -> Drift:
        apart = 0.0 if end == self.state() else math.inf
        return Drift(0.0 if start == end else 1.0, apart, 0.0)

    def state(self) -> bytes:
        return json.dumps({"steps": self._steps, "weights": self._weights}, sort_keys=True).encode()

    def restore(self, state: bytes) -> None:
        try:
            found = json.loads(state)
            self._steps, self._weights = found["steps"], found["weights"]
        except (ValueError, KeyError, TypeError):
            raise BadAdapter("this is no state of a dry run") from None

    def _learn(self, answer: Tokens, by: float) -> None:
        name = _name(answer)
        self._weights[name] = self._weights.get(name, 0.0) + by


def made_up(count: int, vocabulary: int, seed: int = 0) -> list[Pair]:
    """Preferences about nothing: short texts of random tokens."""
    draw = random.Random(seed)

    def text(most: int) -> Tokens:
        return tuple(draw.randrange(vocabulary) for _ in range(draw.randint(2, most)))

    return [Pair(text(12), text(24), text(24)) for _ in range(count)]


def _name(answer: Tokens) -> str:
    return hashlib.sha256(repr(answer).encode()).hexdigest()[:16]


def _noise(answer: Tokens) -> float:
    return int(_name(answer)[:4], 16) / 65536
