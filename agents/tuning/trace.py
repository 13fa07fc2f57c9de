"""What a run leaves behind to be checked by: every host reply, and what memory was after every step.

One byte form, little-endian: magic, header (canonical JSON), records. The root is a Merkle root (keccak) over
the header and the records in their order.
"""

import hashlib
import struct
from dataclasses import dataclass
from typing import Any, NoReturn

from agents.protocol import merkle
from agents.protocol.cid import Cid, CidError
from agents.protocol.manifest import ManifestError, canonical_json, parse_canonical_json
from agents.tuning import abi
from agents.tuning.abi import Op
from agents.tuning.errors import BadTrace

ENOUGH = 32 << 20
"""A run ends at the step with which its trace has so many bytes."""
MAX_BYTES = 48 << 20
MAX_SEGMENTS = 256
_MAGIC = b"capek-trace/1\n"
_INIT = 0xFFFFFFFF
_NONE, _INT, _FLOAT = 0, 1, 2
_CALL = struct.Struct("<B32sIIB8sI")
_STEP = struct.Struct("<IiQI32sBBI")
_CID_BYTES = 36


@dataclass(frozen=True, slots=True)
class CallRecord:
    """One host call: what was asked (by digest), the work it cost, and the whole reply.

    index: the preference that was read, 0 for other calls.
    """

    op: Op
    digest: bytes
    index: int
    work: int
    value: int | float | None
    data: bytes


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where to go on from: linear memory, and the host's adapter, optimizer and random state, by CID."""

    memory: Cid
    state: Cid


@dataclass(frozen=True, slots=True)
class StepRecord:
    """One call of `init` (step −1) or `step`.

    status: what it returned. fuel: used. memory: sha2-256 of linear memory after it. fault: the class of the
    error that stopped it, "" for none. checkpoint: after this step, None between segments.
    """

    step: int
    status: int
    fuel: int
    pages: int
    memory: bytes
    calls: tuple[CallRecord, ...]
    fault: str = ""
    checkpoint: Checkpoint | None = None

    @property
    def work(self) -> int:
        """What the step is metered at: 1, tokens through the model, and a little for fuel and replies."""
        replied = sum(len(call.data) for call in self.calls)
        tokens = sum(call.work for call in self.calls)
        return 1 + tokens + self.fuel // abi.FUEL_UNIT + replied // abi.REPLY_UNIT

    def to_bytes(self) -> bytes:
        """The record's one byte form."""
        fault = self.fault.encode()
        out = [
            _STEP.pack(
                self.step & _INIT,
                self.status,
                self.fuel,
                self.pages,
                self.memory,
                self.checkpoint is not None,
                len(fault),
                len(self.calls),
            ),
            fault,
        ]
        for c in self.calls:
            kind = _NONE if c.value is None else _INT if isinstance(c.value, int) else _FLOAT
            value = struct.pack("<d" if kind == _FLOAT else "<q", c.value or 0)
            out += [_CALL.pack(c.op, c.digest, c.index, c.work, kind, value, len(c.data)), c.data]
        if self.checkpoint is not None:
            out += [bytes(self.checkpoint.memory), bytes(self.checkpoint.state)]
        return b"".join(out)


@dataclass(frozen=True, slots=True)
class Segment:
    """What is repeated by itself: the records between two checkpoints."""

    number: int
    start: Checkpoint
    end: Checkpoint
    records: tuple[StepRecord, ...]


def boundary(number: int, segments: int, steps: int) -> int:
    """The step a segment begins with when `steps` are cut into `segments`; all of them after the last."""
    return number * steps // segments


