"""When a node appeals against a ruling over its own answer, and when it says why not."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from court_stage import ADA, BEA, COURT, RIGHT, CourtStage, case_of

from agents.chain.devchain import dev_wallet
from agents.chain.journal import Journal
from agents.chain.outbox import Outbox, OutboxSettings
from agents.market.court import Phase, Vote
from agents.node.court.appeals import Appeals
from agents.node.court.ballots import Ballots
from agents.node.court.checks import Checks
from agents.node.court.examiner import NO_WITNESS, Finding
from agents.node.court.sending import Sending
from agents.node.court.view import View
from agents.node.court.voting import Voting


class Advocate:
    """ADA's appeals alone, over a dispute that BEA's seats have ruled against it."""

    def __init__(self, court: CourtStage, journal: Journal, outbox: Outbox) -> None:
        self.court = court
        self.outbox = outbox
        self.ballots = Ballots(journal)
        self.sending = Sending(outbox, court.stage.connection)
        court.sit(BEA, 5)
        self.node = dev_wallet(ADA).address
        case = case_of(court.stage.model_id, self.node, RIGHT, RIGHT)
        self.dispute = court.open(case, RIGHT, RIGHT)
        court.judge(BEA, self.dispute, 0, [Vote.UPHELD] * 3)
        self.panel = court.court.panel(self.dispute, 0)

    def found(self, vote: Vote) -> None:
        """What its own check says."""
        self.ballots.found(self.dispute, self.panel.lot, Finding(vote, NO_WITNESS, "it is so"))

    def consider(self, *, allowed: bool = True, own: bool = True, claim: int = 0) -> None:
        market, real = self.court.stage.market, self.court.court
        checks = Checks(None, lambda *_: None, market.clock.now, lambda: 0.0)  # type: ignore[arg-type]
        voting = Voting(real, self.ballots, checks, self.sending, None)  # type: ignore[arg-type]
        appeals = Appeals(real, market, self.ballots, voting, self.sending, lambda _: claim, allowed=allowed)
        standing = self.court.standing(self.dispute)
        opened = self.court.opened(self.dispute)
        view = View(opened.id, lambda: opened, standing, self.panel, [], own, market.clock.now())
        appeals.consider(view)

    def asked(self) -> bool:
        return bool(self.outbox.unfinished())


@pytest.fixture
def advocate(court: CourtStage, tmp_path: Path) -> Iterator[Advocate]:
    settings = OutboxSettings(poll=0.02)
    with (
        Journal(tmp_path / "advocate.sqlite") as journal,
        Outbox(journal, court.stage.connection, dev_wallet(ADA), settings) as outbox,
    ):
        yield Advocate(court, journal, outbox)


def test_when_it_appeals_and_when_not(advocate: Advocate, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    court = advocate.court
    cost = court.court.appeal_cost(2 * len(RIGHT))
    assert court.standing(advocate.dispute).phase is Phase.APPEALABLE
    advocate.consider(own=False)
    advocate.consider(allowed=False)
    assert "CAPEK_NODE_APPEAL" in caplog.text
    advocate.found(Vote.DISMISSED)
    advocate.consider()  # its Vault account is empty
    text = caplog.records[-1].getMessage()
    assert f"have {court.stage.market.money(cost)} more" in text
    assert advocate.node in text
    assert not advocate.asked()
    court.stage.deposit(dev_wallet(ADA), cost)
    advocate.consider()
    advocate.consider()
    (intent,) = advocate.outbox.unfinished()
    advocate.outbox.wait(intent.subject, intent.action, 10)
    assert court.standing(advocate.dispute).round == 1
    assert court.events.appeals(advocate.node, 0) == [(advocate.dispute, cost)]
    assert COURT.appeal_seats == 5


def test_no_appeal_for_an_answer_that_its_own_check_finds_wrong(
    advocate: Advocate, caplog: pytest.LogCaptureFixture
) -> None:
    advocate.found(Vote.UPHELD)
    advocate.consider()
    assert "our own check can't contradict it, so no appeal: it is so" in caplog.text
    assert not advocate.asked()
