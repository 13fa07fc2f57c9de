"""Answers and margins on disk, one line each, written as they come: a run can be killed and goes on where it
was."""

import base64
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from agents.protocol.messages import Finish
from bench.rastic.prompts import DATA

SMALLEST = 1e-4
"""Margins are kept in float16, rounded to three digits; a positive one stays at least this."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a node said to prompt `job`."""

    job: int
    tokens: tuple[int, ...]
    finish: Finish


def answers_file(name: str, mode: str) -> Path:
    """Where a set of answers lies."""
    return DATA / "answers" / f"{name}.{mode}.jsonl"


def margins_file(tier: str, name: str, mode: str) -> Path:
    """Where the margins of a set of claims lie."""
    return DATA / "margins" / tier / f"{name}.{mode}.jsonl"


def append(path: Path, entry: dict[str, object]) -> None:
    """One line more."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write(json.dumps(entry, separators=(",", ":")) + "\n")


def lines(path: Path) -> Iterator[dict[str, object]]:
    """All whole lines; the half line of a killed run is passed over."""
    if path.exists():
        for line in path.read_text().splitlines():
            try:
                yield json.loads(line)
            except ValueError:
                continue


def save_answer(path: Path, answer: Answer) -> None:
    """Token ids as uint16 in base64."""
    data = np.array(answer.tokens, dtype="<u2").tobytes()
    append(path, {"job": answer.job, "finish": int(answer.finish), "tokens": _pack(data)})


def load_answers(path: Path) -> dict[int, Answer]:
    """By job."""
    return {answer.job: answer for answer in map(_answer, lines(path))}


def pack_margins(margins: ArrayLike) -> str:
    """float16, three significant digits, compressed."""
    found = np.asarray(margins, dtype=np.float64)
    finite = np.where(np.isfinite(found), found, 0.0)
    with np.errstate(divide="ignore"):
        scale = 10.0 ** (2 - np.floor(np.log10(np.where(finite > 0, finite, 1.0))))
    rounded = np.where(found > 0, np.maximum(np.rint(finite * scale) / scale, SMALLEST), 0.0)
    return _pack(np.where(np.isfinite(found), rounded, np.inf).astype("<f2").tobytes())


def unpack_margins(text: str) -> NDArray[np.float64]:
    """What `pack_margins` packed."""
    return np.frombuffer(zlib.decompress(base64.b85decode(text)), dtype="<f2").astype(np.float64)


def _answer(entry: dict[str, object]) -> Answer:
    data = zlib.decompress(base64.b85decode(str(entry["tokens"])))
    tokens = tuple(np.frombuffer(data, dtype="<u2").tolist())
    return Answer(int(str(entry["job"])), tokens, Finish(int(str(entry["finish"]))))


def _pack(data: bytes) -> str:
    return base64.b85encode(zlib.compress(data, 9)).decode()
