"""What the rest of Capek knows about running a model; llama.cpp is behind it first."""

from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from agents.protocol.messages import Finish
from agents.protocol.sampling import Sampling

Message = Mapping[str, str]
"""A chat message: `role` and `content`."""


@dataclass(frozen=True, slots=True)
class Output:
    """What a model said: token ids, the end token included, and why it stopped."""

    tokens: tuple[int, ...]
    finish: Finish


@dataclass(frozen=True, slots=True)
class Stats:
    """Jobs now (waiting for a sequence, running in one) and tokens since the start."""

    waiting: int
    running: int
    read_tokens: int
    written_tokens: int


NO_LOGITS = 0xFFFF_FFFF
"""In place of a token where the model has nothing to say: from the first id it does not know on."""


@dataclass(frozen=True, slots=True)
class Examination:
    """What a verifier learns from one reading.

    margins: as `Engine.score` gives them. second_best: a token id, or `NO_LOGITS`, a position asked for.
    """

    margins: NDArray[np.float64]
    second_best: tuple[int, ...]


class Generation(Protocol):
    """An answer on its way. Iterate over it, `for` or `async for`, from any thread and as often as you like.

    Iterating yields every token id from the first on, as they come, and raises what `result` raises. Leaving
    the loop does not stop the model: `cancel` does.
    """

    def __iter__(self) -> Iterator[int]: ...

    def __aiter__(self) -> AsyncIterator[int]: ...

    def cancel(self) -> None:
        """Stop at the next token: the output so far is kept and its finish is `cut`. No effect once done."""

    def result(self, timeout: float | None = None) -> Output:
        """Wait for the whole output.

        Raises:
            TimeoutError: not done after `timeout` seconds; the model goes on.
            EngineClosed: the engine was closed or died.
            EngineError: this job failed, the engine lives; most likely the weights are damaged.
        """

    async def wait(self) -> Output:
        """`result` for coroutines."""


class TextStream(Protocol):
    """Text of tokens as they come; a character spread over several tokens appears with the last of them."""

    def feed(self, token: int) -> str: ...

    def close(self) -> str:
        """What an unfinished character at the end leaves: U+FFFD or nothing."""


class Tokenizer(Protocol):
    """Text to token ids and back, without the weights."""

    @property
    def vocab_size(self) -> int: ...

    @property
    def end_tokens(self) -> frozenset[int]:
        """The ids that end an answer, as the weights file has them; a manifest's own list goes first."""

    def tokenize(self, text: str) -> list[int]:
        """Token ids of plain text: nothing added, and no text turns into a control token."""

    def tokenize_chat(self, messages: Sequence[Message]) -> list[int]:
        """The prompt for a conversation by the model's chat template, up to where the answer begins.

        Raises:
            ChatTemplateError: no template, or messages it does not take.
        """

    def detokenize(self, tokens: Sequence[int]) -> str:
        """Text of tokens; control tokens are silent.

        Raises:
            InvalidTokens: an id outside the vocabulary.
        """

    def stream(self) -> TextStream: ...


class Engine(Protocol):
    """A loaded model. Every method may be called from any thread."""

    @property
    def tokenizer(self) -> Tokenizer: ...

    @property
    def context(self) -> int:
        """Most tokens, prompt and answer together, that one job may have."""

    def generate(
        self, prompt: Sequence[int], max_tokens: int, sampling: Sampling, end_tokens: Collection[int]
    ) -> Generation:
        """Start an answer; it ends after one of `end_tokens` or at `max_tokens`.

        Raises:
            InvalidTokens: an empty prompt or an id outside the vocabulary.
            ContextOverflow: prompt and `max_tokens` exceed `context`.
            Busy: too many jobs wait.
            EngineClosed: the engine was closed or died.
        """

    def score(
        self, prompt: Sequence[int], output: Sequence[int], sampling: Sampling, tolerance: int = 0
    ) -> "Future[NDArray[np.float64]]":
        """Margin of every output token (docs/protocol.md section 4), float64 of shape (len(output)).

        An id outside the vocabulary, and all that comes after it, has an infinite margin: the model can't
        say it. `tolerance` is the δ of the tolerant tier, 0 for exact.

        Raises:
            InvalidTokens, ContextOverflow, Busy, EngineClosed: as `generate`.
        """

    def examine(
        self,
        prompt: Sequence[int],
        output: Sequence[int],
        sampling: Sampling,
        positions: Sequence[int],
        tolerance: int = 0,
    ) -> "Future[Examination]":
        """`score`, and the second-best token (raw logits, ties to the lower id) that follows each position.

        `positions` are absolute, in prompt + output, in any order and repeated as one likes; one reading
        gives everything. From the first id of the output outside the vocabulary on there are no logits.

        Raises:
            ValueError: a position is outside prompt + output.
            InvalidTokens, ContextOverflow, Busy, EngineClosed: as `generate`.
        """

    def stats(self) -> Stats: ...

    def close(self) -> None:
        """Stop, fail what is unfinished with EngineClosed, and free the memory. Twice is fine."""
