"""A verifier killed, late, or overtaken by a reorganisation: no vote is lost, none is cast twice."""

import logging
from collections.abc import Sequence
from pathlib import Path

import pytest
from court_process import DIED, DONE, WITNESS, in_child
from court_stage import ADA, BEA, COURT, RIGHT, CourtStage, case_of
from market_stage import until

from agents.chain.devchain import dev_wallet
from agents.chain.journal import Journal
from agents.market.court import Opened, Phase, Ruling, Vote
from agents.node.court.ballots import Ballots
from agents.node.court.examiner import Examiner, Finding
from agents.node.speed import Costs

DEATHS = [
    f"{verb}:{edge}"
    for verb in ("commit", "reveal", "close")
    for edge in ("before-sign", "signed", "sent", "before-record")
]


def test_dying_at_every_edge(court: CourtStage, tmp_path: Path) -> None:
    court.sit(BEA, 3)
    node = dev_wallet(BEA).address
    dispute = court.open(case_of(court.stage.model_id, node, RIGHT, RIGHT), RIGHT, RIGHT)
    where = court.stage.url, court.stage.deployment, tmp_path, BEA
    before = court.stage.connection.nonce(node)
    assert [in_child(*where, death) for death in DEATHS] == [DIED] * len(DEATHS)
    assert in_child(*where, None) == DONE
    assert court.ended(dispute) is Ruling.DISMISSED
    assert [(b.vote, b.witness) for b in court.events.votes(dispute, 0)] == [(Vote.DISMISSED, WITNESS)] * 3
    assert len(list(court.events.dispute_log(dispute, ["VoteCommitted"], 0))) == 3
    assert court.stage.connection.nonce(node) == before + 7  # three commits, three reveals, one close


def test_a_salt_once_made_stays(tmp_path: Path) -> None:
    finding = Finding(Vote.UPHELD, WITNESS, "so")
    made = []
    for lot in (7, 7, 2**64 - 1):
        with Journal(tmp_path / "journal.sqlite") as journal:
            made.append(Ballots(journal).cast(bytes(32), 0, 1, lot, finding, lambda _: None))
    assert made[0] == made[1]
    assert made[2].salt != made[0].salt
    assert "salt" not in repr(made[0])
    with Journal(tmp_path / "journal.sqlite") as journal:
        ballots = Ballots(journal)
        assert ballots.of(bytes(32), 0, 1) == [made[2], made[0]]

        def fails(_: object) -> None:
            raise RuntimeError

        with pytest.raises(RuntimeError):
            ballots.cast(bytes(32), 0, 2, 7, finding, fails)
        assert ballots.of(bytes(32), 0, 2) == []  # nothing was to be sent, nothing is kept


class _Counting:
    def __init__(self, honest: Examiner) -> None:
        self._honest = honest
        self.lots: list[Sequence[int]] = []

    def examine(self, opened: Opened, positions: Sequence[int]) -> Finding:
        self.lots.append(positions)
        return self._honest.examine(opened, positions)


def test_a_reorganisation_draws_anew_and_the_vote_follows(court: CourtStage) -> None:
    counting: list[_Counting] = []

    def wrap(honest: Examiner) -> Examiner:
        counting.append(_Counting(honest))
        return counting[-1]

    node = court.run(BEA, seats=3, verify_only=True, wrap_examiner=wrap)
    court.seats(court.stage.model_id, 3)
    case = case_of(court.stage.model_id, node.identity.node, RIGHT, RIGHT)
    before = court.stage.connection.rpc("evm_snapshot")
    dispute = court.open(case, RIGHT, RIGHT)
    court.wait(dispute, Phase.FINAL)
    until(lambda: not node.outbox.unfinished())
    lot = court.court.panel(dispute, 0).lot
    court.stage.connection.rpc("evm_revert", before)
    court.mine(6)
    assert court.open(case, RIGHT, RIGHT) == dispute
    assert court.closed(dispute) is Ruling.UPHELD
    assert court.votes(dispute) == ["UPHELD"] * 3
    assert len(counting[0].lots) == 2
    assert counting[0].lots[0] != counting[0].lots[1]
    (drawn,) = court.events.dispute_log(dispute, ["PanelDrawn"], 0)
    assert drawn.args["lot"] != lot
    verifier = node.verifier
    assert verifier is not None
    until(lambda: verifier.report()["sat"] == 1)
    assert verifier.report()["own"] == 0  # nobody's contract vouches for this case, whatever node it names


def test_too_late_is_said_and_not_tried(court: CourtStage, caplog: pytest.LogCaptureFixture) -> None:
    node = court.run(BEA, seats=3, verify_only=True)
    court.seats(court.stage.model_id, 3)
    (model,) = node.models.values()
    model.speed.costs = Costs(read=1e6, write=1e6)
    case = case_of(court.stage.model_id, dev_wallet(ADA).address, RIGHT, RIGHT)
    dispute = court.open(case, RIGHT, RIGHT)

    def said() -> list[str]:
        texts = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
        return [text for text in texts if text.startswith("not voting")]

    until(said)
    assert court.standing(dispute).phase is Phase.DRAWING
    node.stop(0)
    court.stage.send(dev_wallet(BEA), court.court.contract, "draw", dispute)
    court.stage.pass_time(COURT.commit_window - 2)
    caplog.clear()
    # Fast again, and there are two seconds. What it has to run its seats say.
    node = court.run(BEA, models="", verify_only=True)
    assert [model.version.model_id for model in node.models.values()] == [court.stage.model_id]
    until(said)
    court.stage.pass_time(3)
    assert court.ended(dispute) is Ruling.UNDECIDED
    assert court.votes(dispute) == []
    verifier = node.verifier
    assert verifier is not None
    until(lambda: "3 of our seats were silent and lose 7.5 DevUSD" in caplog.text)
    assert verifier.report()["silent"] == 3
    until(lambda: verifier.report()["seats"] == {})  # and are not taken again by themselves
