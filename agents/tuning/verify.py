"""Repeats a segment of somebody's run: the program bit for bit on recorded replies, those within bounds.

Proof of learning (Jia et al. 2021, arXiv:2103.05633) with what its critics asked for (Fang et al. 2022,
arXiv:2208.03567): a program fixes the data a step reads, and bounds are relative to what a segment moved.
"""

import hashlib
from dataclasses import dataclass

from agents.storage.store import Store
from agents.tuning import abi
from agents.tuning.abi import Op
from agents.tuning.calls import Call, tokens
from agents.tuning.errors import BadAdapter, BadTrace, Diverged, FunctionStopped
from agents.tuning.host import Drift, Host, answering, reading_only
from agents.tuning.replay import replay_records
from agents.tuning.runner import MAX_STATE, Job, read
from agents.tuning.sandbox import Sandbox
from agents.tuning.trace import CallRecord, Segment, Trace

TOLERANCE = 0.01
"""One for all: of a segment's own update, and of a score or a loss. Honest machines of another instruction
set were 2.4e-4 apart."""
SAMPLE_MARGIN = 0.02
"""Logits, in the exact tier; a task of the tolerant tier passes its manifest's threshold."""


@dataclass(frozen=True, slots=True)
class Repeat:
    """A segment that passed. reply: largest relative difference of a score or loss; margin: of a sample."""

    number: int
    steps: int
    drift: Drift
    reply: float
    margin: float


def repeat(
    sandbox: Sandbox,
    host: Host,
    job: Job,
    trace: Trace,
    number: int,
    store: Store,
    *,
    tolerance: float = TOLERANCE,
    sample_margin: float = SAMPLE_MARGIN,
) -> Repeat:
    """Repeat a segment on a fresh host; its checkpoints are read from `store`.

    Raises:
        Diverged: it differs; the text says where and by how much. This is what costs a stake.
        NotStored and other StorageErrors: a checkpoint can't be had. This forfeits a reward, no more.
        BadTrace: there is no such segment.
    """
    if trace.header != job.header(sandbox.module.sha256, sandbox.limits):
        raise Diverged("the trace's header is not that of this task")
    segment = trace.segment(number)
    if not segment.records and number > 0:
        if segment.start != segment.end:
            raise Diverged(f"segment {number} has no step, but ends elsewhere than it begins")
        return Repeat(number, 0, Drift(0.0, 0.0, 0.0), 0.0, 0.0)
    memory = read(store, segment.start.memory, sandbox.limits.memory)
    start = read(store, segment.start.state, MAX_STATE)
    end = read(store, segment.end.state, MAX_STATE)
    if number == 0:
        _check_beginning(sandbox, host, job, trace, memory, start)
    try:
        host.restore(start)
    except BadAdapter as error:
        raise Diverged(f"segment {number} begins with no state: {error}") from None
    watch = _Watch(host, job, tolerance, sample_margin)
    replay_records(sandbox, segment.records, memory, watch)
    _check_memory(sandbox, segment, store)
    try:
        drift = host.drift(start, end)
    except BadAdapter as error:
        raise Diverged(f"segment {number} ends with no state: {error}") from None
    if not drift.largest <= tolerance:
        raise Diverged(
            f"segment {number} ends {drift.adapter:.3g} of its update away from what its steps give "
            f"(moments {drift.moments:.3g}); {tolerance:g} is allowed"
        )
    return Repeat(number, len(segment.records), drift, watch.reply, watch.margin)


