"""Runs a task: `init`, then `step` until it is done, a limit is reached or the function is stopped.

Between steps others go first (`before_step` may wait), and after every segment the run can be taken up again.
"""

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from agents.protocol.cid import Cid
from agents.storage.store import Store
from agents.tuning import abi
from agents.tuning.abi import Limits, Task
from agents.tuning.calls import Call, Reply
from agents.tuning.errors import BadTrace, FunctionFailed, FunctionStopped
from agents.tuning.host import Host, answering, reading_only
from agents.tuning.runtime import WASMTIME
from agents.tuning.sandbox import Dispatch, Outcome, Sandbox
from agents.tuning.trace import ENOUGH, CallRecord, Checkpoint, StepRecord, Trace, is_boundary

MAX_STATE = 1 << 30
"""Bytes of a checkpoint's host state that are read."""


@dataclass(frozen=True, slots=True)
class Job:
    """A task with all that fixes its outcome.

    function, weights: CIDs as text. parent: the parent version's adapter, None for none. preferences: the
    root of the batch (32 bytes). segments: into how many the trace is cut, with a checkpoint at every end.
    max_work: tokens through the model after which no further step begins.
    """

    task: Task
    params: bytes
    function: str
    weights: str
    parent: str | None
    preferences: bytes
    segments: int = 4
    max_work: int = 1 << 40

    def header(self, module: bytes, limits: Limits) -> dict[str, Any]:
        """The trace's header, plain values; `module` is the sha2-256 of the function's bytes."""
        task = self.task
        return {
            "abi": abi.VERSION,
            "wasmtime": WASMTIME,
            "function": self.function,
            "module": module.hex(),
            "params": self.params.hex(),
            "weights": self.weights,
            "parent": self.parent,
            "preferences": {"root": self.preferences.hex(), "count": task.preferences},
            "shard": task.shard,
            "shards": task.shards,
            "seed": str(task.seed),
            "vocabulary": task.vocabulary,
            "context": task.context,
            "segments": self.segments,
            "maxWork": self.max_work,
            "limits": limits.to_json(),
        }


@dataclass(frozen=True, slots=True)
class Run:
    """A run that has ended. `stopped` says what the function did wrong, None where it did nothing wrong.

    Where it was stopped, the state that counts is that of the last checkpoint.
    """

    trace: Trace
    stopped: FunctionStopped | None


def run(
    sandbox: Sandbox,
    host: Host,
    job: Job,
    store: Store,
    *,
    journal: Path | None = None,
    before_step: Callable[[int, int], None] | None = None,
    pause: Callable[[], None] | None = None,
    logged: Callable[[str], None] | None = None,
) -> Run:
    """Run a task to its end. Checkpoints go into `store`.

    journal: a file that holds the trace up to the last checkpoint; if it is there, the run goes on from it.
    before_step: called before every step with its number and that of all steps. What it raises ends the run,
    which can be taken up again.
    pause: called before every step and every use of the model in it; it may wait for what is more urgent.

    Raises:
        OutOfTime: the function outlasted its wall time.
        BadTrace: the journal belongs to another task.
        NotStored: its last checkpoint is gone: remove the journal, and begin anew.
    """
    runner = _Runner(sandbox, host, job, store, journal, logged)
    runner.before_step = before_step or runner.before_step
    runner.pause = pause or runner.pause
    return runner.run()


