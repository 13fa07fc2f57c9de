"""The engine on llama.cpp: checks what comes in, turns it into jobs, and lets the scheduler run them."""

import hashlib
from collections.abc import Collection, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.engine.errors import ContextOverflow, InvalidTokens
from agents.engine.examination import Examiner
from agents.engine.handle import LlamaGeneration
from agents.engine.interface import Examination, Stats
from agents.engine.jobs import Logits, Reading, Tokens, Writing
from agents.engine.native import CANONICAL, Context, Model, is_canonical_build
from agents.engine.scheduler import Scheduler
from agents.engine.threads import physical_cores
from agents.engine.tokenizer import LlamaTokenizer
from agents.protocol.sampling import Sampling


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
    adapter: a LoRA in GGUF made for these weights, at the strength it names; every job runs through it.
    reuse: keep finished texts in their sequences; one that begins alike is read from where it differs, and is
        as exact. How soon an answer begins then tells what was read before: leave it off where strangers ask.
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
    adapter: Path | None = None
    reuse: bool = False


class LlamaEngine:
    """See `interface.Engine`. `exact` says whether its bits are those of the canonical profile.

    Raises:
        ModelFileError: the weights or the adapter are missing, damaged, unknown to llama.cpp or no pair.
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
        self._model = model
        self.context = config.context or model.context_length
        self.exact = config.profile == CANONICAL and config.gpu_layers == 0 and is_canonical_build()
        self.tokenizer = LlamaTokenizer(model, config.chat_template)
        self._scheduler = Scheduler(
            lambda: self._context(model, sequences=config.sequences, length=self.context),
            sequences=config.sequences,
            queue=config.queue,
            batch=config.batch,
            interleave=config.interleave,
            reuse=config.reuse,
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
        reading = self._reading(prompt, output, sampling, tolerance, ())
        return self._read(reading.job(lambda: reading.margins))

    def examine(
        self,
        prompt: Sequence[int],
        output: Sequence[int],
        sampling: Sampling,
        positions: Sequence[int],
        tolerance: int = 0,
    ) -> "Future[Examination]":
        reading = self._reading(prompt, output, sampling, tolerance, positions)
        return self._read(reading.job(reading.examination))

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

        job = Reading(text, np.ones(text.size, dtype=np.bool_), use, digest.digest)
        self._scheduler.submit(job)
        return job.future

    def states(self, prompt: Sequence[int], output: Sequence[int]) -> NDArray[np.float32]:
        """The last hidden state before each token of an output, float32 of shape (len(output), width).

        For `rastic.fingerprint`. Reads the text in a cache of its own, in the caller's thread, beside jobs;
        takes as long as `score`.

        Raises:
            InvalidTokens: no prompt, no output, or an id outside the vocabulary.
            ContextOverflow: prompt and output exceed `context`.
            EngineError: llama.cpp can't make the cache, or fails.
        """
        text = np.concatenate([self._checked(prompt), self._checked(output)])
        self._check_room(text.size, 0)
        text = text[:-1]
        context = self._context(self._model, sequences=1, length=int(text.size), states=True)
        try:
            step = self.config.batch
            rows = [context.states(text[at : at + step], at, 0) for at in range(0, text.size, step)]
        finally:
            context.close()
        return np.concatenate(rows)[len(prompt) - 1 :]

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

    def _context(self, model: Model, *, sequences: int, length: int, states: bool = False) -> Context:
        config = self.config
        context = Context(
            model,
            sequences=sequences,
            length=length,
            batch=config.batch,
            threads=config.threads or physical_cores(),
            profile=config.profile,
            gpu=config.gpu_layers != 0,
            states=states,
        )
        if config.adapter is not None:
            context.adapt(config.adapter)
        return context

    def _reading(
        self,
        prompt: Sequence[int],
        output: Sequence[int],
        sampling: Sampling,
        tolerance: int,
        positions: Sequence[int],
    ) -> Examiner:
        text = self._checked(prompt)
        self._check_room(text.size, len(output))
        return Examiner(text, output, self.tokenizer.vocab_size, sampling, tolerance, positions)

    def _read(self, job: Reading) -> "Future[Any]":
        if job.asked.any():
            self._scheduler.submit(job)
        else:
            job.start()
            job.finish()
        return job.future

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
