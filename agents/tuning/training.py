"""The training host: LoRA by PyTorch and PEFT on weights dequantized from the GGUF file that is served.

Deterministic: one thread count gives the same bits as another, no dropout, items one after the other, and a
first A drawn by a generator that is the same everywhere (PEFT's own depends on torch).
"""

import math
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from agents.tuning import extra, layout
from agents.tuning.abi import Loss, Policy
from agents.tuning.adapter import Adapter
from agents.tuning.calls import Call, Item, Tokens
from agents.tuning.errors import BadAdapter, BadLoss, TuningError
from agents.tuning.host import Drift, Pair
from agents.tuning.lora import adapter_of, with_lora
from agents.tuning.state import Array, State, difference, norm
from agents.tuning.weights import Weights

RANK, ALPHA = 8, 16
CLIP = 1.0
BETAS, EPS = (0.9, 0.999), 1e-8


class Sampler(Protocol):
    """What answers a `sample` call; `policy.LlamaPolicy` does."""

    def use(self, adapter: Adapter | None) -> None:
        """Sample with an adapter over the parent version from now on; None for the parent itself."""

    def sample(self, call: Call) -> Tokens: ...

    def margin(self, call: Call, said: Tokens) -> float: ...


@dataclass(frozen=True, slots=True)
class Training:
    """How to train. seed: of the first A, the same for every shard of a task (merging needs it).

    threads: of torch; None leaves it as it is. device: "cpu", or "cuda" where tolerance is enough.
    """

    weights: Path
    parent: Adapter | None = None
    seed: int = 0
    rank: int = RANK
    alpha: int = ALPHA
    threads: int | None = 1
    device: str = "cpu"