def is_boundary(step: int, segments: int, steps: int) -> bool:
    """Whether a segment begins with this step, or all steps are over."""
    number = -(-step * segments // steps) if steps else 0
    return number <= segments and boundary(number, segments, steps) == step


@dataclass(frozen=True, slots=True)
class Trace:
    """A run: its header (see `runner.header`) and its records, `init` first."""

    header: dict[str, Any]
    records: tuple[StepRecord, ...]

    @property
    def steps(self) -> int:
        """Steps that `init` asked for; 0 where it was stopped."""
        return max(0, self.records[0].status) if self.records else 0

    @property
    def settled(self) -> tuple[StepRecord, ...]:
        """The records up to the last checkpoint: what stands, and is paid for."""
        last = max((i for i, r in enumerate(self.records) if r.checkpoint is not None), default=-1)
        return self.records[: last + 1]

    @property
    def work(self) -> int:
        """Metered units of what stands, `init` left out."""
        return sum(record.work for record in self.settled[1:])

    @property
    def preferences(self) -> tuple[int, ...]:
        """Numbers of the preferences that were read, ascending."""
        calls = (c for record in self.settled for c in record.calls if c.op is Op.PREFERENCE)
        return tuple(sorted({c.index for c in calls if c.data}))

    @property
    def final(self) -> Checkpoint:
        """Where the run ended.

        Raises:
            BadTrace: it has no checkpoint at all.
        """
        return _checkpoint(self.settled[-1]) if self.settled else _none()

    def segment(self, number: int) -> "Segment":
        """A segment by its number; one that is empty ends where it begins.

        Raises:
            BadTrace: there is no such segment, or its checkpoints are missing.
        """
        count = int(self.header["segments"])
        if not 0 <= number < count:
            raise BadTrace(f"the trace is cut into {count} segments, there is no segment {number}")
        last = len(self.settled) - 2  # the last step that stands; `init` is record 0
        first, end = (min(boundary(number + k, count, self.steps), last + 1) for k in (0, 1))
        if not self.settled:
            _none()
        start, stop = _checkpoint(self.records[first]), _checkpoint(self.records[end])
        return Segment(number, start, stop, self.records[first + 1 : end + 1])

    def root(self) -> bytes:
        """The Merkle root over header and records (32 bytes): what a submission commits to."""
        parts = [canonical_json(self.header), *(record.to_bytes() for record in self.records)]
        return merkle.root(merkle.leaves([hashlib.sha256(part).digest() for part in parts]))

    def to_bytes(self) -> bytes:
        """The trace's one byte form."""
        header = canonical_json(self.header)
        body = b"".join(record.to_bytes() for record in self.records)
        return _MAGIC + struct.pack("<II", len(header), len(self.records)) + header + body

    @classmethod
    def load(cls, data: bytes, root: bytes | None = None) -> "Trace":
        """Read `to_bytes`, from a stranger; with `root`, only the trace that was committed to.

        Raises:
            BadTrace: it is none, or another one.
        """
        reader = _Reader(data)
        try:
            if len(data) > MAX_BYTES or reader.take(len(_MAGIC)) != _MAGIC:
                raise BadTrace(f"these bytes are no trace of at most {MAX_BYTES} bytes")
            size, count = struct.unpack("<II", reader.take(8))
            header = parse_canonical_json(reader.take(size))
            if not isinstance(header, dict):
                raise BadTrace("the trace's header is no object")
            cuts = header.get("segments")
            if not isinstance(cuts, int) or not 1 <= cuts <= MAX_SEGMENTS:
                raise BadTrace(f"the trace's header does not name 1 to {MAX_SEGMENTS} segments")
            found = cls(header, tuple(reader.record() for _ in range(count)))
            if any(record.step != place - 1 for place, record in enumerate(found.records)):
                raise BadTrace("the trace's steps are not in their order, `init` first")
        except (struct.error, ValueError, ManifestError, CidError) as error:
            raise BadTrace(f"the trace is damaged: {error}") from None
        if reader.at != len(data):
            raise BadTrace("the trace has bytes after its last record")
        if root is not None and found.root() != root:
            raise BadTrace(f"the trace's root is 0x{found.root().hex()}, not the 0x{root.hex()} committed to")
        return found


def _checkpoint(record: StepRecord) -> Checkpoint:
    if record.checkpoint is None:
        raise BadTrace(f"the trace holds no checkpoint after step {record.step}, where a segment ends")
    return record.checkpoint


def _none() -> NoReturn:
    raise BadTrace("the trace holds no checkpoint: the run did not get past `init`")


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, size: int) -> bytes:
        if self.at + size > len(self.data):
            raise BadTrace("the trace ends before its last record")
        found = self.data[self.at : self.at + size]
        self.at += size
        return found

    def record(self) -> StepRecord:
        step, status, fuel, pages, memory, kept, fault, count = _STEP.unpack(self.take(_STEP.size))
        if kept > 1:
            raise BadTrace("the trace is damaged: a flag is neither 0 nor 1")
        why = self.take(fault).decode()
        calls = tuple(self._call() for _ in range(count))
        checkpoint = None
        if kept:
            checkpoint = Checkpoint(Cid.decode(self.take(_CID_BYTES)), Cid.decode(self.take(_CID_BYTES)))
        return StepRecord(-1 if step == _INIT else step, status, fuel, pages, memory, calls, why, checkpoint)

    def _call(self) -> CallRecord:
        op, digest, index, work, kind, raw, size = _CALL.unpack(self.take(_CALL.size))
        if kind not in (_NONE, _INT, _FLOAT):
            raise BadTrace("the trace is damaged: a reply of an unknown kind")
        value = None if kind == _NONE else struct.unpack("<d" if kind == _FLOAT else "<q", raw)[0]
        return CallRecord(Op(op), digest, index, work, value, self.take(size))
