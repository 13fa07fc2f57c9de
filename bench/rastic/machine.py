"""A way to run weights: what a node or a judge may choose beyond the canonical profile."""

from dataclasses import dataclass
from pathlib import Path

from agents.engine.errors import EngineError
from agents.engine.native import CANONICAL, Context, Model, lib

F16, Q8_0 = lib.GGML_TYPE_F16, lib.GGML_TYPE_Q8_0


@dataclass(frozen=True, slots=True)
class Machine:
    """Defaults are the canonical profile.

    cache: ggml type of the K and V caches. flash: flash attention. adapter: a LoRA in GGUF, `scale` its
    strength.
    """

    cache: int = Q8_0
    flash: bool = True
    threads: int = 1
    batch: int = 128
    adapter: Path | None = None
    scale: float = 1.0

    def context(self, model: Model, *, sequences: int, length: int) -> Context:
        """A context of this machine.

        Raises:
            EngineError: llama.cpp can't make it.
        """
        return _Context(self, model, sequences, length)


CANON = Machine()
OTHER = Machine(cache=F16, flash=False)
"""Stands for a machine of another bit class: other attention kernels, another cache type."""


class _Context(Context):
    def __init__(self, machine: Machine, model: Model, sequences: int, length: int) -> None:
        super().__init__(
            model,
            sequences=sequences,
            length=length,
            batch=machine.batch,
            threads=machine.threads,
            profile=CANONICAL,
            gpu=False,
        )
        if (machine.cache, machine.flash) != (Q8_0, True):
            lib.llama_free(self._pointer)
            params = lib.llama_context_default_params()
            params.n_ctx, params.n_seq_max = length * sequences, sequences
            params.n_batch = params.n_ubatch = machine.batch
            params.n_threads = params.n_threads_batch = machine.threads
            params.kv_unified, params.swa_full, params.no_perf = False, True, True
            params.flash_attn_type = int(machine.flash)
            params.type_k = params.type_v = machine.cache
            self._pointer = lib.llama_init_from_model(model.pointer, params)
            if not self._pointer:
                raise EngineError(f"llama.cpp can't make a context of {machine}")
            self._memory = lib.llama_get_memory(self._pointer)
        if machine.adapter is not None:
            self.adapt(machine.adapter, machine.scale)