class TorchHost:
    """See `host.Host`.

    Raises:
        NotInstalled: no torch, PEFT or transformers.
        ModelFileError, UnsupportedModel: as `weights.Weights`.
        BadAdapter: the parent's adapter is for another model.
    """

    def __init__(self, config: Training, preferences: Sequence[Pair], sampler: Sampler | None = None) -> None:
        self.config = config
        self._torch = extra.load("torch")
        self._preferences = tuple(preferences)
        self._sampler = sampler
        _deterministic(self._torch, config.threads)
        weights = Weights(config.weights)
        self.shape = weights.shape
        self._model, self._parameters = with_lora(
            weights,
            config.parent,
            seed=config.seed,
            rank=config.rank,
            alpha=config.alpha,
            device=config.device,
        )
        self._optimizer = self._torch.optim.AdamW(
            list(self._parameters.values()), lr=0.0, betas=BETAS, eps=EPS, weight_decay=0.0
        )
        self._steps = 0
        self._reference: dict[tuple[Tokens, Tokens], float] = {}
        self._frozen: Adapter | None = None

    def preference(self, index: int) -> Pair:
        return self._preferences[index]

    def sample(self, call: Call) -> Tokens:
        if self._sampler is None:
            raise TuningError("this host was made without a sampler, and the function samples")
        self._sampler.use(self._frozen if call.policy is Policy.OWN else None)
        return self._sampler.sample(call)

    def margin(self, call: Call, said: Tokens) -> float:
        if self._sampler is None:
            raise TuningError("this host was made without a sampler, and is to check a sample")
        self._sampler.use(self._frozen if call.policy is Policy.OWN else None)
        return self._sampler.margin(call, said)

    def score(self, call: Call) -> float:
        if call.policy is Policy.PARENT:
            return self._of_parent(call.prompt, call.answer)
        with self._torch.no_grad():
            return float(self._log_probability(call.prompt, call.answer))

    def gradient(self, call: Call) -> float:
        self._optimizer.zero_grad(set_to_none=True)
        total = 0.0
        for part in self._losses(call):
            value = float(part.detach())
            total += value
            if not math.isfinite(value):
                break
            part.backward()
        clip = self._torch.nn.utils.clip_grad_norm_
        norm = float(clip(list(self._parameters.values()), CLIP)) if math.isfinite(total) else math.nan
        if not math.isfinite(norm):
            self._optimizer.zero_grad(set_to_none=True)
            raise BadLoss("the loss or its gradient is not finite: the batch would wreck the model")
        for group in self._optimizer.param_groups:
            group["lr"] = call.rate
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        self._steps += 1
        return total

    def log_probability(self, prompt: Tokens, answer: Tokens, *, parent: bool = False) -> float:
        """Sum of natural logarithms of an answer's token probabilities."""
        if parent:
            return self._of_parent(prompt, answer)
        with self._torch.no_grad():
            return float(self._log_probability(prompt, answer))

    def adapter(self) -> Adapter:
        """The adapter as it stands now, as it would be served: float16, over the parent version."""
        return adapter_of(self._values(), self.config.alpha)

    def state(self) -> bytes:
        values = self._values()
        self._frozen = adapter_of(values, self.config.alpha)
        found = State(
            self._steps, self.config.seed, values, self._moments("exp_avg"), self._moments("exp_avg_sq")
        )
        return found.to_bytes()

    def drift(self, start: bytes, end: bytes) -> Drift:
        before, theirs = State.load(start, self._shapes()), State.load(end, self._shapes())
        ours = self._values()
        update = norm(difference(ours, before.values))
        moments = [
            _ratio(norm(difference(there, here)), norm(here))
            for here, there in (
                (self._moments("exp_avg"), theirs.first),
                (self._moments("exp_avg_sq"), theirs.second),
            )
        ]
        if theirs.steps != self._steps:
            moments.append(math.inf)
        return Drift(update, _ratio(norm(difference(theirs.values, ours)), update), max(moments))

    def restore(self, state: bytes) -> None:
        found = State.load(state, self._shapes())
        if found.seed != self.config.seed:
            raise BadAdapter(f"a checkpoint of seed {found.seed}, this task has {self.config.seed}")
        torch = self._torch
        with torch.no_grad():
            for name, parameter in self._parameters.items():
                parameter.copy_(torch.from_numpy(self._order(name, found.values[name], layout.from_gguf)))
        self._optimizer.state.clear()
        if found.steps:
            for name, parameter in self._parameters.items():
                moments = {}
                for key, group in (("exp_avg", found.first), ("exp_avg_sq", found.second)):
                    moment = torch.from_numpy(self._order(name, group[name], layout.from_gguf))
                    moments[key] = moment.to(parameter.device)
                self._optimizer.state[parameter] = {"step": torch.tensor(float(found.steps)), **moments}
        self._steps = found.steps
        self._frozen = adapter_of(found.values, self.config.alpha)

    def _losses(self, call: Call) -> Iterator[Any]:
        """The loss in parts that add up to it, each to be sent back before the next is computed."""
        items = call.items
        if call.loss is Loss.DPO:
            for item in items:
                yield self._dpo(item, call.beta) / len(items)
        elif call.loss is Loss.SFT:
            tokens = sum(len(item.answer) for item in items)
            for item in items:
                yield -self._log_probability(item.prompt, item.answer) / tokens
        else:
            for item in items:
                scale = item.weight / (len(item.answer) * len(items))
                yield -scale * self._log_probability(item.prompt, item.answer)

    def _dpo(self, item: Item, beta: float) -> Any:
        """Rafailov et al. 2023, equation 7, for one pair."""
        reference = self._of_parent(item.prompt, item.answer) - self._of_parent(item.prompt, item.worse)
        better = self._log_probability(item.prompt, item.answer)
        worse = self._log_probability(item.prompt, item.worse)
        return -self._torch.nn.functional.logsigmoid(beta * (better - worse - reference))

    def _of_parent(self, prompt: Tokens, answer: Tokens) -> float:
        known = self._reference.get((prompt, answer))
        if known is None:
            with self._torch.no_grad(), self._model.disable_adapter():
                known = float(self._log_probability(prompt, answer))
            self._reference[prompt, answer] = known
        return known

    def _log_probability(self, prompt: Tokens, answer: Tokens) -> Any:
        torch = self._torch
        ids = torch.tensor([prompt + answer], device=self.config.device)
        # Logits from the prompt's last token on, and those after the answer's last are not needed.
        logits = self._model(input_ids=ids, logits_to_keep=len(answer) + 1).logits[0, :-1]
        chosen = ids[0, len(prompt) :, None]
        return logits.log_softmax(-1).gather(1, chosen).sum()

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        return {name: tuple(parameter.shape) for name, parameter in self._parameters.items()}

    def _values(self) -> dict[str, Array]:
        return {name: self._to_gguf(name, parameter.detach()) for name, parameter in self._parameters.items()}

    def _moments(self, key: str) -> dict[str, Array]:
        state = self._optimizer.state
        return {
            name: self._to_gguf(name, state[p][key] if p in state else self._torch.zeros_like(p))
            for name, p in self._parameters.items()
        }

    def _to_gguf(self, name: str, tensor: Any) -> Array:
        found: Array = self._order(name, tensor.cpu().numpy(), layout.to_gguf).copy()
        return found

    def _order(self, name: str, rows: Array, order: Callable[[Array, int], Array]) -> Array:
        """Rows of A are ranks and stay; rows of B are the weight's own."""
        if name.endswith(".lora_a"):
            return rows
        return order(rows, layout.heads_of(name, self.shape.heads, self.shape.kv_heads))


def _ratio(apart: float, size: float) -> float:
    return apart / size if size else (0.0 if apart == 0 else math.inf)


def _deterministic(torch: Any, threads: int | None) -> None:
    # cuBLAS reads this when it starts; without it deterministic algorithms refuse to run on a GPU.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    if threads is not None:
        torch.set_num_threads(threads)
