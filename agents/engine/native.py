"""llama.cpp through llama-cpp-python's low-level binding: a model, a context, one batch at a time.

Exactness (docs/protocol.md section 5) rests on what is set here: reading a text and writing it must give
the same bits.
"""

import collections
import ctypes
import logging
import os
import sys
import weakref
from pathlib import Path
from typing import Any, Final

# Tiled matrix products sum in another order for large batches. libggml reads this once, at its first product.
os.environ["GGML_CPU_TILED_MM"] = "0"

import llama_cpp.llama_cpp as lib
import numpy as np
from numpy.typing import ArrayLike, NDArray

from agents.engine import gguf
from agents.engine.errors import EngineError, ModelFileError

__all__ = ["CANONICAL", "NATIVE", "Context", "Model", "is_canonical_build", "lib"]

CANONICAL: Final = "canonical/1"
NATIVE: Final = "native/1"
"""llama.cpp's own choices (f16 cache): not reproducible, for the tolerant tier."""

_INEXACT_FEATURES = ("LLAMAFILE = 1", "REPACK = 1", "BLAS = 1")
_FLASH_AUTO, _FLASH_ON = -1, 1
_WARN, _ERROR, _CONTINUED = 2, 3, 5

logger = logging.getLogger("capek.llama")
_recent: collections.deque[str] = collections.deque(maxlen=20)
_loading: list[Path] = []


@lib.llama_log_callback  # type: ignore[untyped-decorator]
def _on_log(level: int, text: bytes, _user_data: object) -> None:
    # llama.cpp is chatty. Warnings and errors are kept, to be told when a call fails.
    if level in (_WARN, _ERROR, _CONTINUED):
        line = text.decode(errors="replace").strip()
        if len(line) > 1:
            _recent.append(line)
            logger.debug(line)


@ctypes.CFUNCTYPE(None, ctypes.c_char_p)  # type: ignore[untyped-decorator]
def _on_abort(text: bytes) -> None:
    # The process is lost: llama.cpp calls abort() next. Say what is known instead of a bare core dump.
    where = f" while loading {_loading[-1]}: fetch the weights again" if _loading else ""
    print(f"llama.cpp gave up{where} ({text.decode(errors='replace')})", file=sys.stderr, flush=True)


def _hook() -> None:
    lib.llama_log_set(_on_log, ctypes.c_void_p(0))
    lib._lib.ggml_set_abort_callback(_on_abort)  # of libggml-base, which libllama brings
    lib.llama_backend_init()


_hook()


def is_canonical_build() -> bool:
    """Whether this llama.cpp was built without the kernels that trade exactness for speed."""
    features = lib.llama_print_system_info().decode()
    return not any(feature in features for feature in _INEXACT_FEATURES)


def _said() -> str:
    return "; ".join(_recent) or "llama.cpp gave no reason"


class Model:
    """Weights, or with `vocab_only` the vocabulary alone. Freed when nobody refers to it any more.

    Raises:
        ModelFileError: the file is missing, damaged or unknown to llama.cpp.
    """

    def __init__(
        self, path: Path, *, vocab_only: bool = False, gpu_layers: int = 0, exact: bool = True
    ) -> None:
        gguf.check(path)
        params = lib.llama_model_default_params()
        params.vocab_only = vocab_only
        params.n_gpu_layers = gpu_layers
        params.use_extra_bufts = not exact  # no repacked weights
        _recent.clear()
        _loading.append(path)
        try:
            self.pointer: Any = lib.llama_model_load_from_file(os.fsencode(path), params)
        finally:
            _loading.pop()
        if not self.pointer:
            raise ModelFileError(f"llama.cpp can't load {path} ({_said()}): fetch the weights again")
        weakref.finalize(self, lib.llama_model_free, self.pointer)
        self.vocab: Any = lib.llama_model_get_vocab(self.pointer)
        self.vocab_size: int = lib.llama_vocab_n_tokens(self.vocab)
        self.context_length: int = lib.llama_model_n_ctx_train(self.pointer)


