"""The model as it is served, with an adapter that may change: samples, and log-probabilities to compare with.

One sequence of llama.cpp under the canonical profile, so that samples can be checked like answers.
"""

import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agents.engine.native import CANONICAL, Context, Model
from agents.engine.tokenizer import LlamaTokenizer
from agents.protocol.noise import ADDRESS_BYTES
from agents.protocol.sampling import Sampling, choose, margins
from agents.tuning import merge
from agents.tuning.adapter import Adapter
from agents.tuning.calls import Call, Tokens

NOBODY = bytes(ADDRESS_BYTES)
"""The node in a sample's noise: the same for all, so that every node draws the same samples."""

_BATCH = 128


class LlamaPolicy:
    """Weights with an adapter over them, `use`d anew as often as needed. Not for several threads at once.

    parent: the parent version's adapter, always on. context: most tokens of prompt and answer.

    Raises:
        ModelFileError: the weights are missing, damaged, or the parent is no adapter for them.
    """

    def __init__(
        self, weights: Path, parent: Adapter | None = None, *, context: int = 1024, threads: int = 1
    ) -> None:
        self._model = Model(weights)
        self._parent = parent
        self._context_length = context
        self._threads = threads
        self._own: Adapter | None = None
        self._contexts: dict[bool, Context] = {}
        self.end_tokens = LlamaTokenizer(self._model).end_tokens

    def use(self, adapter: Adapter | None) -> None:
        """Go on with an adapter over the parent version, or with the parent alone."""
        if adapter is not None and adapter is self._own:
            return
        old = self._contexts.pop(True, None)
        if old is not None:
            old.close()
        self._own = adapter

    def sample(self, call: Call) -> Tokens:
        """An answer to a `sample` call, by what `use` named last."""
        context, sampling = self._fresh(), _sampling(call)
        row = self._read(context, call.prompt)[-1]
        said: list[int] = []
        while True:
            at = len(call.prompt) + len(said)
            said.append(choose(row, sampling, at))
            if said[-1] in self.end_tokens or len(said) == call.max_tokens:
                return tuple(said)
            row = context.decode([said[-1]], [at], [0], [1])[0]

    def margin(self, call: Call, said: Tokens) -> float:
        """How far a claimed answer to a `sample` call is from this model's own: the largest margin.

        Infinite where it does not end as it must.
        """
        ended = [token in self.end_tokens for token in said]
        if not said or len(said) > call.max_tokens or any(ended[:-1]):
            return float("inf")
        if not ended[-1] and len(said) < call.max_tokens:
            return float("inf")
        rows = self._read(self._fresh(), call.prompt + said[:-1], len(call.prompt) - 1)
        return float(margins(rows, list(said), _sampling(call), len(call.prompt)).max())

    def log_probabilities(self, prompt: Tokens, answer: Tokens) -> NDArray[np.float64]:
        """Natural logarithms of an answer's token probabilities, shape (len(answer))."""
        rows = self._read(self._fresh(), prompt + answer[:-1], len(prompt) - 1).astype(np.float64)
        rows -= rows.max(axis=1, keepdims=True)
        chosen: NDArray[np.float64] = rows[np.arange(len(answer)), list(answer)]
        return np.asarray(chosen - np.log(np.exp(rows).sum(axis=1)))

    def close(self) -> None:
        """Free the caches."""
        while self._contexts:
            self._contexts.popitem()[1].close()

    def _read(self, context: Context, ids: Tokens, first: int | None = None) -> NDArray[np.float32]:
        """Logits after every token from `first` on (by default the last alone), float32, shape (rows, V)."""
        first = len(ids) - 1 if first is None else first
        found = []
        for start in range(0, len(ids), _BATCH):
            part = ids[start : start + _BATCH]
            at = np.arange(start, start + len(part))
            found.append(context.decode(part, at, np.zeros(len(part)), at >= first).copy())
        return np.concatenate(found)

    def _fresh(self) -> Context:
        tuned = self._own is not None
        if tuned not in self._contexts:
            context = Context(
                self._model,
                sequences=1,
                length=self._context_length,
                batch=_BATCH,
                threads=self._threads,
                profile=CANONICAL,
                gpu=False,
            )
            parts = [found for found in (self._parent, self._own) if found is not None]
            if parts:
                with tempfile.TemporaryDirectory() as folder:
                    path = Path(folder) / "adapter.gguf"
                    merge.concatenate(parts).write(path)
                    context.adapt(path)
            self._contexts[tuned] = context
        self._contexts[tuned].forget(0)
        return self._contexts[tuned]


def _sampling(call: Call) -> Sampling:
    return Sampling(call.seed, NOBODY, call.temperature, call.top_p)
