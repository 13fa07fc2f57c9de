"""Where the tensors of a GGUF file of architecture llama belong in PyTorch, and the order of their rows.

Converters to GGUF reorder the rows of q and k, so that rotary pairs lie side by side; LoRA's B matrices of q
and k have the same rows and need the same.
"""

import re

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

ARCHITECTURE = "llama"
LINEARS = {
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
"""GGUF's name of every linear layer of a block, and PyTorch's."""

_NORMS = {"attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm"}
_WHOLE = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
_BLOCK = re.compile(r"blk\.(\d+)\.(\w+)\.weight")


def torch_name(name: str) -> str | None:
    """PyTorch's name of a tensor, for example `model.layers.0.mlp.up_proj.weight`; None for one unknown."""
    if name in _WHOLE:
        return _WHOLE[name]
    match = _BLOCK.fullmatch(name)
    if match is None:
        return None
    part = LINEARS.get(match[2]) or _NORMS.get(match[2])
    return part and f"model.layers.{match[1]}.{part}.weight"


def linear_name(block: int, part: str) -> str:
    """GGUF's name of a linear layer's weight: `part` is a key of `LINEARS`."""
    return f"blk.{block}.{part}.weight"


def heads_of(name: str, heads: int, kv_heads: int) -> int:
    """By how many heads a tensor's rows are reordered; 0 for not at all."""
    return heads if ".attn_q." in name else kv_heads if ".attn_k." in name else 0


def to_gguf(rows: Array, heads: int) -> Array:
    """Reorder rows from PyTorch's order to GGUF's; as they are when `heads` is 0."""
    return _swap(rows, heads, 2, rows.shape[0] // heads // 2) if heads else rows


def from_gguf(rows: Array, heads: int) -> Array:
    """The other way."""
    return _swap(rows, heads, rows.shape[0] // heads // 2, 2) if heads else rows


def _swap(rows: Array, heads: int, first: int, second: int) -> Array:
    split = rows.reshape(heads, first, second, *rows.shape[1:])
    return np.ascontiguousarray(split.swapaxes(1, 2).reshape(rows.shape))
