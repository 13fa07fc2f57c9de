"""Every claim of the attack table, put together from the answers and margins on disk."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.protocol.messages import Finish
from bench.rastic import store
from bench.rastic.campaign import IMPOSTORS
from bench.rastic.score import LENGTHS
from bench.rastic.store import Answer

END = 2
MOST = 256

Margins = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Case:
    """One claim as a judge sees it. `same`: it is the honest answer after all."""

    job: int
    tokens: tuple[int, ...]
    finish: Finish
    margins: Margins
    same: bool = False


@dataclass(frozen=True, slots=True)
class Lane:
    """What was measured in one tier with one way of sampling; parts may be missing."""

    tier: str
    mode: str
    answers: dict[int, Answer]
    honest: dict[int, Margins]
    variants: dict[int, dict[str, Any]]
    impostors: dict[str, tuple[dict[int, Answer], dict[int, Margins]]]


def load(tier: str, mode: str) -> Lane:
    """From the files."""
    impostors = {}
    for name in IMPOSTORS:
        found = margins_of(tier, name, mode)
        if found:
            impostors[name] = (store.load_answers(store.answers_file(name, mode)), found)
    variants = {_job(entry): entry for entry in store.lines(store.margins_file(tier, "variants", mode))}
    honest = margins_of(tier, "honest", mode)
    return Lane(
        tier, mode, store.load_answers(store.answers_file("honest", mode)), honest, variants, impostors
    )


def honest(lane: Lane, length: int) -> list[Case]:
    """Honest answers of at least `length` tokens, cut there."""
    return [
        Case(job, lane.answers[job].tokens[:length], _cut(lane.answers[job], length), margins[:length], True)
        for job, margins in lane.honest.items()
        if len(margins) >= length
    ]


def attacks(lane: Lane, length: int) -> Iterator[tuple[str, list[Case]]]:
    """Attack by attack, the claims of `length` tokens."""
    for name, make in _MADE.items():
        cases = [case for job in lane.honest if (case := _try(make, lane, job, length)) is not None]
        if cases:
            yield name, cases
    for name, (answers, found) in lane.impostors.items():
        cases = [
            Case(
                job,
                answers[job].tokens[:length],
                _cut(answers[job], length),
                margins[:length],
                same=job in lane.answers
                and answers[job].tokens[:length] == lane.answers[job].tokens[:length],
            )
            for job, margins in found.items()
            if len(margins) >= length
        ]
        if cases:
            yield name, cases


def _try(make: "Maker", lane: Lane, job: int, length: int) -> Case | None:
    if len(lane.honest[job]) < length or job not in lane.variants:
        return None
    return make(lane, job, length)


def _tail_cut(lane: Lane, job: int, length: int) -> Case | None:
    # the answer goes on, but the node says that this was all
    tokens = lane.answers[job].tokens
    if len(tokens) == length:
        return None
    return Case(job, tokens[:length], Finish.LENGTH, lane.honest[job][:length])


def _forged_end(lane: Lane, job: int, length: int) -> Case | None:
    margin = lane.variants[job]["forged_end"].get(str(length))
    if margin is None:
        return None
    tokens = (*lane.answers[job].tokens[: length - 1], END)
    return Case(job, tokens, Finish.END, _put(lane.honest[job][:length], length - 1, [margin]))


def _at(name: str, place: Callable[[int], int], lane: Lane, job: int, length: int) -> Case | None:
    """One token changed at a place; the margins of what comes after it are packed with its own, if they were
    read."""
    entry = lane.variants[job].get(name)
    if isinstance(entry, dict):
        entry = entry.get(str(length))
    if entry is None:
        return None
    found = store.unpack_margins(entry) if isinstance(entry, str) else np.array([float(entry)])
    margins = _put(lane.honest[job][:length], place(length), found)
    return Case(job, lane.answers[job].tokens[:length], Finish.CUT, margins)


def _lie(name: str, lane: Lane, job: int, length: int) -> Case | None:
    entry = lane.variants[job].get(name)
    if entry is None:
        return None
    margins = lie(lane, job, name)[:length]
    if len(margins) < length:
        return None  # not read so far
    return Case(job, lane.answers[job].tokens[:length], Finish.CUT, margins, same=not margins.any())


def lie(lane: Lane, job: int, name: str) -> Margins:
    """The margins of an answer under a claim that lies about how it was made, as far as they were read."""
    return store.unpack_margins(lane.variants[job][name])


def _put(margins: Margins, at: int, values: "Margins | list[float]") -> Margins:
    found = margins.copy()
    part = np.asarray(values, dtype=np.float64)[: len(found) - at]
    found[at : at + len(part)] = np.where(part >= 1e9, np.inf, part)
    return found


def _cut(answer: Answer, length: int) -> Finish:
    return answer.finish if len(answer.tokens) == length and answer.finish is Finish.END else Finish.CUT


Maker = Callable[[Lane, int, int], Case | None]


def _maker(function: Callable[..., Case | None], *first: Any) -> Maker:
    return lambda lane, job, length: function(*first, lane, job, length)


_PLACES: dict[str, Callable[[int], int]] = {
    "first": lambda _: 0,
    "middle": lambda n: n // 2,
    "last": lambda n: n - 1,
}

_MADE: dict[str, Maker] = {
    "tail_cut": _tail_cut,
    "forged_end": _forged_end,
    **{f"changed_{where}": _maker(_at, f"changed_{where}", place) for where, place in _PLACES.items()},
    **{f"steered_{where}": _maker(_at, f"steered_{where}", place) for where, place in _PLACES.items()},
    **{
        name: _maker(_lie, name)
        for name in (
            "other_prompt",
            "copied",
            "other_seed",
            "other_node",
            "temperature",
            "top_p",
            "greedy_as_sampled",
            "sampled_as_greedy",
        )
    },
}

NAMES = (*_MADE, *IMPOSTORS)
assert max(LENGTHS) == MOST


def margins_of(tier: str, name: str, mode: str) -> dict[int, Margins]:
    """As they lie on disk, by job."""
    entries = store.lines(store.margins_file(tier, name, mode))
    return {_job(entry): store.unpack_margins(str(entry["margins"])) for entry in entries}


def _job(entry: dict[str, Any]) -> int:
    return int(entry["job"])
