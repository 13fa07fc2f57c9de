"""What the engine works on: answers being written, and texts being read."""

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.engine.handle import LlamaGeneration
from agents.protocol.messages import Finish
from agents.protocol.sampling import Sampling, choose

Tokens = NDArray[np.int32]
Logits = NDArray[np.float32]


@dataclass(slots=True, eq=False)
class Writing:
    """An answer: its prompt is read in chunks, then each token that is said gives the next."""

    text: Tokens
    max_tokens: int
    sampling: Sampling
    end_tokens: frozenset[int]
    handle: LlamaGeneration = field(default_factory=LlamaGeneration)
    read: int = 0
    said: int = -1

    @property
    def position(self) -> int:
        """Absolute position of the next token to be said."""
        return self.text.size + self.handle.count

    @property
    def skippable(self) -> int:
        """How many tokens need not be read when a sequence holds them: all but the last."""
        return int(self.text.size) - 1

    def decoded(self) -> Tokens:
        """What its sequence holds."""
        written = np.array(self.handle.tokens[:-1], dtype=np.int32)
        return np.concatenate([self.text[: self.read], written])

    @property
    def cancelled(self) -> bool:
        """Whether nobody wants more of it."""
        return self.handle.cancelled

    def start(self) -> None:
        """From now on it has a sequence."""

    def finish(self) -> None:
        """Hand over the answer."""
        if self.said in self.end_tokens:
            self.handle.finish(Finish.END)
        elif self.handle.count == self.max_tokens:
            self.handle.finish(Finish.LENGTH)
        else:
            self.handle.finish(Finish.CUT)

    def wanted(self, count: int) -> NDArray[np.bool_]:
        """Which of the next `count` tokens' logits are needed: those after the prompt's last."""
        wanted: NDArray[np.bool_] = np.arange(self.read, self.read + count) == self.text.size - 1
        return wanted

    def take(self, logits: Logits) -> bool:
        """Use the rows that were wanted; whether the job is done."""
        if len(logits) == 0:
            return False
        self.said = choose(logits[0], self.sampling, self.position)
        self.handle.push(self.said)
        return self.said in self.end_tokens or self.handle.count == self.max_tokens

    def fail(self, error: Exception) -> None:
        """Tell who waits."""
        self.handle.fail(error)


@dataclass(slots=True, eq=False)
class Reading:
    """A text: the logits after each token that is `asked` go to `use(row, logits)`, in order.

    asked: bool of the text's shape. row: how many such logits came before these.
    """

    text: Tokens
    asked: NDArray[np.bool_]
    use: Callable[[int, Logits], None]
    result: Callable[[], Any]
    future: "Future[Any]" = field(default_factory=Future)
    read: int = 0
    rows: int = 0

    @property
    def skippable(self) -> int:
        """How many tokens need not be read when a sequence holds them: those before the first asked."""
        return int(np.argmax(self.asked))

    def decoded(self) -> Tokens:
        """What its sequence holds."""
        return self.text[: self.read]

    @property
    def cancelled(self) -> bool:
        """Whether nobody wants it; only before it starts."""
        return self.future.cancelled()

    def start(self) -> None:
        """From now on it has a sequence."""
        self.future.set_running_or_notify_cancel()

    def finish(self) -> None:
        """Hand over the result."""
        if not self.cancelled:
            self.future.set_result(self.result())

    def wanted(self, count: int) -> NDArray[np.bool_]:
        """Which of the next `count` tokens' logits are needed."""
        return self.asked[self.read : self.read + count]

    def take(self, logits: Logits) -> bool:
        """Use the rows that were wanted; whether the job is done."""
        if len(logits):
            self.use(self.rows, logits)
            self.rows += len(logits)
        return self.read == self.text.size

    def fail(self, error: Exception) -> None:
        """Tell who waits."""
        if self.future.running() or self.future.set_running_or_notify_cancel():
            self.future.set_exception(error)


Job = Writing | Reading
