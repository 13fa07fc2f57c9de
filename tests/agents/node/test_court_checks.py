"""Checks take turns by their deadlines, and none that fails, waits or hangs about stands in another's way."""

import threading
from collections.abc import Sequence

import pytest
from court_stage import RIGHT, case_of
from market_stage import TRAINER, until

from agents.chain.devchain import dev_wallet
from agents.market.court import Opened, Vote
from agents.node.court import checks as module
from agents.node.court.checks import Checks, Lane, Wanted
from agents.node.court.examiner import NO_WITNESS, Finding, NotNow

NODE = dev_wallet(TRAINER).address


class _Slow:
    """Says what it is told by a dispute's id, once the gate is open."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.asked: list[int] = []

    def examine(self, opened: Opened, positions: Sequence[int]) -> Finding:
        self.gate.wait(20)
        kind = opened.id[0]
        self.asked.append(kind)
        if kind == 1:
            raise NotNow("no weights yet")
        if kind == 2:
            raise RuntimeError("evidence that nobody thought of")
        return Finding(Vote.DISMISSED, NO_WITNESS, "")


class _Court:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "_REST", 0.05)
        self.now = 1000
        self.examiner = _Slow()
        self.found: dict[int, Finding] = {}
        self.checks = Checks(self.examiner, self._found, lambda: self.now, lambda: 5.0)

    def _found(self, opened: Opened, lot: int, finding: Finding) -> None:
        self.found[opened.id[0]] = finding

    def want(self, kind: int, deadline: int) -> None:
        case = case_of(5, NODE, RIGHT, RIGHT)
        opened = Opened(bytes([kind]) * 32, NODE, case, False, False, True, 1, RIGHT, RIGHT, 1)
        self.checks.want(Wanted(opened, 7, (), deadline, 2.0, Lane.ENGINE))


def test_turns_failures_and_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    court = _Court(monkeypatch)
    court.want(3, 1300)
    court.want(2, 1100)
    court.want(1, 1050)
    court.want(4, 900)  # too late already
    court.want(5, 1200)
    assert court.checks.before((bytes([5]) * 32, 7), 1200, Lane.ENGINE) == 6.0
    court.checks.start()
    court.examiner.gate.set()
    until(lambda: {2, 3, 5} <= set(court.found))
    assert court.examiner.asked[:2] == [1, 2]
    assert [kind for kind in court.examiner.asked if kind not in (1, 2)] == [5, 3]
    assert court.found[2].vote is Vote.UNABLE
    assert 1 not in court.found
    court.now = 1046  # no more waiting
    until(lambda: 1 in court.found)
    assert court.found[1].vote is Vote.UNABLE
    assert "no weights yet" in court.found[1].reason
    assert 4 not in court.examiner.asked
    court.checks.stop()


def test_a_stop_under_a_check_is_no_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that closes looks as if there were no model; the next start may still make it."""
    court = _Court(monkeypatch)
    court.want(1, 1004)
    court.checks.start()
    until(lambda: court.checks.running((bytes([1]) * 32, 7)))
    stopping = threading.Thread(target=court.checks.stop)
    stopping.start()
    until(lambda: court.checks.stopping)
    court.examiner.gate.set()
    stopping.join(10)
    assert court.examiner.asked == [1]
    assert court.found == {}


def test_a_check_that_runs_does_not_hold_up_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_GRACE", 0.1)
    court = _Court(monkeypatch)
    court.want(3, 1300)
    court.checks.start()
    until(lambda: court.checks.running((bytes([3]) * 32, 7)))
    court.checks.stop()
    assert court.found == {}
    court.examiner.gate.set()
