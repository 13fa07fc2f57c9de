"""The engine on llama.cpp: checks what comes in, turns it into jobs, and lets the scheduler run them."""

import hashlib
from collections.abc import Collection, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from agents.engine.errors import ContextOverflow, InvalidTokens
from agents.engine.handle import LlamaGeneration
from agents.engine.interface import Stats
from agents.engine.jobs import Logits, Reading, Tokens, Writing
from agents.engine.native import CANONICAL, Context, Model, is_canonical_build
from agents.engine.scheduler import Scheduler
from agents.engine.threads import physical_cores
from agents.engine.tokenizer import LlamaTokenizer
from agents.protocol.sampling import Sampling, margins


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """How to run a weights file.

    context: tokens of one sequence, 0 for the model's own limit.
    sequences: jobs at once; each takes a cache of `context` tokens.
    queue: jobs of each kind that may wait beyond those.
    threads: None for the physical cores; say 1 where processes share cores (see threads.py).
    gpu_layers: layers on the GPU, -1 for all; with any, nothing is exact.
    batch, interleave: most tokens of a text read at once, alone and while answers are being written.
    profile: native.CANONICAL or native.NATIVE.
    chat_template: instead of the one in the file.
    """

    path: Path
    context: int = 0
    sequences: int = 4
    queue: int = 64
    threads: int | None = None
    gpu_layers: int = 0
    batch: int = 128
    interleave: int = 32
    profile: str = CANONICAL
    chat_template: str | None = None


class LlamaEngine:
    """See `interface.Engine`. `exact` says whether its bits are those of the canonical profile.

    Raises:
        ModelFileError: the weights file is missing, damaged or unknown to llama.cpp.
        EngineError: llama.cpp can't make the context.
        ValueError: a setting is out of range.
    """

    def __init__(self, config: EngineConfig) -> None:
        if config.interleave < 1 or not 1 <= config.sequences <= config.batch:
            raise ValueError("sequences and interleave must be at least 1, and batch at least sequences")
        model = Model(config.path, gpu_layers=config.gpu_layers, exact=config.profile == CANONICAL)
        if not 0 <= config.context <= model.context_length:
            raise ValueError(f"a context of {config.context} tokens: the model has {model.context_length}")
        self.config = config
        self.context = config.context or model.context_length
        self.exact = config.profile == CANONICAL and config.gpu_layers == 0 and is_canonical_build()
        self.tokenizer = LlamaTokenizer(model, config.chat_template)
        self._scheduler = Scheduler(
            lambda: Context(
                model,
                sequences=config.sequences,
                length=self.context,
                batch=config.batch,
                threads=config.threads or physical_cores(),
                profile=config.profile,
                gpu=config.gpu_layers != 0,
            ),
            sequences=config.sequences,
            queue=config.queue,
            batch=config.batch,
            interleave=config.interleave,
        )

    def generate(
        self, prompt: Sequence[int], max_tokens: int, sampling: Sampling, end_tokens: Collection[int]
    ) -> LlamaGeneration:
        text = self._checked(prompt)
        if max_tokens < 1:
            raise InvalidTokens(f"an answer has at least one token, {max_tokens} were asked for")
        self._check_room(text.size, max_tokens)
        job = Writing(text, max_tokens, sampling, frozenset(end_tokens))
        self._scheduler.submit(job)
        return job.handle

    def score(
        self, prompt: Sequence[int], output: Sequence[int], sampling: Sampling, tolerance: int = 0
    ) -> "Future[NDArray[np.float64]]":
        text = self._checked(prompt)
        self._check_room(text.size, len(output))
        size = self.tokenizer.vocab_size
        known = next((i for i, token in enumerate(output) if not 0 <= token < size), len(output))
        claimed = np.array(output[:known], dtype=np.int32)
        found = np.full(len(output), np.inf)

        def use(row: int, logits: Logits) -> None:
            rows = slice(row, row + len(logits))
            found[rows] = margins(logits, claimed[rows], sampling, text.size + row, tolerance)

        if known == 0:
            ready: Future[NDArray[np.float64]] = Future()
            ready.set_result(found)
            return ready
        job = Reading(np.concatenate([text, claimed[:-1]]), text.size - 1, use, lambda: found)
        self._scheduler.submit(job)
        return job.future

    def logits_digest(self, tokens: Sequence[int]) -> "Future[bytes]":
        """sha256 over the logits after every token, float32 little-endian: the probe of a bit class.

        Raises:
            InvalidTokens, ContextOverflow, Busy, EngineClosed: as `generate`.
        """
        text = self._checked(tokens)
        self._check_room(text.size, 0)
        digest = hashlib.sha256()

        def use(_row: int, logits: Logits) -> None:
            digest.update(logits.astype("<f4", copy=False).tobytes())

        job = Reading(text, 0, use, digest.digest)
        self._scheduler.submit(job)
        return job.future

    def stats(self) -> Stats:
        return self._scheduler.stats()

    def close(self) -> None:
        self._scheduler.close()

    def __enter__(self) -> "LlamaEngine":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _checked(self, prompt: Sequence[int]) -> Tokens:
        text = np.array(prompt, dtype=np.int64)
        size = self.tokenizer.vocab_size
        if text.size == 0:
            raise InvalidTokens("the prompt is empty: give at least one token")
        if text.min() < 0 or text.max() >= size:
            raise InvalidTokens(f"the prompt has token ids outside the model's vocabulary of {size}")
        return text.astype(np.int32)

    def _check_room(self, prompt: int, answer: int) -> None:
        if prompt + answer > self.context:
            raise ContextOverflow(
                f"{prompt} prompt tokens and {answer} for the answer exceed the context of {self.context}: "
                "shorten the prompt or ask for fewer tokens"
            )