def confirm_fault(sandbox: Sandbox, host: Host, job: Job, trace: Trace, store: Store) -> str:
    """Repeat the end of a run that says its function was stopped; returns the class of the error, for good.

    Raises:
        Diverged: the function is not stopped there, or otherwise.
        BadTrace: the trace does not end with a fault.
        StorageError: the last checkpoint can't be had.
    """
    if trace.header != job.header(sandbox.module.sha256, sandbox.limits):
        raise Diverged("the trace's header is not that of this task")
    if not trace.records or not trace.records[-1].fault:
        raise BadTrace("the trace does not end with a fault: the function was not stopped")
    memory = None
    if trace.settled:
        memory = read(store, trace.final.memory, sandbox.limits.memory)
        try:
            host.restore(read(store, trace.final.state, MAX_STATE))
        except BadAdapter as error:
            raise Diverged(f"the last checkpoint holds no state: {error}") from None
    watch = _Watch(host, job, TOLERANCE, SAMPLE_MARGIN)
    answer = watch.answer if trace.settled else reading_only(watch.answer)

    def refuse(call: Call) -> None:
        answer(call)

    replay_records(sandbox, trace.records[len(trace.settled) :], memory, watch, refuse)
    return trace.records[-1].fault


class _Watch:
    """Asks the real host what the trace says it was asked, and compares."""

    def __init__(self, host: Host, job: Job, tolerance: float, sample_margin: float) -> None:
        self.host, self.tolerance, self.sample_margin = host, tolerance, sample_margin
        self.answer = answering(host, job.task, job.params)
        self.reply = self.margin = 0.0

    def __call__(self, call: Call, said: CallRecord, place: str) -> None:
        if call.op is Op.SAMPLE:
            self._sample(call, said, place)
            return
        try:
            ours = self.answer(call)
        except FunctionStopped as error:
            raise Diverged(f"{place}: the trace has a reply where the host refuses: {error}") from None
        if call.op in (Op.SCORE, Op.GRADIENT):
            self._number(call, said, float(ours.value or 0), place)
        elif (ours.value, ours.data) != (said.value, said.data):
            raise Diverged(f"{place}: the trace's {call.op.name.lower()} is not this task's")

    def _number(self, call: Call, said: CallRecord, ours: float, place: str) -> None:
        theirs = said.value
        if not isinstance(theirs, float) or said.data:
            raise Diverged(f"{place}: the trace's reply to {call.op.name.lower()} is no number")
        apart = abs(theirs - ours) / max(1.0, abs(ours))
        if not apart <= self.tolerance:
            raise Diverged(
                f"{place}: {call.op.name.lower()} gives {ours:.6g} here, the trace says {theirs:.6g}"
            )
        self.reply = max(self.reply, apart)

    def _sample(self, call: Call, said: CallRecord, place: str) -> None:
        ids = tokens(said.data) if len(said.data) % 4 == 0 else ()
        if said.value != len(ids) or not ids:
            raise Diverged(f"{place}: the trace's sample is no answer")
        margin = self.host.margin(call, ids)
        if not margin <= self.sample_margin:
            raise Diverged(f"{place}: the trace's sample is {margin:.3g} logits off what the model says")
        self.margin = max(self.margin, margin)


def _check_beginning(
    sandbox: Sandbox, host: Host, job: Job, trace: Trace, memory: bytes, start: bytes
) -> None:
    """`init` is repeated with the first segment, which begins with an adapter that has learned nothing."""
    if host.state() != start:
        raise Diverged("segment 0 does not begin with an untrained adapter of this task's seed")
    first = trace.records[:1]
    replay_records(sandbox, first, None, _Watch(host, job, 0.0, 0.0))
    if hashlib.sha256(memory).digest() != first[0].memory:
        raise Diverged("segment 0 does not begin with the memory that `init` leaves")


def _check_memory(sandbox: Sandbox, segment: Segment, store: Store) -> None:
    """The end's linear memory is what the next segment begins with: it must be what was hashed."""
    if not segment.records:
        return
    memory = read(store, segment.end.memory, sandbox.limits.memory)
    last = segment.records[-1]
    if hashlib.sha256(memory).digest() != last.memory or len(memory) != last.pages * abi.PAGE:
        raise Diverged(f"segment {segment.number} ends with another linear memory than its last step leaves")
