"""Runs a function again on recorded replies: it must ask the same and leave the same memory, bit for bit."""

import hashlib
from collections.abc import Callable, Iterator, Sequence

from agents.tuning import abi
from agents.tuning.calls import Call, Reply
from agents.tuning.errors import BadCall, BadLoss, Diverged, FunctionFailed, FunctionStopped
from agents.tuning.sandbox import Dispatch, Sandbox
from agents.tuning.trace import CallRecord, StepRecord, Trace

Watch = Callable[[Call, CallRecord, str], None]
"""Sees every call with its recorded reply and its place in words, before the function gets the reply."""

_BY_HOST = (BadCall.__name__, BadLoss.__name__)


class _Refused(FunctionStopped):
    """Stands for a host's refusal, which only somebody with a host can repeat (`verify`)."""


def replay(sandbox: Sandbox, trace: Trace, watch: Watch | None = None) -> None:
    """Replay a whole run from `init` on; needs no model.

    Raises:
        Diverged: the function asks, computes or ends differently from the trace; the text says where.
    """
    _check_header(sandbox, trace)
    replay_records(sandbox, trace.records, None, watch)


def replay_segment(
    sandbox: Sandbox, trace: Trace, number: int, memory: bytes, watch: Watch | None = None
) -> None:
    """Replay one segment from its checkpoint's linear memory.

    Raises:
        Diverged: as `replay`.
        BadTrace: there is no such segment.
    """
    _check_header(sandbox, trace)
    replay_records(sandbox, trace.segment(number).records, memory, watch)


def replay_records(
    sandbox: Sandbox,
    records: Sequence[StepRecord],
    memory: bytes | None,
    watch: Watch | None = None,
    refuse: Callable[[Call], None] | None = None,
) -> None:
    """Replay records in their order, from a linear memory (None: the module's own, before `init`).

    refuse: gets the call with which the trace says that the host stopped the function, and raises that again.
    """
    for record in records:
        where = "init" if record.step < 0 else f"step {record.step}"
        export, arguments = (abi.INIT, ()) if record.step < 0 else (abi.STEP, (record.step,))
        replies = iter(enumerate(record.calls))
        answer = _recorded(record, replies, where, watch, refuse)
        try:
            done = sandbox.run(export, arguments, memory, answer)
        except FunctionStopped as stopped:
            kind = type(stopped).__name__
            refused = isinstance(stopped, _Refused) and record.fault in _BY_HOST
            if record.fault != kind and not refused:
                raise Diverged(
                    f"{where}: the function is stopped here ({kind}), the trace says "
                    f"{record.fault or 'it went on'}"
                ) from None
            if next(replies, None) is not None:
                raise Diverged(f"{where}: the function is stopped before the last recorded call") from None
            return
        if record.fault == FunctionFailed.__name__ and _is_failure(record.step, done.status):
            return
        if record.fault:
            raise Diverged(f"{where}: the trace says it was stopped ({record.fault}), here it went on")
        if next(replies, None) is not None:
            raise Diverged(f"{where}: the function made fewer host calls than the trace records")
        _same(where, "returns", done.status, record.status)
        _same(where, "leaves memory", hashlib.sha256(done.memory).hexdigest(), record.memory.hex())
        _same(where, "has pages of memory", len(done.memory) // abi.PAGE, record.pages)
        _same(where, "used fuel", done.fuel, record.fuel)
        memory = done.memory


def _recorded(
    record: StepRecord,
    replies: Iterator[tuple[int, CallRecord]],
    where: str,
    watch: Watch | None,
    refuse: Callable[[Call], None] | None,
) -> Dispatch:
    def answer(call: Call) -> Reply:
        number, said = next(replies, (len(record.calls), None))
        place = f"{where}, call {number}"
        if said is None:
            if record.fault and refuse is not None:
                refuse(call)
                raise Diverged(f"{place}: the trace says that the host refuses here, and it does not")
            if record.fault:
                raise _Refused(f"{place}: refused when it was recorded")
            raise Diverged(f"{place}: the function asks for {call.op.name.lower()}, the trace ends here")
        if call.op is not said.op:
            raise Diverged(
                f"{place}: the function asks for {call.op.name.lower()}, the trace for {said.op.name.lower()}"
            )
        if call.digest != said.digest:
            raise Diverged(f"{place}: the function calls {call.op.name.lower()} with other arguments")
        if (call.work, call.index) != (said.work, said.index) or len(said.data) > call.room:
            raise Diverged(f"{place}: the trace's work, index or reply does not fit what was asked")
        if watch is not None:
            watch(call, said, place)
        return Reply(said.value, said.data)

    return answer


def _is_failure(step: int, status: int) -> bool:
    return status != abi.DONE if step >= 0 else not 1 <= status <= abi.MAX_STEPS


def _same(where: str, what: str, found: object, recorded: object) -> None:
    if found != recorded:
        raise Diverged(f"{where}: the function {what} {found}, the trace says {recorded}")


def _check_header(sandbox: Sandbox, trace: Trace) -> None:
    header = trace.header
    if header.get("module") != sandbox.module.sha256.hex():
        raise Diverged("the trace is of another module")
    if header.get("limits") != sandbox.limits.to_json():
        raise Diverged(f"the trace was made under other limits: {header.get('limits')}")
