"""What a GGUF file says about itself, as far as a manifest needs it."""

import ctypes
from dataclasses import dataclass
from pathlib import Path

from agents.engine import EngineError
from agents.engine.native import Model, lib
from agents.engine.tokenizer import LlamaTokenizer
from agents.trainer.errors import BadModel

_MOST_TEXT = 256
_TYPES = {
    getattr(lib, name): name.removeprefix("LLAMA_FTYPE_").removeprefix("MOSTLY_").removeprefix("ALL_")
    for name in dir(lib)
    if name.startswith("LLAMA_FTYPE_") and name != "LLAMA_FTYPE_GUESSED"
}


@dataclass(frozen=True, slots=True)
class Facts:
    """`context_length` in tokens; `end_tokens` those that end an answer, ascending."""

    architecture: str
    quantization: str
    context_length: int
    end_tokens: tuple[int, ...]


def read(path: Path) -> Facts:
    """Read metadata and vocabulary, not the weights.

    Raises:
        BadModel: missing, damaged, or not a chat model that can be sold.
    """
    try:
        model = Model(path, vocab_only=True)
        tokenizer = LlamaTokenizer(model)
        tokenizer.tokenize_chat([{"role": "user", "content": "Hello"}])
    except EngineError as error:
        raise BadModel(f"{path} can't be published: {error}") from None
    architecture = _text(model, "general.architecture")
    context = _text(model, f"{architecture}.context_length")
    if not context.isdecimal() or int(context) == 0:
        raise BadModel(
            f"{path} does not say how long its context is ({architecture}.context_length): convert it again"
        )
    if not tokenizer.end_tokens:
        raise BadModel(f"{path} names no token that ends an answer: convert it again")
    kind = _text(model, "general.file_type")
    quantization = _TYPES.get(int(kind)) if kind.isdecimal() else None
    return Facts(architecture, quantization or "unknown", int(context), tuple(sorted(tokenizer.end_tokens)))


def _text(model: Model, key: str) -> str:
    """A metadata value as text; empty when there is none."""
    buffer = ctypes.create_string_buffer(_MOST_TEXT)
    length = lib.llama_model_meta_val_str(model.pointer, key.encode(), buffer, _MOST_TEXT)
    return buffer.value.decode(errors="replace") if length >= 0 else ""
