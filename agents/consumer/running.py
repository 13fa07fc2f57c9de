"""A model loaded to count a prompt's tokens and to check answers."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from agents.consumer.errors import PromptTooLong
from agents.engine import EngineError, InvalidTokens
from agents.engine.bitclass import TOLERANT, bit_class
from agents.engine.llama import EngineConfig, LlamaEngine
from agents.engine.tokenizer import LlamaTokenizer
from agents.market.court import Case
from agents.market.errors import NoModel
from agents.protocol.manifest import Manifest
from agents.protocol.messages import Completion, Finish, Job
from agents.protocol.sampling import TOLERANCE, Sampling
from agents.rastic import Claim, Mode, Verdict, judge

_LEAST_CONTEXT = 128
"""The bit class's probe needs 64."""


@dataclass(frozen=True, slots=True)
class Machine:
    """How models run here: threads (None: the physical cores) and layers on a GPU."""

    threads: int | None = None
    gpu_layers: int = 0


@dataclass(frozen=True, slots=True)
class Examined:
    """An answer's margins (float64, one a token) and the verdict on them."""

    claim: Claim
    margins: NDArray[np.float64]
    verdict: Verdict


class RunningModel:
    """A verified weights file and its manifest. The weights are loaded when the first answer is checked.

    Raises:
        NoModel: the file can't be loaded, or is not the model its manifest describes.
    """

    def __init__(self, manifest: Manifest, path: Path, machine: Machine) -> None:
        self.manifest = manifest
        self._path = path
        self._machine = machine
        self._engine: LlamaEngine | None = None
        self._class: bytes | None = None
        template = None if manifest.chat_template == "gguf" else manifest.chat_template
        try:
            self.tokenizer = LlamaTokenizer.open(path, template)
        except EngineError as error:
            raise NoModel(f"{manifest.name} can't be loaded: {error}") from None
        if outside := [token for token in manifest.end_tokens if token >= self.tokenizer.vocab_size]:
            raise NoModel(
                f"the manifest of {manifest.name} names end tokens {outside}, which its weights do "
                "not have: tell its trainer"
            )

    def __enter__(self) -> "RunningModel":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        if self._engine:
            self._engine.close()
            self._engine = None

    def bit_class(self, tokens: int = 0) -> bytes:
        """This machine's class for the model, 32 bytes, zero for none; loaded with room for `tokens`."""
        if self._class is None:
            engine = self._loaded(tokens)
            self._class = bit_class(engine, self.manifest.weights.cid) if engine.exact else TOLERANT
        return self._class

    def judge(
        self, job: Job, prompt: Sequence[int], completion: Completion, output: Sequence[int]
    ) -> Verdict:
        """Whether an output, already held against its hash, is what the model says.

        Exact when the job names this machine's bit class, else tolerant.

        Raises:
            EngineError: the model fails here; says nothing about the node.
        """
        return self.examine(job, prompt, completion, output).verdict

    def examine(
        self,
        job: Job,
        prompt: Sequence[int],
        completion: Completion,
        output: Sequence[int],
        rule: Mode | None = None,
    ) -> "Examined":
        """`judge`, with what the verdict rests on; by the tolerant rule if `rule` says so.

        Raises:
            EngineError: as `judge`.
        """
        claim = self._claim(output, completion.finish, job.max_tokens, job.temperature)
        return self._examine(Sampling.of(job), prompt, claim, job.bit_class, rule)

    def examine_case(
        self, case: Case, prompt: Sequence[int], output: Sequence[int], rule: Mode
    ) -> "Examined":
        """`examine`, for what is before the court.

        Raises:
            EngineError: as `judge`.
        """
        claim = self._claim(output, case.finish, case.max_tokens, case.temperature)
        sampling = Sampling(case.seed, bytes.fromhex(case.node[2:]), case.temperature, case.top_p)
        return self._examine(sampling, prompt, claim, case.bit_class, rule)

    def _claim(self, output: Sequence[int], finish: int, max_tokens: int, temperature: int) -> Claim:
        return Claim(
            tokens=tuple(output),
            finish=Finish(finish),
            max_tokens=max_tokens,
            end_tokens=frozenset(self.manifest.end_tokens),
            greedy=temperature == 0,
        )

    def _examine(
        self, sampling: Sampling, prompt: Sequence[int], claim: Claim, bit_class: bytes, rule: Mode | None
    ) -> "Examined":
        tokens = len(prompt) + len(claim.tokens)
        mode = Mode.EXACT if bit_class == self.bit_class(tokens) != TOLERANT else Mode.TOLERANT
        mode = Mode.TOLERANT if rule is Mode.TOLERANT else mode
        scored = self._loaded(tokens).score(
            prompt, claim.tokens, sampling, 0 if mode is Mode.EXACT else TOLERANCE
        )
        margins = scored.result()
        return Examined(claim, margins, judge(claim, margins, self.manifest.verification, mode))

    def own_choice(self, job: Job, prompt: Sequence[int], output: Sequence[int], place: int) -> str:
        """Text of what the model itself would say at a place of the output, after the tokens before it.

        "nothing" after a token that is outside the vocabulary.

        Raises:
            EngineError: as `judge`.
        """
        text = [*prompt, *output[:place]]
        try:
            running = self._loaded(len(text) + 1).generate(text, 1, Sampling.of(job), ())
        except InvalidTokens:
            return "nothing"
        return self.text_of(running.result().tokens[0])

    def text_of(self, token: int) -> str:
        """Text of one token; its number in brackets where it has none."""
        try:
            return self.tokenizer.detokenize([token]) or f"<{token}>"
        except InvalidTokens:
            return f"<{token}>"

    def _loaded(self, tokens: int) -> LlamaEngine:
        needed = max(tokens, _LEAST_CONTEXT)
        if self._engine is not None and self._engine.context >= needed:
            return self._engine
        self.close()
        if needed > self.manifest.context_length:
            raise PromptTooLong(
                f"{tokens} tokens do not fit the context of {self.manifest.name} "
                f"({self.manifest.context_length})"
            )
        try:
            self._engine = LlamaEngine(
                EngineConfig(
                    self._path,
                    context=needed,
                    sequences=1,
                    threads=self._machine.threads,
                    gpu_layers=self._machine.gpu_layers,
                    profile=self.manifest.profile,
                )
            )
        except (EngineError, ValueError) as error:
            raise NoModel(f"{self.manifest.name} can't be loaded: {error}") from None
        return self._engine
