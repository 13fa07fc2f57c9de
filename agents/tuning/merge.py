"""Makes one adapter of many, the same bytes on every machine.

- `average`: shards of one function, begun from one A (federated averaging, McMahan et al. 2017, over LoRA's
  matrices). They are one and the same change, each seen through its share of the data; their mean, weighted
  by the work that was accepted of each, keeps the rank. It is not the mean of the changes, since a product of
  means is no mean of products: 1.7 % off after a shard's few steps from a common A, and 68 % off with
  different A, which is why that is refused.
- `concatenate`: different functions, and a parent version with what was tuned on top of it. Their changes
  add up, exactly: A one below the other, B side by side. The rank grows by it, and is bounded.

An epoch's merge is the two after each other (`epoch`). Everything is element-wise and in a fixed order,
without a matrix product, so no library's order of summing can change a bit.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from agents.tuning.adapter import MAX_RANK, Adapter, Half, Layer
from agents.tuning.errors import BadAdapter

SHARED = 0.5
"""Adapters whose A differ by more than this share of their norm were not begun from one A."""


def concatenate(adapters: Sequence[Adapter]) -> Adapter:
    """The exact sum of what adapters add.

    Raises:
        BadAdapter: none, ranks that exceed the bound together, or different strengths per rank.
    """
    if not adapters:
        raise BadAdapter("there is no adapter to merge")
    if len(adapters) == 1:
        return adapters[0]
    rank = sum(adapter.rank for adapter in adapters)
    if rank > MAX_RANK:
        raise BadAdapter(
            f"the adapters have rank {rank} together, a version may have {MAX_RANK}: merge fewer functions"
        )
    scale = adapters[0].scale
    if any(adapter.scale != scale for adapter in adapters):
        found = ", ".join(f"{adapter.scale:g}" for adapter in adapters)
        raise BadAdapter(f"the adapters have different alpha / rank ({found}): their sum would not be exact")
    layers = {}
    for name in sorted({name for adapter in adapters for name in adapter.layers}):
        like = next(adapter.layers[name] for adapter in adapters if name in adapter.layers)
        parts = [adapter.layers.get(name) or _nothing(like, adapter.rank) for adapter in adapters]
        layers[name] = Layer(
            np.ascontiguousarray(np.concatenate([part.a for part in parts], axis=0)),
            np.ascontiguousarray(np.concatenate([part.b for part in parts], axis=1)),
        )
    return Adapter(scale * rank, layers)


def average(adapters: Sequence[Adapter], work: Sequence[int]) -> Adapter:
    """The mean of A and of B, weighted by accepted work (tokens through the model).

    Raises:
        BadAdapter: none, no work, different shapes or strengths, or adapters not begun from one A.
    """
    if not adapters or len(adapters) != len(work):
        raise BadAdapter(f"{len(adapters)} adapters and {len(work)} amounts of work: one for each is needed")
    if min(work) < 0 or sum(work) == 0:
        raise BadAdapter("no work was accepted of any of the adapters: there is nothing to merge")
    first = adapters[0]
    for number, adapter in enumerate(adapters[1:], 1):
        if (adapter.rank, adapter.alpha, set(adapter.layers)) != (first.rank, first.alpha, set(first.layers)):
            raise BadAdapter(f"adapter {number} has another rank, alpha or other layers than the first")
        far = _distance(first, adapter)
        if far > SHARED:
            raise BadAdapter(
                f"adapter {number} was not begun from the first one's A: they are {far:.0%} apart"
            )
    total = float(sum(work))
    shares = [float(amount) / total for amount in work]
    layers = {}
    for name in sorted(first.layers):
        parts = [adapter.layers[name] for adapter in adapters]
        if len({(part.a.shape, part.b.shape) for part in parts}) > 1:
            raise BadAdapter(f"{name}: the adapters are for different models")
        layers[name] = Layer(
            _mean([part.a for part in parts], shares), _mean([part.b for part in parts], shares)
        )
    return Adapter(first.alpha, layers)


def epoch(functions: Mapping[str, Sequence[tuple[Adapter, int]]], parent: Adapter | None) -> Adapter:
    """The next version's adapter: a function's shards averaged, the functions and the parent added up.

    `functions`: by a name that fixes their order (their proposal's number or CID), the accepted adapters of
    each in the order of shards, with their work.

    Raises:
        BadAdapter: as `average` and `concatenate`.
    """
    parts = [] if parent is None else [parent]
    for name in sorted(functions):
        shards = functions[name]
        parts.append(average([adapter for adapter, _ in shards], [amount for _, amount in shards]))
    return concatenate(parts)


def _nothing(like: Layer, rank: int) -> Layer:
    a = np.zeros((rank, like.a.shape[1]), dtype=np.float16)
    return Layer(a, np.zeros((like.b.shape[0], rank), dtype=np.float16))


def _mean(parts: Sequence[Half], shares: Sequence[float]) -> Half:
    total: NDArray[np.float64] = np.zeros(parts[0].shape, dtype=np.float64)
    for part, share in zip(parts, shares, strict=True):
        total += part.astype(np.float64) * share
    return np.asarray(total, dtype=np.float16)


def _distance(one: Adapter, other: Adapter) -> float:
    """‖A − A'‖ ÷ ‖A‖ over all layers both have in one shape."""
    apart = size = 0.0
    for name, layer in one.layers.items():
        if layer.a.shape != other.layers[name].a.shape:
            raise BadAdapter(f"{name}: the adapters are for different models")
        a, b = layer.a.astype(np.float64), other.layers[name].a.astype(np.float64)
        apart += float(np.sum((a - b) ** 2))
        size += float(np.sum(a**2))
    return float(np.sqrt(apart / size)) if size else (0.0 if apart == 0 else float("inf"))
