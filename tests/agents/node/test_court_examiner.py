"""From evidence to votes and witnesses, with a real model: right, wrong, and not to be run."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from court_stage import RIGHT, case_of
from market_stage import TRAINER, manifest_of, weights_file

from agents.chain.devchain import dev_wallet
from agents.engine import Busy
from agents.engine.interface import NO_LOGITS
from agents.market.court import Opened, Vote
from agents.node.court.examiner import (
    NO_WITNESS,
    EngineExaminer,
    Finding,
    NoSuchModel,
    NotNow,
    Runnable,
    Unrunnable,
)
from agents.node.speed import Speed
from agents.protocol.manifest import Manifest
from agents.protocol.messages import Finish
from agents.protocol.sampling import Sampling
from agents.rastic.witness import unpack

NODE = dev_wallet(TRAINER).address
POSITIONS = (3, 27, 9, 0, 19, 21, 22, 15)
Loaded = tuple[Any, bytes, Speed]


@dataclass(frozen=True)
class _Shelf:
    """One model, or why there is none."""

    model: Runnable
    missing: Exception | None = None

    @contextmanager
    def run(self, model_id: int, version: int, tokens: int, seconds: float) -> Iterator[Runnable]:
        if self.missing:
            raise self.missing
        yield self.model


@pytest.fixture(scope="module")
def manifest(_weights: None) -> Manifest:
    return manifest_of(weights_file())


@pytest.fixture
def shelf(loaded: Loaded, manifest: Manifest) -> _Shelf:
    engine, bit_class, _ = loaded
    return _Shelf(Runnable(manifest, engine, bit_class))


def said(shelf: _Shelf, sampling: Sampling | None = None, count: int = 8) -> list[int]:
    """What the model says after RIGHT."""
    engine, ends = shelf.model.engine, shelf.model.manifest.end_tokens
    return list(engine.generate(RIGHT, count, sampling or Sampling(), ends).result(60).tokens)


def opened(
    shelf: _Shelf, prompt: Sequence[int], output: Sequence[int], *, exact: bool = True, **changes: Any
) -> Opened:
    case = case_of(5, NODE, prompt, output, **{"bit_class": shelf.model.bit_class} | changes)
    return Opened(bytes(32), NODE, case, exact, False, True, 1, tuple(prompt), tuple(output), 1)


def examine(shelf: _Shelf, dispute: Opened, positions: Sequence[int] = POSITIONS) -> Finding:
    return EngineExaminer(shelf).examine(dispute, positions)


def test_a_right_answer_is_dismissed_with_the_second_best_tokens(shelf: _Shelf) -> None:
    output = said(shelf)
    found = examine(shelf, opened(shelf, RIGHT, output))
    assert found.vote is Vote.DISMISSED
    direct = shelf.model.engine.examine(RIGHT, output, Sampling(), POSITIONS).result(60)
    assert unpack(found.witness) == direct.second_best
    assert examine(shelf, opened(shelf, RIGHT, output, exact=False)).vote is Vote.DISMISSED


def test_a_sampled_answer_is_judged_with_its_own_noise(shelf: _Shelf) -> None:
    sampling = Sampling(7, bytes.fromhex(NODE[2:]), 900_000, 950_000)
    output = said(shelf, sampling)
    case = {"temperature": 900_000, "top_p": 950_000}
    assert examine(shelf, opened(shelf, RIGHT, output, **case)).vote is Vote.DISMISSED
    other = examine(shelf, opened(shelf, RIGHT, output, **case | {"seed": 8}))
    assert other.vote is Vote.UPHELD


def test_a_near_miss_is_wrong_by_the_exact_rule_alone(shelf: _Shelf) -> None:
    output = said(shelf)
    second = shelf.model.engine.examine(RIGHT, output, Sampling(), range(19, 27)).result(60).second_best
    near = []
    for i, token in enumerate(second):
        altered = [*output[:i], token]
        margin = shelf.model.engine.score(RIGHT, altered, Sampling()).result(60)[-1]
        if 0.02 < margin < 1.0:
            near = altered
    assert near, "this prompt leaves no close call"
    assert examine(shelf, opened(shelf, RIGHT, near)).vote is Vote.UPHELD
    assert examine(shelf, opened(shelf, RIGHT, near, exact=False)).vote is Vote.DISMISSED
    foreign = opened(shelf, RIGHT, near, bit_class=b"\x01" * 32)
    found = examine(shelf, foreign)  # exact, for machines of another class
    assert found.vote is Vote.DISMISSED
    assert "another bit class" in found.reason


def test_a_wrong_answer_is_upheld_by_either_rule(shelf: _Shelf) -> None:
    output = said(shelf)
    wrong = [*output[:3], output[3] ^ 1, *output[4:]]
    for exact in (True, False):
        assert examine(shelf, opened(shelf, RIGHT, wrong, exact=exact)).vote is Vote.UPHELD


@pytest.mark.parametrize("changes", [{"finish": int(Finish.END)}, {"max_tokens": 9}], ids=["end", "length"])
def test_an_answer_that_ends_where_it_must_not_is_wrong(shelf: _Shelf, changes: dict[str, int]) -> None:
    assert examine(shelf, opened(shelf, RIGHT, said(shelf), **changes)).vote is Vote.UPHELD


@pytest.mark.parametrize(
    "changes",
    [{"finish": 7}, {"max_tokens": 3}, {"top_p": 0}, {"top_p": 1_000_001}, {"temperature": 2 * 10**8}],
    ids=str,
)
def test_a_case_that_no_market_could_have_is_its_openers_fault(
    shelf: _Shelf, changes: dict[str, int]
) -> None:
    found = examine(shelf, opened(shelf, RIGHT, said(shelf), **changes))
    assert (found.vote, found.witness) == (Vote.DISMISSED, NO_WITNESS)


def test_tokens_outside_the_vocabulary_are_the_fault_of_who_said_them(shelf: _Shelf) -> None:
    output, outside = said(shelf), 2**32 - 1
    found = examine(shelf, opened(shelf, (*RIGHT, outside), output))
    assert (found.vote, found.witness) == (Vote.DISMISSED, NO_WITNESS)
    found = examine(shelf, opened(shelf, RIGHT, [*output[:2], outside, *output[3:]]))
    assert found.vote is Vote.UPHELD
    right = examine(shelf, opened(shelf, RIGHT, output))
    for at, lane, other in zip(POSITIONS, unpack(found.witness), unpack(right.witness), strict=True):
        assert lane == (NO_LOGITS if at >= 22 else other)


def test_what_does_not_fit_the_context(shelf: _Shelf) -> None:
    output = said(shelf)
    small = shelf.model.manifest.model_copy(update={"context_length": 24})
    shelf = replace(shelf, model=replace(shelf.model, manifest=small))
    found = examine(shelf, opened(shelf, range(100, 125), output))
    assert (found.vote, found.witness) == (Vote.DISMISSED, NO_WITNESS)
    found = examine(shelf, opened(shelf, (), output))
    assert (found.vote, found.witness) == (Vote.DISMISSED, NO_WITNESS)
    found = examine(shelf, opened(shelf, RIGHT, output))
    assert found.vote is Vote.UPHELD
    lanes = dict(zip(POSITIONS, unpack(found.witness), strict=True))
    assert {at for at, lane in lanes.items() if lane == NO_LOGITS} == {27}


@pytest.mark.parametrize(
    ("missing", "vote"), [(NoSuchModel("no"), Vote.DISMISSED), (Unrunnable("no"), Vote.UNABLE)]
)
def test_without_a_model(shelf: _Shelf, missing: Exception, vote: Vote) -> None:
    found = examine(replace(shelf, missing=missing), opened(shelf, RIGHT, RIGHT))
    assert (found.vote, found.witness) == (vote, NO_WITNESS)


def test_a_busy_engine_is_asked_again_later(shelf: _Shelf) -> None:
    with pytest.raises(NotNow):
        examine(replace(shelf, missing=Busy("full")), opened(shelf, RIGHT, RIGHT))


def test_work_without_finite_logits_is_dismissed_by_all_alike(shelf: _Shelf) -> None:
    """Or a publisher of such weights has the seats of its model fined for nothing."""
    output = said(shelf)
    shelf = replace(shelf, model=replace(shelf.model, engine=_NotFinite(shelf.model.engine)))
    found = examine(shelf, opened(shelf, RIGHT, output))
    assert (found.vote, found.witness) == (Vote.DISMISSED, NO_WITNESS)


class _NotFinite:
    """As weights that hold NaN."""

    def __init__(self, engine: Any) -> None:
        self.tokenizer = engine.tokenizer
        self._engine = engine

    def examine(self, prompt: Any, output: Any, sampling: Any, positions: Any, tolerance: int) -> Any:
        reading = self._engine._reading(prompt, output, sampling, tolerance, positions)
        use = reading._use
        reading._use = lambda row, logits: use(row, logits * np.float32("nan"))
        return self._engine._read(reading.job(reading.examination))


def test_what_is_no_evidence_is_dismissed_before_any_model_runs(shelf: _Shelf) -> None:
    found = examine(replace(shelf, missing=Busy("full")), opened(shelf, RIGHT, RIGHT, finish=9))
    assert (found.vote, found.witness) == (Vote.DISMISSED, NO_WITNESS)
