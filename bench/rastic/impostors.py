"""Weights that are not those of the manifest, made from them: other quantizations, a cut model, a LoRA.

They lie in the cache folder and are made again when missing; the same input gives the same file.
"""

import ctypes
import os
import struct
from pathlib import Path

import numpy as np

from agents.engine.native import lib

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "capek"
WEIGHTS = CACHE / "models" / "SmolLM2-135M-Instruct.Q4_1.gguf"

FTYPES = {
    "q2_k": lib.LLAMA_FTYPE_MOSTLY_Q2_K,
    "q3_k_m": lib.LLAMA_FTYPE_MOSTLY_Q3_K_M,
    "q4_0": lib.LLAMA_FTYPE_MOSTLY_Q4_0,
    "q4_k_m": lib.LLAMA_FTYPE_MOSTLY_Q4_K_M,
    "q8_0": lib.LLAMA_FTYPE_MOSTLY_Q8_0,
    "f16": lib.LLAMA_FTYPE_MOSTLY_F16,
}
"""llama.cpp's own recipes. K-quants need rows of a multiple of 256; this model's have 576, so that llama.cpp
falls back to Q4_0 (Q2_K, Q3_K), Q5_0 or Q5_1 for most tensors."""

PRUNED_LAYERS = (12, 14, 16, 18)
"""Layers the cut model lacks: a cheaper model that still speaks."""

RANK = 4


class QuantizeError(Exception):
    """llama.cpp could not write the weights: free some disk space and run again."""


def quantized(name: str, source: Path = WEIGHTS, folder: Path = CACHE / "bench") -> Path:
    """The weights requantized by llama.cpp's quantizer; name is one of `FTYPES`, or `pruned`.

    Raises:
        QuantizeError: llama.cpp failed.
    """
    path = folder / f"{source.stem}.{name}.gguf"
    if path.exists():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(f".{os.getpid()}.tmp")
    params = lib.llama_model_quantize_default_params()
    params.nthread, params.allow_requantize = 1, True
    if name == "pruned":
        params.only_copy = True
        layers = (ctypes.c_int32 * (len(PRUNED_LAYERS) + 1))(*PRUNED_LAYERS, -1)
        params.prune_layers = ctypes.cast(layers, type(params.prune_layers))
        params.ftype = lib.LLAMA_FTYPE_MOSTLY_Q4_1
    else:
        params.ftype = FTYPES[name]
    if lib.llama_model_quantize(os.fsencode(source), os.fsencode(draft), ctypes.byref(params)) != 0:
        draft.unlink(missing_ok=True)
        raise QuantizeError(f"llama.cpp could not make {path}: is there disk space?")
    draft.replace(path)
    return path


def lora(
    folder: Path = CACHE / "bench", *, layers: int = 30, width: int = 576, strength: float = 0.02
) -> Path:
    """A LoRA of rank 4 on every layer's output projection, its values drawn at random.

    `strength` is the standard deviation of an entry of B·A relative to nothing but itself: .02 leaves the
    text whole and changes its words.
    """
    path = folder / f"lora-{strength:g}.gguf"
    if path.exists():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    draw = np.random.Generator(np.random.Philox(key=7))
    tensors = {}
    for layer in range(layers):
        name = f"blk.{layer}.attn_output.weight"
        spread = (strength / RANK**0.5) ** 0.5
        tensors[f"{name}.lora_a"] = draw.normal(0, spread, (RANK, width)).astype("<f4")
        tensors[f"{name}.lora_b"] = draw.normal(0, spread, (width, RANK)).astype("<f4")
    draft = path.with_suffix(f".{os.getpid()}.tmp")
    draft.write_bytes(_gguf(tensors))
    draft.replace(path)
    return path


def _gguf(tensors: dict[str, np.ndarray]) -> bytes:
    # https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
    def text(value: str) -> bytes:
        return struct.pack("<Q", len(value)) + value.encode()

    pairs = [
        text("general.type") + struct.pack("<I", 8) + text("adapter"),
        text("general.architecture") + struct.pack("<I", 8) + text("llama"),
        text("adapter.type") + struct.pack("<I", 8) + text("lora"),
        text("adapter.lora.alpha") + struct.pack("<If", 6, float(RANK)),
    ]
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(pairs)) + b"".join(pairs)
    offset, body = 0, b""
    for name, values in tensors.items():
        shape = values.shape[::-1]
        head += text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, 0, offset)
        data = values.tobytes()
        data += bytes(-len(data) % 32)
        body, offset = body + data, offset + len(data)
    return head + bytes(-len(head) % 32) + body