class _Runner:
    def __init__(
        self,
        sandbox: Sandbox,
        host: Host,
        job: Job,
        store: Store,
        journal: Path | None,
        logged: Callable[[str], None] | None,
    ) -> None:
        self.sandbox, self.host, self.job, self.store = sandbox, host, job, store
        self.journal, self.logged = journal, logged
        self.before_step: Callable[[int, int], None] = lambda step, steps: None
        self.pause: Callable[[], None] = lambda: None
        self.header = job.header(sandbox.module.sha256, sandbox.limits)
        self.answer = answering(host, job.task, job.params)
        self.records: list[StepRecord] = []
        self.memory: bytes = b""
        self.spent = self.size = 0

    def run(self) -> Run:
        try:
            if not self._resume():
                self._init()
            while not self._over():
                step = self.records[-1].step + 1
                self.before_step(step, self.records[0].status)
                self.pause()
                self._step(step)
            return Run(self._trace(), None)
        except FunctionStopped as stopped:
            return Run(self._trace(), stopped)

    def _over(self) -> bool:
        step = self.records[-1].step
        full = self.spent >= self.job.max_work or self.size >= ENOUGH
        return step >= 0 and (full or step + 1 >= self.records[0].status)

    def _init(self) -> None:
        done, said = self._call(abi.INIT, -1, reading_only(self.answer))
        if not 1 <= done.status <= abi.MAX_STEPS:
            raise self._stopped(
                -1,
                said,
                FunctionFailed(f"`init` asks for {done.status} steps: 1 to {abi.MAX_STEPS} can be had"),
            )
        self._keep(-1, done, said)

    def _step(self, step: int) -> None:
        done, said = self._call(abi.STEP, step, self.answer)
        if done.status != abi.DONE:
            raise self._stopped(
                step, said, FunctionFailed(f"`step({step})` returned {done.status}, a failure of its own")
            )
        self._keep(step, done, said)

    def _call(self, export: str, step: int, dispatch: Dispatch) -> tuple[Outcome, list[CallRecord]]:
        said: list[CallRecord] = []
        arguments = (step,) if step >= 0 else ()
        try:
            done = self.sandbox.run(export, arguments, self.memory or None, self._recorded(dispatch, said))
        except FunctionStopped as stopped:
            raise self._stopped(step, said, stopped) from None
        self.memory = done.memory
        return done, said

    def _stopped(self, step: int, said: list[CallRecord], why: FunctionStopped) -> FunctionStopped:
        self.records.append(StepRecord(step, -1, 0, 0, bytes(32), tuple(said), type(why).__name__))
        return why

    def _keep(self, step: int, done: Outcome, said: list[CallRecord]) -> None:
        digest = hashlib.sha256(done.memory).digest()
        pages = len(done.memory) // abi.PAGE
        record = StepRecord(step, done.status, done.fuel, pages, digest, tuple(said))
        self.records.append(record)
        self._count(record)
        if self._over() or is_boundary(step + 1, self.job.segments, self.records[0].status):
            memory, state = self.store.add_bytes(done.memory), self.store.add_bytes(self.host.state())
            self.records[-1] = replace(record, checkpoint=Checkpoint(memory, state))
            if self.journal is not None:
                _replace(self.journal, self._trace().to_bytes())

    def _count(self, record: StepRecord) -> None:
        self.spent += record.work if record.step >= 0 else 0
        self.size += len(record.to_bytes())

    def _recorded(self, dispatch: Dispatch, said: list[CallRecord]) -> Dispatch:
        def recording(call: Call) -> Reply:
            if call.work:
                self.pause()
            reply = dispatch(call)
            if call.op is abi.Op.LOG and self.logged is not None:
                self.logged(call.text.decode(errors="replace"))
            said.append(CallRecord(call.op, call.digest, call.index, call.work, reply.value, reply.data))
            return reply

        return recording

    def _trace(self) -> Trace:
        return Trace(self.header, tuple(self.records))

    def _resume(self) -> bool:
        if self.journal is None or not self.journal.exists():
            return False
        found = Trace.load(self.journal.read_bytes())
        if found.header != self.header:
            raise BadTrace(f"{self.journal} belongs to another task: remove it, or give another file")
        self.records = list(found.records)
        for record in self.records:
            self._count(record)
        final = found.final
        self.memory = read(self.store, final.memory, self.sandbox.limits.memory)
        self.host.restore(read(self.store, final.state, MAX_STATE))
        return True


def read(store: Store, cid: Cid, most: int) -> bytes:
    """A file of the store, at most `most` bytes. Raises what the store raises."""
    return b"".join(store.cat(cid, most))


def _replace(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
