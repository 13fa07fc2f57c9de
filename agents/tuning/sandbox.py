"""Runs a tuning function, one call of one export at a time, each in a fresh instance.

An instance gets the linear memory that the call before left, and nothing else of it: globals and tables begin
anew. So all that a function remembers lies in bytes that can be hashed, kept and given to somebody else.
"""

import ctypes
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agents.tuning import abi, calls
from agents.tuning.abi import Limits, Op
from agents.tuning.calls import Call, Reply
from agents.tuning.errors import (
    BadCall,
    BadFunction,
    BadPointer,
    FunctionFailed,
    FunctionStopped,
    OutOfFuel,
    OutOfTime,
    StackExhausted,
    TooManyCalls,
)
from agents.tuning.module import Module
from agents.tuning.runtime import engine
from agents.tuning.ticker import TICK, ticking

if TYPE_CHECKING:
    import wasmtime

Dispatch = Callable[[Call], Reply]
"""Answers a host call. What it raises ends the run, and is raised by it."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a call of an export left: its status, the linear memory, and the fuel it used."""

    status: int
    memory: bytes
    fuel: int


class Sandbox:
    """One module under limits. Not for several threads at once."""

    def __init__(self, module: Module, limits: Limits | None = None) -> None:
        self.module = module
        self.limits = limits or Limits()

    def check(self) -> None:
        """Instantiate it and ask for its ABI version.

        Raises:
            BadFunction: another version, or it can't even be started.
        """
        try:
            found = self.run(abi.ABI, (), None, _no_calls).status
        except (FunctionStopped, OutOfTime) as error:
            raise BadFunction(f"the module can't be started: {error}") from None
        if found != abi.VERSION:
            raise BadFunction(f"the module was built for ABI {found}, this host has {abi.VERSION}")

    def run(
        self, export: str, arguments: tuple[int, ...], memory: bytes | None, dispatch: Dispatch
    ) -> Outcome:
        """Call an export on a linear memory, or on the module's own when it is None.

        Raises:
            FunctionStopped: the function broke a rule or a limit; the subclass says which.
            OutOfTime: it took longer than its wall time.
            and what `dispatch` raises.
        """
        with ticking():
            return _Run(self.module, self.limits, dispatch).call(export, arguments, memory)


