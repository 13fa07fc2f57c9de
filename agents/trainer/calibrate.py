"""Thresholds of the tolerant tier for a model: honest nodes of several settings write, judges of another kind
read.

What a node may choose and the manifest does not fix: how many threads, how many answers at once, in what
chunks, and outside the canonical profile the caches' type and the attention kernels. Each pair of a node's
kind and a judge's is calibrated by itself and the larger thresholds count, so that no honest pair hides
behind a quieter one.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.engine import EngineError
from agents.engine.llama import EngineConfig, LlamaEngine
from agents.engine.native import CANONICAL, NATIVE
from agents.protocol.manifest import ExactThresholds, Thresholds, TolerantThresholds, Verification
from agents.protocol.sampling import TOLERANCE, Sampling
from agents.rastic.calibration import TARGET, Calibration, CalibrationError, calibrate
from agents.terminal.exits import BadInput
from agents.trainer.errors import BadModel

EXACT = ExactThresholds(slash_max=20_000)

_CONTEXT = 1_024
_SAMPLED = (800_000, 950_000)
_PAIRS = ((NATIVE, CANONICAL), (CANONICAL, NATIVE))
_SHAPES = ((1, 64), (4, 128))
"""Answers at once, and tokens read at once."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """How much to measure: answers of each kind (at least 50), tokens of each, and the false rejects an
    answer wanted."""

    answers: int = 60
    tokens: int = 96
    target: float = TARGET
    confidence: float = 0.95


@dataclass(frozen=True, slots=True)
class Found:
    """Calibrations by way of sampling and by pair."""

    greedy: tuple[Calibration, ...]
    sampled: tuple[Calibration, ...]

    def verification(self) -> Verification:
        """For a manifest: a quiet model's are raised to the protocol's floors."""
        found = TolerantThresholds(greedy=_most(self.greedy), sampled=_most(self.sampled))
        return Verification(exact=EXACT, tolerant=found).raised()


def run(path: Path, plan: Plan, threads: int | None, say: Say) -> Found:
    """Write, read and fit. Some minutes for a small model.

    Raises:
        BadModel: the model does not run, or its honest answers are too far apart to be told from wrong ones.
    """
    try:
        return Found(
            _fit(path, plan, threads, say, greedy=True), _fit(path, plan, threads, say, greedy=False)
        )
    except CalibrationError as error:
        raise BadModel(f"{path} can't be calibrated: {error}") from None
    except (EngineError, ValueError) as error:
        raise BadModel(f"{path} can't be calibrated, it does not run: {error}") from None


def to_json(found: Found) -> dict[str, Any]:
    """For programs: the verification profile, and what it rests on."""
    return {
        "verification": found.verification().model_dump(),
        "calibrations": {
            "greedy": [asdict(calibration) for calibration in found.greedy],
            "sampled": [asdict(calibration) for calibration in found.sampled],
        },
    }


def write(path: Path, verification: Verification) -> None:
    """The profile as JSON, for `load`.

    Raises:
        BadInput: it can't be written.
    """
    try:
        path.write_text(verification.model_dump_json(indent=1) + "\n")
    except OSError as error:
        raise BadInput(f"can't write {path}: {error.strerror}") from None


def load(path: Path) -> Verification:
    """What `write` wrote, or the same by hand.

    Raises:
        BadInput: it can't be read, or is no verification profile.
    """
    try:
        return Verification.model_validate_json(path.read_bytes())
    except OSError as error:
        raise BadInput(f"can't read {path}: {error.strerror}") from None
    except ValueError:
        raise BadInput(f"{path} holds no thresholds: make them with `agent trainer calibrate`") from None


def prompts() -> list[str]:
    """What honest nodes are asked."""
    found = json.loads((files("agents.trainer") / "prompts.json").read_text())
    assert isinstance(found, list)
    return found


def _fit(path: Path, plan: Plan, threads: int | None, say: Say, *, greedy: bool) -> tuple[Calibration, ...]:
    found = []
    for node, judge in _PAIRS:
        margins: list[NDArray[np.float64]] = []
        parts = np.array_split(np.arange(plan.answers), len(_SHAPES))
        for (sequences, batch), jobs in zip(_SHAPES, parts, strict=True):
            writer = EngineConfig(
                path,
                context=_CONTEXT,
                sequences=sequences,
                batch=batch,
                threads=threads,
                profile=node,
                queue=plan.answers,
            )
            margins += _margins(writer, judge, jobs.tolist(), plan, greedy)
        fitted = calibrate(margins, target=plan.target, confidence=plan.confidence, length=_CONTEXT)
        kind, largest = "greedy" if greedy else "sampled", max(float(m.max()) for m in margins)
        say(
            f"{kind}, written by {node}, read by {judge}: {fitted.answers} answers, {fitted.positions} "
            f"tokens, largest margin {largest:.3f}; refuse above {fitted.refuse_max:.3f}"
        )
        found.append(fitted)
    return tuple(found)


def _margins(
    writer: EngineConfig, judge: str, jobs: Sequence[int], plan: Plan, greedy: bool
) -> list[NDArray[np.float64]]:
    asked = prompts()
    with LlamaEngine(writer) as node:
        texts = [
            node.tokenizer.tokenize_chat([{"role": "user", "content": asked[job % len(asked)]}])
            for job in jobs
        ]
        how = [Sampling() if greedy else Sampling(job, bytes(20), *_SAMPLED) for job in jobs]
        ends = node.tokenizer.end_tokens
        running = [node.generate(t, plan.tokens, h, ends) for t, h in zip(texts, how, strict=True)]
        outputs = [job.result().tokens for job in running]
    reader = EngineConfig(
        writer.path, context=_CONTEXT, sequences=1, threads=writer.threads, profile=judge, queue=len(jobs)
    )
    with LlamaEngine(reader) as client:
        scores = [client.score(t, o, h, TOLERANCE) for t, o, h in zip(texts, outputs, how, strict=True)]
        return [score.result() for score in scores]


def _most(found: Sequence[Calibration]) -> Thresholds:
    each = [calibration.thresholds() for calibration in found]
    return Thresholds(
        refuse_max=max(t.refuse_max for t in each),
        refuse_mean=max(t.refuse_mean for t in each),
        slash_max=max(t.slash_max for t in each),
        slash_mean=max(t.slash_mean for t in each),
    )
