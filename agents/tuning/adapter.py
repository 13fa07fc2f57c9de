"""A LoRA adapter (Hu et al. 2021, arXiv:2106.09685) as values, and as the GGUF file that llama.cpp serves.

What it adds to a layer's weight is alpha / rank · B·A.
"""

import io
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.engine import gguf as header
from agents.engine.errors import ModelFileError
from agents.tuning import extra, layout
from agents.tuning.errors import BadAdapter

MAX_RANK = 64
"""Of a served version: what an adapter adds to every token's cost is bounded by it."""
MAX_BYTES = 1 << 30

Half = NDArray[np.float16]


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """A of shape (rank, in) and B of shape (out, rank), float16, rows in GGUF's order."""

    a: Half
    b: Half


@dataclass(frozen=True, slots=True, eq=False)
class Adapter:
    """Layers by the GGUF name of the weight they change; the same rank everywhere.

    Raises:
        BadAdapter: shapes that don't fit each other, a rank of 0 or above `MAX_RANK`, numbers not finite.
    """

    alpha: float
    layers: Mapping[str, Layer]

    def __post_init__(self) -> None:
        if not self.layers:
            raise BadAdapter("the adapter changes no layer")
        if not (np.isfinite(self.alpha) and self.alpha > 0):
            raise BadAdapter(f"the adapter's alpha is {self.alpha}: it must be finite and above 0")
        for name, layer in self.layers.items():
            if layer.a.ndim != 2 or layer.b.ndim != 2 or layer.a.shape[0] != layer.b.shape[1]:
                raise BadAdapter(f"{name}: A of shape {layer.a.shape} and B of {layer.b.shape} don't fit")
            if layer.a.shape[0] != self.rank or not 0 < self.rank <= MAX_RANK:
                raise BadAdapter(
                    f"{name}: rank {layer.a.shape[0]}, where the first layer has {self.rank}; "
                    f"1 to {MAX_RANK} is allowed, the same everywhere"
                )
            if not (np.isfinite(layer.a).all() and np.isfinite(layer.b).all()):
                raise BadAdapter(f"{name}: the adapter holds numbers that are not finite")

    @property
    def rank(self) -> int:
        """Rows of every A."""
        return int(next(iter(self.layers.values())).a.shape[0])

    @property
    def scale(self) -> float:
        """alpha / rank."""
        return self.alpha / self.rank

    def delta(self, name: str) -> NDArray[np.float32]:
        """What it adds to one weight, float32 of shape (out, in)."""
        layer = self.layers[name]
        product = layer.b.astype(np.float32) @ layer.a.astype(np.float32)
        return (np.float32(self.scale) * product).astype(np.float32)

    def check_fits(self, shapes: Mapping[str, tuple[int, int]]) -> None:
        """Check it against the (out, in) shapes of the weights it may change.

        Raises:
            BadAdapter: it changes something else, or something of another shape.
        """
        for name, layer in self.layers.items():
            if name not in shapes:
                raise BadAdapter(f"the adapter changes {name[:80]}, which the model does not have")
            found = (layer.b.shape[0], layer.a.shape[1])
            if found != shapes[name]:
                raise BadAdapter(f"{name}: the adapter is for shape {found}, the model has {shapes[name]}")

    def to_bytes(self) -> bytes:
        """The GGUF file: the same adapter always has the same bytes, and so the same CID."""
        gguf = extra.load("gguf")
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "adapter.gguf"
            writer = gguf.GGUFWriter(path, layout.ARCHITECTURE)
            writer.add_type("adapter")
            writer.add_string("adapter.type", "lora")
            writer.add_float32("adapter.lora.alpha", self.alpha)
            for name in sorted(self.layers):
                writer.add_tensor(f"{name}.lora_a", np.ascontiguousarray(self.layers[name].a))
                writer.add_tensor(f"{name}.lora_b", np.ascontiguousarray(self.layers[name].b))
            writer.write_header_to_file()
            writer.write_kv_data_to_file()
            writer.write_tensors_to_file()
            writer.close()
            return path.read_bytes()

    def write(self, path: Path) -> None:
        """Write the GGUF file; it appears whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(path.name + ".part")
        part.write_bytes(self.to_bytes())
        os.replace(part, path)

    @classmethod
    def read(cls, path: Path) -> "Adapter":
        """Read a GGUF LoRA file, from a stranger.

        Raises:
            BadAdapter: it is none, or one that can't be served.
        """
        gguf = extra.load("gguf")
        try:
            header.check(path)
            if path.stat().st_size > MAX_BYTES:
                raise BadAdapter(f"{path} has more than {MAX_BYTES} bytes")
            reader = gguf.GGUFReader(path)
            fields = {key: _content(reader, key) for key in _KEYS}
            tensors = {t.name: np.array(t.data) for t in reader.tensors if t.tensor_type in _kinds(gguf)}
            count = len(reader.tensors)
        except ModelFileError as error:
            raise BadAdapter(str(error)) from None
        except (ValueError, IndexError, KeyError, OverflowError, TypeError) as error:
            raise BadAdapter(f"{path} is no sound GGUF adapter: {str(error)[:100]}") from None
        if (fields["general.type"], fields["adapter.type"]) != ("adapter", "lora"):
            raise BadAdapter(f"{path} is no LoRA adapter")
        if fields["general.architecture"] != layout.ARCHITECTURE:
            raise BadAdapter(
                f"{path} is for models of architecture {str(fields['general.architecture'])[:40]}"
            )
        if len(tensors) != count:
            raise BadAdapter(f"{path} holds tensors that are neither F16 nor F32")
        return cls(float(fields["adapter.lora.alpha"] or 0), _pairs(tensors))


_KEYS = ("general.type", "adapter.type", "general.architecture", "adapter.lora.alpha")


def _kinds(gguf: Any) -> tuple[Any, ...]:
    return (gguf.GGMLQuantizationType.F16, gguf.GGMLQuantizationType.F32)


def _content(reader: Any, key: str) -> Any:
    field = reader.get_field(key)
    return None if field is None else field.contents()


def _pairs(tensors: Mapping[str, NDArray[Any]]) -> dict[str, Layer]:
    layers = {}
    for name in sorted(tensors):
        base, _, kind = name.rpartition(".")
        if kind not in ("lora_a", "lora_b"):
            raise BadAdapter(f"{name[:80]} is no tensor of a LoRA adapter")
        other = f"{base}.lora_{'b' if kind == 'lora_a' else 'a'}"
        if other not in tensors:
            raise BadAdapter(f"{name[:80]} lacks its {other[-6:]}")
        if kind == "lora_a":
            layers[base] = Layer(tensors[name].astype(np.float16), tensors[other].astype(np.float16))
    return layers


def load(data: bytes) -> Adapter:
    """`Adapter.read` for bytes.

    Raises:
        BadAdapter: as `Adapter.read`.
    """
    with tempfile.NamedTemporaryFile(suffix=".gguf") as file:
        file.write(io.BytesIO(data).getbuffer())
        file.flush()
        return Adapter.read(Path(file.name))
