"""A seat's duty at each moment of a round: what it says of a check that is done, not done, or too much."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from court_stage import RIGHT, case_of
from market_stage import TRAINER

from agents.chain.devchain import dev_wallet
from agents.chain.journal import Journal
from agents.market.court import Opened, Panel, Phase, Progress, Round, Standing, Vote
from agents.node.court import sending as sending_module
from agents.node.court.ballots import Ballot, Ballots
from agents.node.court.checks import Checks, Lane
from agents.node.court.examiner import NO_WITNESS, Finding
from agents.node.court.sending import Sending
from agents.node.court.timing import Longest, Timing, longest
from agents.node.court.view import View
from agents.node.court.voting import Voting
from agents.node.speed import Costs, Speed

NODE = dev_wallet(TRAINER).address
NETWORK, MODELS = 2, 0
LAG = 3
ID = b"\1" * 32


@dataclass
class _Sent:
    """In the place of an outbox."""

    address: str = NODE
    actions: list[str] = field(default_factory=list)

    def put(self, subject: str, action: str, to: str, data: bytes) -> None:
        self.actions.append(action.split()[0])

    def see_to(self, subject: str, action: str, to: str, data: bytes) -> None:
        self.actions.append(action.split()[0])


class _Seat:
    """One seat of three, of a round with 120 s to commit."""

    def __init__(
        self, journal: Journal, flags: int, *, least: float = 0.0, seconds: float | None = None
    ) -> None:
        self.now = 0
        self.ballots = Ballots(journal)
        self.sent = _Sent()
        self.checks = Checks(None, lambda *_: None, lambda: self.now, lambda: 2 * LAG)  # type: ignore[arg-type]
        terms = SimpleNamespace(commit_window=120, reveal_window=60, draw_window=60)
        round_ = Round(0, 7, 1, 1, 0, 0, 0, 0, Progress.DRAWN, flags)
        court = SimpleNamespace(
            terms=terms, round=lambda *_: round_, witness_positions=lambda *_: list(range(8)), address=NODE,
            commitment=lambda *_: bytes(32), contract=SimpleNamespace(data=lambda *_: b""),
        )  # fmt: skip
        timing = SimpleNamespace(
            lag=lambda: LAG, seconds=lambda _: seconds, least=lambda _: least, lane=lambda _: Lane.FOREIGN
        )
        self.voting = Voting(court, self.ballots, self.checks, self.sent, timing)  # type: ignore[arg-type]
        case = case_of(5, NODE, RIGHT, RIGHT)
        self.opened = Opened(ID, NODE, case, False, bool(flags), True, 1, RIGHT, RIGHT, 1)

    def look(self, now: int, phase: Phase = Phase.COMMITTING, until: int = 120) -> None:
        self.now = now
        panel = Panel(7, (1, 2, 3), (NODE, "b", "c"))
        standing = Standing(phase, 0, until)
        self.voting.vote(View(ID, lambda: self.opened, standing, panel, [0], False, now))

    @property
    def wanted(self) -> bool:
        return (ID, 7) in self.checks._wanted

    @property
    def votes(self) -> Sequence[Ballot]:
        return self.ballots.of(ID, 0, 0)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal(tmp_path / "journal.sqlite") as journal:
        yield journal


def test_a_network_seat_says_that_it_could_not_before_it_is_silent(journal: Journal) -> None:
    seat = _Seat(journal, NETWORK)
    for now in (0, 60, 110):
        seat.look(now)
        assert seat.wanted
        assert not seat.sent.actions
    seat.look(114)
    assert [ballot.vote for ballot in seat.votes] == [Vote.UNABLE]
    assert "commit" in seat.sent.actions
    assert not seat.wanted


def test_before_the_panel_is_drawn_there_is_the_commit_windows_time(journal: Journal) -> None:
    """Whoever loads a model for it would otherwise be given up with the draw window."""
    seat = _Seat(journal, NETWORK)
    seat.look(50, Phase.DRAWING, 60)
    assert not seat.votes
    assert seat.checks._wanted[ID, 7].deadline == 170


def test_a_finding_that_came_first_is_what_is_said(journal: Journal) -> None:
    seat = _Seat(journal, NETWORK)
    seat.look(0)
    seat.ballots.found(ID, 7, Finding(Vote.UPHELD, bytes(32), "so"))
    seat.look(114)
    assert [ballot.vote for ballot in seat.votes] == [Vote.UPHELD]


def test_a_seat_of_the_model_says_nothing_it_does_not_know(journal: Journal) -> None:
    """Unable would be silence from it: until the last moment there may be a finding."""
    seat = _Seat(journal, MODELS)
    seat.look(115)
    assert seat.wanted
    seat.look(118)
    assert not seat.votes
    assert not seat.wanted


def test_a_busy_machine_tries_and_a_hopeless_one_does_not(journal: Journal) -> None:
    busy = _Seat(journal, MODELS, least=20.0, seconds=900.0)
    busy.look(10)
    assert busy.wanted
    hopeless = _Seat(journal, MODELS, least=200.0, seconds=400.0)
    hopeless.look(10)
    assert not hopeless.wanted


def test_evidence_that_cannot_be_read_is_dismissed(journal: Journal) -> None:
    seat = _Seat(journal, MODELS)
    seat.opened = replace(seat.opened, prompt=(), output=(), unreadable="no ABI encoding")
    seat.look(0)
    assert [(b.vote, b.witness) for b in seat.votes] == [(Vote.DISMISSED, NO_WITNESS)]
    assert "commit" in seat.sent.actions


class _Served:
    """A model in an engine that is as busy as can be."""

    def __init__(self) -> None:
        self.speed = Speed(Costs(read=0.01, write=0.1, sample=0.02))
        self.manifest = SimpleNamespace(context_length=100_000)
        self.engine = SimpleNamespace(stats=lambda: SimpleNamespace(running=9, waiting=90))


def test_what_is_busy_now_may_be_idle_soon() -> None:
    library = SimpleNamespace(serves=lambda *_: True)
    served: Any = {(5, 0): _Served()}
    timing = Timing(None, served, library, None)  # type: ignore[arg-type]
    case = case_of(5, NODE, range(100), range(100), temperature=1)
    assert timing.seconds(case) == pytest.approx(100 * 4.0)
    assert timing.least(case) == pytest.approx(2.0)


def test_the_longest_evidence_is_reckoned_with_the_hottest_sampling() -> None:
    model: Any = _Served()
    found = longest(model, SimpleNamespace(commit_window=600), 10)  # type: ignore[arg-type]
    assert found == Longest(16_384, pytest.approx(16_384 * 0.03), 590)  # type: ignore[arg-type]
    assert found.fits
    tight = longest(model, SimpleNamespace(commit_window=400), 10)  # type: ignore[arg-type]
    assert not tight.fits
    assert "16384 tokens takes its machine 492 s" in str(tight)


def test_what_is_refused_is_sent_again_while_there_is_time(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(sending_module.time, "monotonic", lambda: clock[0])
    retried: list[float] = []
    failed = SimpleNamespace(state=sending_module.State.FAILED, note="", block_number=None)
    outbox = SimpleNamespace(
        status=lambda *_: failed, retry=lambda *_: retried.append(clock[0]), address=NODE
    )
    sending = Sending(outbox, None)  # type: ignore[arg-type]
    while clock[0] < 700:
        sending.see_to("d", "reveal", NODE, b"")
        clock[0] += 1
    assert retried[0] == 100
    assert len(retried) > 30
    assert max(b - a for a, b in pairwise(retried)) <= 16
