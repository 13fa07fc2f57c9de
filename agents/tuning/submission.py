"""What a node hands in: the index of its run, which names everything an auditor may fetch.

Canonical JSON in one block, so its sha2-256 is its CID: that digest stands on chain.
"""

import hashlib
from dataclasses import dataclass
from typing import Any

from agents.protocol.cid import Cid, CidError
from agents.protocol.manifest import ManifestError, canonical_json, parse_canonical_json
from agents.storage.store import Store
from agents.tuning.errors import BadTrace
from agents.tuning.trace import MAX_BYTES, Trace

FORMAT = "capek-tuning-run/1"
MAX_INDEX = 1 << 20


@dataclass(frozen=True, slots=True)
class Submission:
    """adapter: the GGUF file's CID, with its size and sha2-256. trace: its CID. units: metered work.

    preferences: numbers, in the task's batch, of those that were read.
    """

    header: dict[str, Any]
    root: bytes
    trace: Cid
    adapter: Cid
    adapter_size: int
    adapter_digest: bytes
    units: int
    preferences: tuple[int, ...]

    def to_bytes(self) -> bytes:
        """The index's one byte form.

        Raises:
            BadTrace: it would not fit one block.
        """
        data = canonical_json(
            {
                "format": FORMAT,
                "header": self.header,
                "root": self.root.hex(),
                "trace": str(self.trace),
                "adapter": {
                    "cid": str(self.adapter),
                    "size": self.adapter_size,
                    "sha256": self.adapter_digest.hex(),
                },
                "units": self.units,
                "preferences": list(self.preferences),
            }
        )
        if len(data) > MAX_INDEX:
            raise BadTrace(f"the run's index has {len(data)} bytes, {MAX_INDEX} fit one block")
        return data

    def digest(self) -> bytes:
        """sha2-256 of the index (32 bytes), as TuningTasks takes it."""
        return hashlib.sha256(self.to_bytes()).digest()

    @classmethod
    def of(cls, trace: Trace, adapter: bytes, store: Store) -> "Submission":
        """Store a run's trace and adapter; its checkpoints are there already.

        Raises:
            BadTrace: the run did not get past `init`.
        """
        _ = trace.final
        return cls(
            trace.header,
            trace.root(),
            store.add_bytes(trace.to_bytes()),
            store.add_bytes(adapter),
            len(adapter),
            hashlib.sha256(adapter).digest(),
            trace.work,
            trace.preferences,
        )

    @classmethod
    def load(cls, data: bytes, digest: bytes | None = None) -> "Submission":
        """Read an index, from a stranger; with `digest`, only the one on chain.

        Raises:
            BadTrace: it is none, or another.
        """
        if len(data) > MAX_INDEX or (digest is not None and hashlib.sha256(data).digest() != digest):
            raise BadTrace("these bytes are not the index that was submitted")
        try:
            found = parse_canonical_json(data)
            if found["format"] != FORMAT or not isinstance(found["header"], dict):
                raise BadTrace(f"these bytes are no index of the format {FORMAT}")
            adapter, read = found["adapter"], found["preferences"]
            numbers = [adapter["size"], found["units"], *read]
            if not all(isinstance(n, int) and not isinstance(n, bool) and n >= 0 for n in numbers):
                raise BadTrace("the index holds something else where numbers belong")
            return cls(
                found["header"],
                _bytes32(found["root"]),
                Cid.parse(found["trace"]),
                Cid.parse(adapter["cid"]),
                adapter["size"],
                _bytes32(adapter["sha256"]),
                found["units"],
                tuple(read),
            )
        except (ManifestError, CidError, KeyError, TypeError, ValueError) as error:
            raise BadTrace(f"the index of the run is damaged: {error}") from None

    def fetch_trace(self, store: Store) -> Trace:
        """The trace, if it is the one and says the same.

        Raises:
            BadTrace: it differs from the index.
            StorageError: it can't be had.
        """
        trace = Trace.load(b"".join(store.cat(self.trace, MAX_BYTES)), self.root)
        if (trace.header, trace.work, trace.preferences) != (self.header, self.units, self.preferences):
            raise BadTrace("the trace has another header, other units or preferences than the index says")
        return trace


def _bytes32(text: str) -> bytes:
    found = bytes.fromhex(text)
    if len(found) != 32:
        raise BadTrace("a digest in the index is not 32 bytes")
    return found
