"""wasmtime as tuning functions get it: one deterministic configuration, shared by every process."""

from functools import cache
from importlib import metadata
from typing import TYPE_CHECKING

from agents.tuning.abi import Limits
from agents.tuning.errors import NotInstalled

if TYPE_CHECKING:
    import wasmtime

WASMTIME = "50.0.1"
"""Pinned: fuel is wasmtime's own count, so nodes of two versions could disagree on who ran out of it."""

_OFF = (
    "wasm_threads",
    "wasm_relaxed_simd",
    "wasm_simd",
    "wasm_memory64",
    "wasm_multi_memory",
    "wasm_tail_call",
    "wasm_exceptions",
    "wasm_gc",
    "wasm_function_references",
    "wasm_wide_arithmetic",
    "wasm_custom_page_sizes",
    "wasm_stack_switching",
    "wasm_component_model",
)


def load() -> None:
    """Check that wasmtime is there, in the one version.

    Raises:
        NotInstalled: it is not.
    """
    try:
        found = metadata.version("wasmtime")
    except metadata.PackageNotFoundError:
        raise NotInstalled(
            f"tuning functions run in wasmtime, which is missing: pip install wasmtime=={WASMTIME}"
        ) from None
    if found != WASMTIME:
        raise NotInstalled(
            f"wasmtime is {found}, and fuel is counted alike only by {WASMTIME}: "
            f"pip install wasmtime=={WASMTIME}"
        )


@cache
def engine() -> "wasmtime.Engine":
    """The engine. Its epoch is advanced by `sandbox`, for every run of the process."""
    load()
    import wasmtime

    config = wasmtime.Config()
    config.consume_fuel = True
    config.epoch_interruption = True
    config.cranelift_nan_canonicalization = True
    config.parallel_compilation = False
    config.max_wasm_stack = Limits().stack
    for name in _OFF:
        setattr(config, name, False)
    return wasmtime.Engine(config)
