"""The process that fetches, loads and runs a model for one check: `python -m agents.node.court.foreign`.

Anybody may publish weights, and some make llama.cpp abort or eat all memory: it must not be the node that
dies of them. It is told what to do by lines of JSON on stdin, answers by lines on stdout, and ends when stdin
does. See `child` for the other side.
"""

import json
import os
import queue
import resource
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

from agents.engine import EngineError
from agents.engine.bitclass import bit_class
from agents.engine.llama import EngineConfig, LlamaEngine
from agents.market.errors import NoModel, UnusableModel
from agents.market.models import ModelVersion, get_manifest, get_weights, is_here
from agents.protocol.manifest import Manifest, manifest_cid
from agents.protocol.sampling import Sampling
from agents.storage.local import LocalStore

NOT_NOW, UNRUNNABLE, UNUSABLE, NOT_FINITE = "not now", "unrunnable", "unusable", "not finite"
"""Kinds of errors: for the moment, on this machine, for everybody, and of the numbers."""

_MIB = 1 << 20
_NICE = 10
_PROBE = 128


@dataclass(frozen=True, slots=True)
class Plan:
    """Which model (`version` as JSON: digest in hex), from where, and how: for a text of `tokens`.

    fetch_mib: largest weights to fetch. memory_mib: most address space, 0 for any. polite: others go first.
    """

    version: Mapping[str, Any]
    store: str
    places: tuple[str, ...]
    peers: tuple[str, ...]
    fetch_mib: int
    tokens: int
    threads: int | None
    gpu_layers: int
    memory_mib: int
    polite: bool

    @classmethod
    def of(cls, version: ModelVersion, **rest: Any) -> "Plan":
        """For a version as the registry has it."""
        return cls(asdict(version) | {"digest": version.digest.hex()}, **rest)

    @property
    def model(self) -> ModelVersion:
        """The version."""
        given = dict(self.version)
        return ModelVersion(**given | {"digest": bytes.fromhex(given["digest"])})


class _Refused(Exception):
    """`kind` is one of those above."""

    def __init__(self, kind: str, why: object) -> None:
        super().__init__(str(why))
        self.kind = kind


def main() -> int:
    """Load what the first line says, then examine what each other line says."""
    # Whatever libraries print must not get between the answers.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    lines: queue.Queue[bytes] = queue.Queue()
    threading.Thread(target=_listen, args=(sys.stdin.buffer, lines), daemon=True).start()
    plan = Plan(**json.loads(lines.get()))
    _confine(plan)
    made = _answer(answers, lambda: _load(plan))
    if made is None:
        return 1
    manifest, engine = made
    found = bit_class(engine, manifest.weights.cid)
    size = engine.tokenizer.vocab_size
    _say(answers, {"manifest": manifest.to_bytes().decode(), "bit_class": found.hex(), "vocabulary": size})
    while True:
        request = json.loads(lines.get())
        answer = _answer(answers, lambda asked=request: _examine(engine, asked))  # type: ignore[misc]
        if answer is not None:
            _say(answers, answer)


def _listen(stdin: BinaryIO, lines: "queue.Queue[bytes]") -> None:
    for line in stdin:
        lines.put(line)
    os._exit(1)  # whoever asked is gone


def _confine(plan: Plan) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # The driver of a GPU reserves addresses far beyond what it uses.
    if plan.memory_mib and not plan.gpu_layers:
        resource.setrlimit(resource.RLIMIT_AS, (plan.memory_mib * _MIB,) * 2)
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
    if plan.polite:
        os.nice(_NICE)


def _load(plan: Plan) -> tuple[Manifest, LlamaEngine]:
    version, store = plan.model, LocalStore(Path(plan.store))
    places = [Path(place) for place in plan.places]
    try:
        manifest = _manifest(store, version, plan)
        size = manifest.weights.size
        if size > plan.fetch_mib * _MIB and not is_here(store, manifest, places):
            raise _Refused(
                UNRUNNABLE,
                f"the weights of {version.label} have {size >> 20} MiB, and for a check at most "
                f"{plan.fetch_mib} are fetched (CAPEK_NODE_COURT_FETCH_MIB)",
            )
        path = get_weights(store, version, manifest, places, plan.peers)
    except UnusableModel as error:
        raise _Refused(UNUSABLE, error) from None
    except NoModel as error:
        raise _Refused(NOT_NOW, error) from None
    config = EngineConfig(
        path,
        # Room for the probe of the bit class too.
        context=min(max(plan.tokens, _PROBE), manifest.context_length),
        sequences=1,
        threads=plan.threads,
        gpu_layers=plan.gpu_layers,
        profile=manifest.profile,
    )
    try:
        return manifest, LlamaEngine(config)
    except (EngineError, ValueError) as error:
        raise _Refused(UNRUNNABLE, f"{version.label} can't be loaded: {error}") from None


def _manifest(store: LocalStore, version: ModelVersion, plan: Plan) -> Manifest:
    try:
        return get_manifest(store, version, plan.peers)
    except UnusableModel:
        raise
    except NoModel as error:
        if store.has(manifest_cid(version.digest)):  # it asks for what this program can't do
            raise _Refused(UNRUNNABLE, error) from None
        raise


def _examine(engine: LlamaEngine, asked: Mapping[str, Any]) -> dict[str, Any]:
    sampling = Sampling(asked["seed"], bytes.fromhex(asked["node"]), asked["temperature"], asked["top_p"])
    reading = engine.examine(
        asked["prompt"], asked["output"], sampling, asked["positions"], asked["tolerance"]
    )
    found = reading.result()
    return {"margins": found.margins.tolist(), "second_best": list(found.second_best)}


def _answer(answers: BinaryIO, work: Callable[[], Any]) -> Any:
    try:
        return work()
    except _Refused as error:
        _say(answers, {"error": error.kind, "text": str(error)})
    except EngineError as error:
        kind = NOT_FINITE if isinstance(error.__cause__, ValueError) else UNRUNNABLE
        _say(answers, {"error": kind, "text": str(error)})
    except MemoryError:
        _say(answers, {"error": UNRUNNABLE, "text": "it takes more memory than a check may have"})
    return None


def _say(answers: BinaryIO, answer: Mapping[str, Any]) -> None:
    answers.write(json.dumps(answer).encode() + b"\n")
    answers.flush()


if __name__ == "__main__":
    sys.exit(main())