class Context:
    """Caches for `sequences` sequences of `length` tokens each. Not thread-safe: one thread owns it.

    Every sequence has cells of its own, in order of position, since attention sums in the order of cells. In
    one cache for all (`kv_unified`) a sequence that fills its finished neighbours' gaps is summed in another
    order, and about 2 % of positions differ.

    Raises:
        EngineError: llama.cpp can't make it, most often for lack of memory.
    """

    def __init__(
        self, model: Model, *, sequences: int, length: int, batch: int, threads: int, profile: str, gpu: bool
    ) -> None:
        params = lib.llama_context_default_params()
        params.n_ctx = length * sequences
        params.n_seq_max = sequences
        params.n_batch = params.n_ubatch = batch
        params.n_threads = params.n_threads_batch = threads
        params.kv_unified = False
        params.swa_full = True  # a sliding window's smaller cache reuses cells out of order
        params.offload_kqv = params.op_offload = gpu
        params.no_perf = True
        if profile == CANONICAL:
            params.flash_attn_type = _FLASH_ON
            params.type_k = params.type_v = lib.GGML_TYPE_Q8_0
        else:
            params.flash_attn_type = _FLASH_AUTO
        _recent.clear()
        self._model = model  # keeps it alive
        self._pointer: Any = lib.llama_init_from_model(model.pointer, params)
        if not self._pointer:
            raise EngineError(
                f"llama.cpp can't make {sequences} sequences of {length} tokens ({_said()}): "
                "ask for fewer or shorter ones"
            )
        self._memory: Any = lib.llama_get_memory(self._pointer)
        self._size = batch
        self._tokens = np.zeros(batch, dtype=np.int32)
        self._positions = np.zeros(batch, dtype=np.int32)
        self._sequences = np.zeros(batch, dtype=np.int32)
        self._wanted = np.zeros(batch, dtype=np.int8)
        self._ones = np.ones(batch, dtype=np.int32)
        int_p = ctypes.POINTER(ctypes.c_int32)
        first = self._sequences.ctypes.data
        self._sequence_pointers = (int_p * batch)(*(ctypes.cast(first + 4 * i, int_p) for i in range(batch)))
        self._batch = lib.llama_batch(
            n_tokens=0,
            token=self._tokens.ctypes.data_as(int_p),
            embd=None,
            pos=self._positions.ctypes.data_as(int_p),
            n_seq_id=self._ones.ctypes.data_as(int_p),
            seq_id=self._sequence_pointers,
            logits=self._wanted.ctypes.data_as(ctypes.POINTER(ctypes.c_int8)),
        )

    def decode(
        self, tokens: ArrayLike, positions: ArrayLike, sequences: ArrayLike, wanted: ArrayLike
    ) -> NDArray[np.float32]:
        """Run at most `batch` tokens; the logits after those that are wanted, float32 of shape (rows, V).

        The array is llama.cpp's own memory: it holds until the next call.

        Raises:
            EngineError: llama.cpp failed; the context is not to be used again.
        """
        count = np.size(tokens)
        self._tokens[:count] = tokens
        self._positions[:count] = positions
        self._sequences[:count] = sequences
        self._wanted[:count] = wanted
        self._batch.n_tokens = count
        _recent.clear()
        status = lib.llama_decode(self._pointer, self._batch)
        if status != 0:
            raise EngineError(f"llama.cpp failed to decode {count} tokens (status {status}; {_said()})")
        rows = int(np.count_nonzero(self._wanted[:count]))
        if rows == 0:
            return np.empty((0, self._model.vocab_size), dtype=np.float32)
        return np.ctypeslib.as_array(lib.llama_get_logits(self._pointer), (rows, self._model.vocab_size))

    def adapt(self, path: Path, scale: float = 1.0) -> None:
        """Run everything from now on through a LoRA in GGUF; forget what was read before.

        Raises:
            ModelFileError: the file is missing, damaged or no adapter for this model.
        """
        gguf.check(path)
        _recent.clear()
        _loading.append(path)
        try:
            adapter = lib.llama_adapter_lora_init(
                self._model.pointer, os.fsencode(path)
            )  # freed with the model
        finally:
            _loading.pop()
        if not adapter:
            raise ModelFileError(f"{path} is no adapter for this model ({_said()}): fetch the right one")
        adapters, scales = (type(adapter) * 1)(adapter), (ctypes.c_float * 1)(scale)
        if lib.llama_set_adapters_lora(self._pointer, adapters, 1, scales) != 0:
            raise ModelFileError(f"llama.cpp does not take the adapter {path} ({_said()})")

    def forget(self, sequence: int) -> None:
        """Free a sequence's cells."""
        lib.llama_memory_seq_rm(self._memory, sequence, -1, -1)

    def move(self, source: int, target: int) -> None:
        """Give a sequence another number, with its cells in their order; `target` must be free."""
        lib.llama_memory_seq_cp(self._memory, source, target, -1, -1)
        self.forget(source)

    def close(self) -> None:
        """Free the caches."""
        lib.llama_free(self._pointer)
        self._pointer = None
