"""LoRA (Hu et al. 2021, arXiv:2106.09685) on every linear layer, by PEFT, begun alike on every machine."""

import hashlib
import math
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.random import Philox

from agents.tuning import extra, layout
from agents.tuning.adapter import Adapter, Layer
from agents.tuning.state import Array
from agents.tuning.weights import Weights


def adapter_of(values: Mapping[str, Array], alpha: float) -> Adapter:
    """The adapter in a state's values, rounded to float16 as it is served.

    Raises:
        BadAdapter: the numbers are beyond float16.
    """
    with np.errstate(over="ignore"):
        halves = {name: value.astype(np.float16) for name, value in values.items()}
    bases = sorted({name.rpartition(".")[0] for name in halves})
    layers = {base: Layer(halves[f"{base}.lora_a"], halves[f"{base}.lora_b"]) for base in bases}
    return Adapter(float(alpha), layers)


def first_a(seed: int, name: str, rank: int, width: int) -> Array:
    """A of an adapter that has learned nothing: uniform within ±1/√width, as in PEFT (Kaiming, a = √5)."""
    key = hashlib.blake2b(seed.to_bytes(8, "big") + name.encode(), digest_size=16).digest()
    bits = Philox(key=np.frombuffer(key, dtype="<u8")).random_raw(rank * width)
    unit = (bits >> np.uint64(40)).astype(np.float64) * 2.0**-24
    drawn: Array = ((2 * unit - 1) / math.sqrt(width)).astype(np.float32).reshape(rank, width)
    return drawn


def with_lora(
    weights: Weights, parent: Adapter | None, *, seed: int, rank: int, alpha: int, device: str
) -> tuple[Any, dict[str, Any]]:
    """The model with PEFT's LoRA on every linear layer, and its parameters by GGUF's names, sorted."""
    torch, peft = extra.load("torch"), extra.load("peft")
    targets = [path.rpartition(".")[2] for path in layout.LINEARS.values()]
    settings = peft.LoraConfig(
        r=rank, lora_alpha=alpha, lora_dropout=0.0, target_modules=targets, bias="none"
    )
    with _quiet():
        model = peft.get_peft_model(weights.model(parent), settings).to(device).eval()
    parameters = dict(model.named_parameters())
    found = {}
    for name in sorted(weights.shape.linears):
        path = (layout.torch_name(name) or "").removesuffix(".weight")
        for part in ("lora_a", "lora_b"):
            key = f"base_model.model.{path}.{part[:-1]}{part[-1].upper()}.default.weight"
            found[f"{name}.{part}"] = parameters[key]
        a = found[f"{name}.lora_a"]
        with torch.no_grad():
            a.copy_(torch.from_numpy(first_a(seed, name, *a.shape)))
            found[f"{name}.lora_b"].zero_()
    return model, found


@contextmanager
def _quiet() -> Iterator[None]:
    # PEFT reads what the transformers it asks for has just deprecated.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        yield
