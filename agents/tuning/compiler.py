"""Compiles a module in a process of its own: a hostile one can keep a compiler busy for very long.

`python -m agents.tuning.compiler` reads WebAssembly and writes wasmtime's own form; errors go to stderr.
"""

import resource
import subprocess
import sys

from agents.tuning.errors import BadFunction

SECONDS = 20
MEMORY = 2 << 30
_NEVER_MUCH = 32 << 20


def compile_apart(wasm: bytes) -> bytes:
    """wasmtime's compiled form of a module that was checked.

    Raises:
        BadFunction: wasmtime refuses it, or needs more than `SECONDS` of processor time or `MEMORY` bytes.
    """
    command = [sys.executable, "-m", "agents.tuning.compiler"]
    try:
        done = subprocess.run(command, input=wasm, capture_output=True, timeout=6 * SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise BadFunction(f"the module takes more than {SECONDS} s to compile: make it simpler") from None
    if done.returncode == 0 and 0 < len(done.stdout) <= _NEVER_MUCH:
        return done.stdout
    if done.returncode == 1:
        raise BadFunction(
            f"wasmtime refuses the module: {done.stderr.decode(errors='replace')[-300:].strip()}"
        )
    raise BadFunction(
        f"the module takes more than {SECONDS} s or {MEMORY >> 20} MiB to compile: make it simpler"
    )


def main() -> int:
    """The process's own half."""
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    import wasmtime

    from agents.tuning.runtime import engine

    try:
        compiled = wasmtime.Module(engine(), sys.stdin.buffer.read()).serialize()
    except wasmtime.WasmtimeError as error:
        sys.stderr.write(str(error))
        return 1
    sys.stdout.buffer.write(compiled)
    return 0


if __name__ == "__main__":
    sys.exit(main())
