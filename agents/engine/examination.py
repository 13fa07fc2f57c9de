"""What a verifier learns from one reading: the margins, and the second-best tokens that prove it read."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.engine.interface import NO_LOGITS, Examination
from agents.engine.jobs import Logits, Reading, Tokens
from agents.protocol.sampling import Sampling, margins


def second_best(logits: Logits) -> int:
    """The second id in order of (−logit, id), of raw logits of shape (V), V at least 2.

    Raises:
        ValueError: the logits hold NaN, or infinity in front.
    """
    rest = logits.copy()
    top = int(np.argmax(rest))  # the lowest id of equals, and NaN goes first
    if not np.isfinite(rest[top]):
        raise ValueError("the model's logits are not finite: the weights are damaged, fetch them again")
    rest[top] = -np.inf
    return int(np.argmax(rest))


class Examiner:
    """Collects both from the logits of one reading; `output` may hold ids that the model does not know.

    Raises:
        ValueError: a position is outside prompt + output.
    """

    def __init__(
        self,
        prompt: Tokens,
        output: Sequence[int],
        vocabulary: int,
        sampling: Sampling,
        tolerance: int,
        positions: Sequence[int],
    ) -> None:
        total = prompt.size + len(output)
        if any(not 0 <= position < total for position in positions):
            raise ValueError(f"a position is outside the {total} tokens of prompt and output")
        known = next((i for i, token in enumerate(output) if not 0 <= token < vocabulary), len(output))
        self.margins: NDArray[np.float64] = np.full(len(output), np.inf)
        self._claimed = np.array(output[:known], dtype=np.int32)
        self._first = prompt.size - 1  # what follows this position is the first claimed token
        self._sampling, self._tolerance, self._positions = sampling, tolerance, positions
        self._second: dict[int, int] = {}
        self._text = np.concatenate([prompt, self._claimed])
        asked = np.zeros(self._text.size, dtype=np.bool_)
        asked[self._first : self._first + known] = True
        asked[[position for position in positions if position < asked.size]] = True
        self._asked = asked
        self._at = np.flatnonzero(asked)

    def job(self, result: Callable[[], Any]) -> Reading:
        """The reading, as far as it is needed."""
        end = int(self._at[-1]) + 1 if self._at.size else 0
        return Reading(self._text[:end], self._asked[:end], self._use, result)

    def examination(self) -> Examination:
        """Once the reading is done."""
        second = tuple(self._second.get(position, NO_LOGITS) for position in self._positions)
        return Examination(self.margins, second)

    def _use(self, row: int, logits: Logits) -> None:
        at = self._at[row : row + len(logits)]
        places = at - self._first
        claims = (places >= 0) & (places < self._claimed.size)  # one run: only the ends may be left out
        if claims.any():
            begin, end = (int(i) for i in (np.argmax(claims), claims.size - np.argmax(claims[::-1])))
            start = int(places[begin])
            rows = slice(start, start + end - begin)
            self.margins[rows] = margins(
                logits[begin:end],
                self._claimed[rows],
                self._sampling,
                self._first + 1 + start,
                self._tolerance,
            )
        for position in set(self._positions) & set(at.tolist()):
            self._second[position] = second_best(logits[int(np.searchsorted(at, position))])
