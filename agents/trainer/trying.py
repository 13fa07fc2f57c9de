"""Trying a tuning function out: a run on a host without a model, then its replay."""

import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from agents.storage.local import LocalStore
from agents.terminal.exits import BadInput
from agents.tuning.abi import PAGE, Op, Task
from agents.tuning.dry import DryHost, made_up
from agents.tuning.module import Module
from agents.tuning.replay import replay
from agents.tuning.runner import Job, run
from agents.tuning.sandbox import Sandbox


@dataclass(frozen=True, slots=True)
class Tried:
    """How a try went. fuel, memory (bytes), calls: of the step that needed most. stopped: why, or None."""

    steps: int
    steps_done: int
    fuel: int
    fuel_limit: int
    memory: int
    memory_limit: int
    calls: int
    gradients: int
    work: int
    preferences_read: int
    stopped: str | None

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def try_function(
    wasm: bytes,
    params: bytes,
    pairs: int,
    shard: int,
    shards: int,
    vocabulary: int,
    context: int,
    logged: Callable[[str], None],
) -> Tried:
    """Run and replay a module on made-up preferences.

    Raises:
        BadFunction: it is no tuning function.
        Diverged: its replay differs: a bug of this program.
        BadInput: no such shard.
    """
    if shard >= shards:
        raise BadInput(f"there is no shard {shard} of {shards}: shards count from 0")
    sandbox = Sandbox(Module(wasm))
    sandbox.check()
    task = Task(shard, shards, 1, pairs, vocabulary, context)
    job = Job(task, params, "", "", None, bytes(32), segments=1)
    with tempfile.TemporaryDirectory() as folder:
        host = DryHost(made_up(pairs, vocabulary), vocabulary)
        done = run(sandbox, host, job, LocalStore(Path(folder)), logged=logged)
    replay(sandbox, done.trace)
    records = done.trace.records
    whole = [record for record in records if not record.fault]
    calls = [call for record in records for call in record.calls]
    return Tried(
        steps=done.trace.steps,
        steps_done=sum(record.step >= 0 for record in whole),
        fuel=max((record.fuel for record in whole), default=0),
        fuel_limit=sandbox.limits.fuel,
        memory=max((record.pages for record in whole), default=0) * PAGE,
        memory_limit=sandbox.limits.memory,
        calls=max((len(record.calls) for record in records), default=0),
        gradients=sum(call.op is Op.GRADIENT for call in calls),
        work=sum(record.work for record in whole),
        preferences_read=len({call.index for call in calls if call.op is Op.PREFERENCE}),
        stopped=None if done.stopped is None else str(done.stopped),
    )


def read_file(path: Path, most: int) -> bytes:
    """A file of at most `most` bytes.

    Raises:
        BadInput: there is none, or a larger one.
    """
    try:
        with path.open("rb") as file:
            data = file.read(most + 1)
    except OSError as error:
        raise BadInput(f"{path} can't be read: {error.strerror}") from None
    if len(data) > most:
        raise BadInput(f"{path} has more than the {most} bytes that are allowed")
    return data
