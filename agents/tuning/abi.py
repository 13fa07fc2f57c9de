"""The ABI between a tuning function and its host, version 1 (docs/tuning-functions.md)."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

VERSION: Final = 1
NAMESPACE: Final = "capek"
PAGE: Final = 65_536

MEMORY: Final = "memory"
INITIALIZE: Final = "_initialize"
INIT, STEP, ABI = "init", "step", "abi"

MAX_MODULE: Final = 256 * 1024
"""Bytes of a module."""
MAX_PARAMS: Final = 64 * 1024
"""Bytes of parameters."""
MAX_RATE: Final = 1e-2
"""The highest learning rate a function may ask for: beyond it nothing but wreckage was ever seen."""
MAX_BETA: Final = 100.0
MAX_WEIGHT: Final = 1e3
"""Largest absolute weight of an answer in a policy gradient."""
MAX_BATCH: Final = 256
"""Items of one gradient step."""
MAX_STEPS: Final = 65_536
"""Steps that `init` may ask for."""
FUEL_UNIT, REPLY_UNIT = 1_000_000, 4_096
"""Fuel, and bytes of replies, metered like one token: no run may be endless and cost nothing."""
DONE: Final = 0
"""What a `step` that has done its work returns."""


class Op(IntEnum):
    """What a function may ask of its host; the numbers stand in traces."""

    PARAMS = 0
    TASK = 1
    PREFERENCE = 2
    SAMPLE = 3
    SCORE = 4
    GRADIENT = 5
    LOG = 6


class Policy(IntEnum):
    """Which model samples or scores."""

    PARENT = 0
    OWN = 1


class Loss(IntEnum):
    """What a gradient step descends."""

    SFT = 0
    DPO = 1
    POLICY = 2


I32, I64, F32, F64 = "i32", "i64", "f32", "f64"

IMPORTS: Final[dict[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "params": ((I32, I32), (I32,)),
    "task": ((I32,), ()),
    "preference": ((I32, I32, I32), (I32,)),
    "sample": ((I32, I32, I32, I32, I32, I32, I64, I32), (I32,)),
    "score": ((I32, I32, I32, I32, I32), (F64,)),
    "gradient": ((I32, I32, I32, F32, F32), (F64,)),
    "log": ((I32, I32), ()),
}
"""Name of an import -> its parameters and results."""

EXPORTS: Final[dict[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    ABI: ((), (I32,)),
    INIT: ((), (I32,)),
    STEP: ((I32,), (I32,)),
}
"""Functions that every module exports; `_initialize` is optional."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one call of `init` or `step` may use. All but `seconds` hold on every machine alike.

    fuel: WebAssembly instructions, as wasmtime counts them. memory: bytes of linear memory. table: elements.
    stack: bytes of wasmtime's stack. calls: host calls. work: tokens through the model (docs, section 5).
    replied: bytes that the host writes. logged: bytes of log lines. seconds: wall time of the function's own
    computing, the host's left out.
    """

    fuel: int = 4_000_000_000
    memory: int = 64 * 1024 * 1024
    table: int = 10_000
    stack: int = 512 * 1024
    calls: int = 4_096
    work: int = 131_072
    replied: int = 8 * 1024 * 1024
    logged: int = 16_384
    seconds: float = 60.0

    def to_json(self) -> dict[str, int]:
        """What two runs must share to be comparable: all but the wall time."""
        names = ("fuel", "memory", "table", "stack", "calls", "work", "replied", "logged")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True, slots=True)
class Task:
    """What a function learns of its task.

    shard of shards; seed: drawn by the chain for this task; preferences: how many the batch has; vocabulary,
    context: of the model, in tokens.
    """

    shard: int
    shards: int
    seed: int
    preferences: int
    vocabulary: int
    context: int

    def __post_init__(self) -> None:
        if not 0 <= self.shard < self.shards < 1 << 32:
            raise ValueError(f"shard {self.shard} of {self.shards}: shards count from 0")
        if not 0 <= self.seed < 1 << 64:
            raise ValueError("a task's seed is a uint64")
        for name in ("preferences", "vocabulary", "context"):
            if not 0 <= getattr(self, name) < 1 << 31:
                raise ValueError(f"a task's {name} must be below 2^31")
