"""A tuning function's module: checked before any of it runs, then compiled apart."""

import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from agents.tuning import abi
from agents.tuning.compiler import compile_apart
from agents.tuning.errors import BadFunction
from agents.tuning.runtime import engine, load

if TYPE_CHECKING:
    import wasmtime

_HEAD = b"\0asm\1\0\0\0"
_START, _TABLE = 8, 4
_MOST_TABLES = 4


class Module:
    """A module that keeps to the ABI, compiled. `sha256` names its bytes.

    Raises:
        BadFunction: it is too large, damaged, imports or exports the wrong things, or has a start function.
        NotInstalled: no wasmtime.
    """

    def __init__(self, wasm: bytes) -> None:
        load()
        import wasmtime

        _check_sections(wasm)
        self.sha256 = hashlib.sha256(wasm).digest()
        self.size = len(wasm)
        self.compiled = wasmtime.Module.deserialize(engine(), compile_apart(wasm))
        self.imports = tuple(_check_import(found) for found in self.compiled.imports)
        exports = {found.name: found.type for found in self.compiled.exports}
        for name, signature in abi.EXPORTS.items():
            _check_export(name, signature, exports.get(name))
        if abi.INITIALIZE in exports:
            _check_export(abi.INITIALIZE, ((), ()), exports[abi.INITIALIZE])
        self.initializes = abi.INITIALIZE in exports
        memory = exports.get(abi.MEMORY)
        if not isinstance(memory, wasmtime.MemoryType):
            raise BadFunction(f"the module exports no memory named `{abi.MEMORY}`")
        if memory.limits.min * abi.PAGE > abi.Limits().memory:
            raise BadFunction(
                f"the module begins with {memory.limits.min} pages of memory, "
                f"{abi.Limits().memory // abi.PAGE} are allowed"
            )


def _check_sections(wasm: bytes) -> None:
    if len(wasm) > abi.MAX_MODULE:
        raise BadFunction(
            f"the module has {len(wasm)} bytes, {abi.MAX_MODULE} are allowed: build it optimized"
        )
    if wasm[:8] != _HEAD:
        raise BadFunction("these bytes are no WebAssembly module (version 1)")
    for kind, body in _sections(wasm):
        if kind == _START:
            raise BadFunction(
                "the module has a start function: build it with `asc --exportStart _initialize`, so that "
                "what runs first runs under limits"
            )
        if kind == _TABLE and body and body[0] > _MOST_TABLES:
            raise BadFunction(f"the module has more than {_MOST_TABLES} tables")


def _sections(wasm: bytes) -> Iterator[tuple[int, bytes]]:
    at = len(_HEAD)
    while at < len(wasm):
        kind, at = wasm[at], at + 1
        size, shift = 0, 0
        while True:
            if at >= len(wasm) or shift > 28:
                raise BadFunction("the module is damaged: a section has no sound length")
            byte, at = wasm[at], at + 1
            size |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        if at + size > len(wasm):
            raise BadFunction("the module is damaged: it ends within a section")
        yield kind, wasm[at : at + size]
        at += size


def _check_import(found: "wasmtime.ImportType") -> str:
    import wasmtime

    name = found.name or ""
    if found.module != abi.NAMESPACE or name not in abi.IMPORTS:
        hint = ": build it without WASI" if found.module.startswith("wasi") else ""
        hint = hint or (": build it with `--use abort=`" if name == "abort" else "")
        raise BadFunction(
            f"the module imports {found.module[:40]}.{name[:40]}, which this host does not lend (it lends "
            f"{', '.join(f'{abi.NAMESPACE}.{known}' for known in abi.IMPORTS)}){hint}"
        )
    if not isinstance(found.type, wasmtime.FuncType) or _signature(found.type) != abi.IMPORTS[name]:
        raise BadFunction(f"the module imports {abi.NAMESPACE}.{name} with a signature that is not the ABI's")
    return name


def _check_export(name: str, signature: tuple[tuple[str, ...], tuple[str, ...]], found: object) -> None:
    import wasmtime

    if not isinstance(found, wasmtime.FuncType):
        raise BadFunction(f"the module exports no function `{name}`")
    if _signature(found) != signature:
        parameters, results = signature
        raise BadFunction(
            f"the module's `{name}` must take ({', '.join(parameters)}) and return ({', '.join(results)})"
        )


def _signature(kind: "wasmtime.FuncType") -> tuple[tuple[str, ...], tuple[str, ...]]:
    return tuple(str(p) for p in kind.params), tuple(str(r) for r in kind.results)
