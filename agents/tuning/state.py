"""A checkpoint's bytes: adapter, both of Adam's moments, step count and seed, as safetensors.

No pickle: checkpoints come from strangers. One order of tensors, so one state has one CID.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agents.tuning import extra
from agents.tuning.errors import BadAdapter

Array = NDArray[np.float32]
PARTS = ("a", "b")
_MOMENTS = ("", ".m", ".v")


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """All float32, rows in GGUF's order. Keys are `<GGUF weight>.lora_a` and `….lora_b`.

    steps: optimizer steps taken. seed: that of the first A.
    """

    steps: int
    seed: int
    values: Mapping[str, Array]
    first: Mapping[str, Array]
    second: Mapping[str, Array]

    def to_bytes(self) -> bytes:
        """The one byte form."""
        save = extra.load("safetensors.numpy").save
        tensors = {"counters": np.array([self.steps, self.seed], dtype=np.uint64)}
        for suffix, group in zip(_MOMENTS, (self.values, self.first, self.second), strict=True):
            tensors |= {name + suffix: np.ascontiguousarray(value) for name, value in group.items()}
        data: bytes = save(tensors)
        return data

    @classmethod
    def load(cls, data: bytes, like: Mapping[str, tuple[int, ...]]) -> "State":
        """Read a stranger's state of an adapter with these tensor shapes.

        Raises:
            BadAdapter: no such state, other shapes, numbers not finite, a second moment below 0.
        """
        load = extra.load("safetensors.numpy").load
        try:
            tensors: dict[str, NDArray[np.generic]] = load(data)
        except Exception as error:  # the library's own type is not exported everywhere
            raise BadAdapter(f"a checkpoint's state is no safetensors file: {str(error)[:100]}") from None
        wanted = {name + suffix for name in like for suffix in _MOMENTS}
        if set(tensors) != wanted | {"counters"}:
            odd = sorted(set(tensors) ^ (wanted | {"counters"}))[0]
            raise BadAdapter(f"a checkpoint's state is of another model: {odd[:80]} is missing or too much")
        counters = tensors["counters"]
        if counters.dtype != np.uint64 or counters.shape != (2,):
            raise BadAdapter("a checkpoint's counters are not two uint64")
        groups = []
        for suffix in _MOMENTS:
            group = {}
            for name, shape in like.items():
                value = tensors[name + suffix]
                if value.dtype != np.float32 or value.shape != shape:
                    raise BadAdapter(f"a checkpoint's {name}{suffix} is not float32 of shape {shape}")
                if not np.isfinite(value).all() or (suffix == ".v" and value.min(initial=0) < 0):
                    raise BadAdapter(f"a checkpoint's {name}{suffix} holds numbers that no training gives")
                group[name] = value.astype(np.float32)
            groups.append(group)
        return cls(int(counters[0]), int(counters[1]), *groups)


def norm(group: Mapping[str, Array]) -> float:
    """Euclidean norm over all tensors."""
    return float(np.sqrt(sum(float(np.sum(v.astype(np.float64) ** 2)) for v in group.values())))


def difference(a: Mapping[str, Array], b: Mapping[str, Array]) -> dict[str, Array]:
    """a − b, tensor by tensor; both have the same keys."""
    return {name: a[name] - b[name] for name in a}
