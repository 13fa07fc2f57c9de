"""A GGUF file's weights in PyTorch, dequantized to float32.

transformers can read GGUF too, but takes twice as long for the same tensors: it builds a tokenizer as well.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from agents.engine import gguf as header
from agents.engine.errors import ModelFileError
from agents.tuning import extra, layout
from agents.tuning.adapter import Adapter
from agents.tuning.errors import UnsupportedModel


@dataclass(frozen=True, slots=True)
class Shape:
    """What adapters need to know of a model. `linears`: (out, in) of every weight a LoRA may change."""

    heads: int
    kv_heads: int
    vocabulary: int
    context: int
    linears: dict[str, tuple[int, int]]


class Weights:
    """An open GGUF file of architecture llama.

    Raises:
        ModelFileError: missing or damaged.
        UnsupportedModel: another architecture, or one with parts that are not known here.
        NotInstalled: no gguf package.
    """

    def __init__(self, path: Path) -> None:
        self._gguf = extra.load("gguf")
        header.check(path)
        try:
            self._reader = self._gguf.GGUFReader(path)
        except (ValueError, IndexError, KeyError, OverflowError) as error:
            raise ModelFileError(f"{path} is no sound GGUF file ({error}): fetch the weights again") from None
        self.path = path
        kind = self._field("general.architecture")
        if kind != layout.ARCHITECTURE:
            raise UnsupportedModel(
                f"{path} is of architecture {kind}: only {layout.ARCHITECTURE} can be tuned so far"
            )
        unknown = [t.name for t in self._reader.tensors if layout.torch_name(t.name) is None]
        if unknown:
            raise UnsupportedModel(f"{path} has parts that can't be tuned here: {', '.join(unknown)[:200]}")
        shapes = {
            t.name: (int(t.shape[1]), int(t.shape[0])) for t in self._reader.tensors if len(t.shape) == 2
        }
        blocks = self._number("block_count")
        self.blocks = blocks
        self.shape = Shape(
            heads=self._number("attention.head_count"),
            kv_heads=self._number("attention.head_count_kv"),
            vocabulary=shapes["token_embd.weight"][0],
            context=self._number("context_length"),
            linears={
                name: shapes[name]
                for block in range(blocks)
                for part in layout.LINEARS
                if (name := layout.linear_name(block, part)) in shapes
            },
        )

    def model(self, parent: Adapter | None = None, attention: str = "eager") -> Any:
        """A transformers LlamaForCausalLM in float32, frozen, with the parent's adapter added in."""
        torch, transformers = extra.load("torch"), extra.load("transformers")
        if parent is not None:
            parent.check_fits(self.shape.linears)
        names = {t.name for t in self._reader.tensors}
        width = self._number("embedding_length")
        config = transformers.LlamaConfig(
            vocab_size=self.shape.vocabulary,
            hidden_size=width,
            intermediate_size=self._number("feed_forward_length"),
            num_hidden_layers=self.blocks,
            num_attention_heads=self.shape.heads,
            num_key_value_heads=self.shape.kv_heads,
            head_dim=int(self._field("llama.attention.key_length") or width // self.shape.heads),
            max_position_embeddings=self.shape.context,
            rms_norm_eps=float(self._field("llama.attention.layer_norm_rms_epsilon")),
            rope_parameters={
                "rope_type": "default",
                "rope_theta": float(self._field("llama.rope.freq_base") or 10_000.0),
            },
            tie_word_embeddings="output.weight" not in names,
            attn_implementation=attention,
            use_cache=False,
        )
        if self._field("llama.rope.scaling.type") not in (None, "none"):
            raise UnsupportedModel(f"{self.path} scales its rotary positions, which can't be tuned here")
        with extra.load("transformers.initialization").no_init_weights():
            model = transformers.LlamaForCausalLM(config)
        state = {
            layout.torch_name(t.name): torch.from_numpy(self._tensor(t, parent)) for t in self._reader.tensors
        }
        missing, unexpected = model.load_state_dict(state, strict=False, assign=True)
        if unexpected or set(missing) - {"lm_head.weight"}:
            raise UnsupportedModel(f"{self.path} does not fit a llama model: {[*missing, *unexpected][:3]}")
        model.tie_weights()
        return model.requires_grad_(False).eval()

    def _tensor(self, tensor: Any, parent: Adapter | None) -> np.ndarray[Any, np.dtype[np.float32]]:
        found = self._gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
        if parent is not None and tensor.name in parent.layers:
            found = found + parent.delta(tensor.name)
        heads = layout.heads_of(tensor.name, self.shape.heads, self.shape.kv_heads)
        return np.array(layout.from_gguf(found, heads))  # a copy: the file's own pages are read-only

    def _field(self, key: str) -> Any:
        field = self._reader.get_field(key)
        return None if field is None else field.contents()

    def _number(self, key: str) -> int:
        found = self._field(f"{layout.ARCHITECTURE}.{key}")
        if not isinstance(found, int) or not 0 < found < 1 << 31:
            raise ModelFileError(f"{self.path} does not say its {key}: fetch the weights again")
        return found