class _Run:
    def __init__(self, module: Module, limits: Limits, dispatch: Dispatch) -> None:
        import wasmtime

        self.module, self.limits, self.dispatch = module, limits, dispatch
        self.failure: BaseException | None = None
        self.calls = self.work = self.replied = self.logged = 0
        self.seconds = limits.seconds
        self.entered = 0.0
        self.store = wasmtime.Store(engine())
        self.store.set_limits(
            memory_size=limits.memory, table_elements=limits.table, instances=1, tables=4, memories=1
        )
        self.store.set_fuel(limits.fuel)
        self.memory: Any = None
        self.open = False  # host calls are answered only while an export runs

    def call(self, export: str, arguments: tuple[int, ...], memory: bytes | None) -> Outcome:
        import wasmtime

        lent = [self._lend(name) for name in self.module.imports]
        self._enter()
        with self._explained():
            instance = wasmtime.Instance(self.store, self.module.compiled, lent)
            exports: Any = instance.exports(self.store)
            self.memory = exports[abi.MEMORY]
            if self.module.initializes:
                exports[abi.INITIALIZE](self.store)
        if memory is not None:
            self._restore(memory)
        self.open = True
        with self._explained():
            status = exports[export](self.store, *arguments)
        used = self.limits.fuel - self.store.get_fuel()
        return Outcome(int(status), self._read(0, self._size()), used)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn wasmtime's errors into ours.

        wasmtime-py keeps a host function's exception in one place for all threads, so ours is kept here.
        """
        import wasmtime

        try:
            yield
        except wasmtime.Trap as trap:
            raise self.failure or self._of(trap.trap_code) from None
        except wasmtime.WasmtimeError as error:
            why = f"the function could not be run: {str(error)[:200]}"
            raise self.failure or FunctionFailed(why) from None
        except Exception as error:
            raise self.failure or error from None
        finally:
            self.failure = None

    def _of(self, code: Any) -> Exception:
        import wasmtime

        known = wasmtime.TrapCode
        if code == known.OUT_OF_FUEL:
            return OutOfFuel(f"the function used up its {self.limits.fuel} units of fuel in one step")
        if code == known.INTERRUPT:
            return OutOfTime(f"the function computed for more than {self.limits.seconds:g} s in one step")
        if code == known.STACK_OVERFLOW:
            return StackExhausted(f"the function recursed beyond its {self.limits.stack} bytes of stack")
        if code == known.MEMORY_OUT_OF_BOUNDS:
            return BadPointer("the function touched memory that it does not have")
        name = code.name.lower().replace("_", " ") if code is not None else "a trap without a code"
        return FunctionFailed(f"the function trapped: {name}")

    def _enter(self) -> None:
        """The function computes from here on; one tick is given on top, since the first is cut short."""
        self.entered = time.monotonic()
        self.store.set_epoch_deadline(max(0, round(self.seconds / TICK)) + 1)

    def _leave(self) -> None:
        self.seconds -= time.monotonic() - self.entered

    def _lend(self, name: str) -> "wasmtime.Func":
        import wasmtime

        kinds = {k: getattr(wasmtime.ValType, k)() for k in (abi.I32, abi.I64, abi.F32, abi.F64)}
        parameters, results = abi.IMPORTS[name]
        signature = wasmtime.FuncType([kinds[p] for p in parameters], [kinds[r] for r in results])

        def ask(*arguments: Any) -> Any:
            self._leave()
            try:
                return self._answer(name, arguments)
            except BaseException as error:
                self.failure = error
                raise
            finally:
                self._enter()

        return wasmtime.Func(self.store, signature, ask)

    def _answer(self, name: str, arguments: tuple[Any, ...]) -> int | float | None:
        if not self.open:
            raise BadCall(f"{name}: there is no host yet while the module initializes")
        self.calls += 1
        if self.calls > self.limits.calls:
            raise TooManyCalls(f"the function made more than {self.limits.calls} host calls in one step")
        call, target = self._decode(name, arguments)
        self.work += call.work
        self._check_work(0)
        reply = self.dispatch(call)
        data = reply.data[: call.room]
        self.replied += len(data)
        if self.replied > self.limits.replied:
            raise TooManyCalls(f"the function asked for more than {self.limits.replied} bytes in one step")
        if data:
            self._write(target, data)
        return reply.value

    def _check_work(self, more: int) -> None:
        if self.work + more > self.limits.work:
            raise TooManyCalls(
                f"the function sent more than {self.limits.work} tokens through the model in one step"
            )

    def _decode(self, name: str, arguments: tuple[Any, ...]) -> tuple[Call, int]:
        """The call, and where its reply's bytes go."""
        a = [value & 0xFFFFFFFF if isinstance(value, int) else value for value in arguments]
        scalars = tuple(value for value in arguments if isinstance(value, int))
        if name == "params":
            return calls.plain(Op.PARAMS, scalars, room=self._room(a[0], a[1])), a[0]
        if name == "task":
            return calls.plain(Op.TASK, scalars, room=self._room(a[0], 32)), a[0]
        if name == "preference":
            return calls.plain(Op.PREFERENCE, scalars, room=self._room(a[1], a[2]), index=a[0]), a[1]
        if name == "sample":
            policy, prompt, length, most, temperature, top_p, target = *a[:6], a[7]
            self._room(target, 4 * most)
            asked = self._ids(prompt, length)
            seed = arguments[6]
            return calls.sample(scalars, policy, asked, most, temperature, top_p, seed), target
        if name == "score":
            prompt_ids, answer_ids = self._ids(a[1], a[2]), self._ids(a[3], a[4])
            return calls.score(scalars, a[0], prompt_ids, answer_ids), 0
        if name == "gradient":
            size = self._room(a[1], a[2])
            self._check_work(size // 4 - 4 * abi.MAX_BATCH)  # before so much is taken apart
            batch = self._read(a[1], size)
            return calls.gradient(scalars, a[0], batch, a[3], a[4]), 0
        self.logged += self._room(a[0], a[1])
        if self.logged > self.limits.logged:
            raise TooManyCalls(f"the function logged more than {self.limits.logged} bytes in one step")
        text = self._read(a[0], a[1])
        return calls.plain(Op.LOG, scalars, text=text), 0

    def _ids(self, pointer: int, count: int) -> bytes:
        self._room(pointer, 4 * count)
        self._check_work(count)
        return self._read(pointer, self._room(pointer, 4 * count))

    def _room(self, pointer: int, size: int) -> int:
        if pointer + size > self._size():
            raise BadPointer(
                f"the function named {size} bytes at {pointer}, beyond its {self._size()} bytes of memory"
            )
        return size

    def _size(self) -> int:
        return int(self.memory.data_len(self.store))

    def _read(self, start: int, size: int) -> bytes:
        return ctypes.string_at(self.memory.get_buffer_ptr(self.store, size, start), size) if size else b""

    def _write(self, start: int, data: bytes) -> None:
        ctypes.memmove(self.memory.get_buffer_ptr(self.store, len(data), start), data, len(data))

    def _restore(self, memory: bytes) -> None:
        missing = len(memory) - self._size()
        if missing < 0 or missing % abi.PAGE or len(memory) > self.limits.memory:
            raise FunctionFailed("the linear memory to go on from does not fit this module")
        with self._explained():
            if missing:
                self.memory.grow(self.store, missing // abi.PAGE)
        self._write(0, memory)


def _no_calls(_call: Call) -> Reply:
    raise BadCall("this export may not call the host")
