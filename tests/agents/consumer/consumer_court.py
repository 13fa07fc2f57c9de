"""A court on the stage, and a bench of its seats that votes as a test tells it to."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from consumer_stage import TERMS, Stage, build_stage
from eth_abi.abi import encode

from agents.chain.court_config import CourtSettings
from agents.chain.devchain import DevChain, dev_wallet
from agents.market.court import Court, Phase, Vote
from agents.market.events import Events
from agents.protocol.manifest import Manifest

COURT = CourtSettings(period=20, draw_window=60, commit_window=60, reveal_window=60, appeal_window=60)
COURT_TERMS = TERMS.model_copy(update={"court": COURT, "dispute_limit": 700, "thaw_period": 3600})
JUDGE, SEATS = 7, 6
UP, DOWN, SILENT, UNABLE = Vote.UPHELD, Vote.DISMISSED, Vote.NONE, Vote.UNABLE


def build_court_stage(chain: DevChain, folder: Path, manifest: Manifest, bit_class: bytes) -> Stage:
    """As `build_stage`, with seats of one judge that can be drawn."""
    stage = build_stage(chain, folder, manifest, COURT_TERMS)
    judge, market, court = dev_wallet(JUDGE), stage.market, court_of(stage)
    stake = SEATS * COURT.seat_stake
    stage.deposit(judge, stake)
    stage.send(judge, market.nodes, "setNode", judge.address, bytes(32), "")
    owner = encode(["address"], [judge.address])
    stage.send(judge, market.vault, "payAndCall", market.nodes.address, stake, owner)
    stage.send(judge, market.nodes, "provision", court.address, stage.model_id, stake)
    for _ in range(SEATS):
        stage.send(judge, court.contract, "takeSeat", judge.address, stage.model_id, bit_class)
    stage.pass_time(2 * COURT.period)
    return stage


def court_of(stage: Stage) -> Court:
    court = stage.market.court
    assert court is not None
    return court


class Bench:
    """The seats of a stage's court: all of them are one judge's."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.court = court_of(stage)
        self.judge = dev_wallet(JUDGE)

    def dispute(self, job: str) -> bytes:
        """The id of the dispute over a job."""
        found = Events(self.stage.market).dispute_of(bytes.fromhex(job[2:]), self.stage.market.start_block)
        assert found is not None
        return found.id

    def mine(self, blocks: int = 3) -> None:
        """Until there is something to draw by."""
        self.stage.market.connection.rpc("anvil_mine", hex(blocks))

    def commit(self, id: bytes, votes: Sequence[Vote]) -> None:
        """One vote a seat of the panel; NONE is silence."""
        self.mine()
        n = self.court.standing(id).round
        for i, vote in enumerate(votes):
            if vote is not SILENT:
                args = (id, n, i, self.judge.address, vote, self._witness(id), self._salt(i))
                self._send("commit", id, i, self.court.commitment(*args))

    def reveal(self, id: bytes, votes: Sequence[Vote]) -> None:
        """After `commit`, of the same votes."""
        if SILENT in votes and self.court.standing(id).phase is Phase.COMMITTING:
            self.stage.pass_time(COURT.commit_window + 1)
        for i, vote in enumerate(votes):
            if vote is not SILENT:
                self._send("reveal", id, i, int(vote), self._witness(id), self._salt(i))

    def vote(self, job: str, *votes: Vote) -> None:
        """A whole round."""
        id = self.dispute(job)
        self.commit(id, votes)
        self.reveal(id, votes)

    def rule(self, job: str, *votes: Vote) -> None:
        """A whole first round, and nobody appeals."""
        self.vote(job, *votes)
        self.stage.pass_time(COURT.reveal_window + COURT.appeal_window + 1)

    def _send(self, function: str, *args: Any) -> None:
        self.stage.send(self.judge, self.court.contract, function, *args)

    def _witness(self, id: bytes) -> bytes:
        return id

    def _salt(self, index: int) -> bytes:
        return bytes([index]) * 32


class Acts:
    """What happens while a command waits: one act each time it would sleep."""

    def __init__(self, *acts: Callable[[], object]) -> None:
        self._acts = list(acts)
        self.done = 0

    def __call__(self, _: float) -> None:
        assert self._acts, "the command waits for something that nobody does"
        self._acts.pop(0)()
        self.done += 1


def leaving_once_challenged(stage: Stage) -> Callable[[float], None]:
    """In the place of a command's sleep: Ctrl-C as soon as there is a dispute."""

    def sleep(_: float) -> None:
        if list(Events(stage.market).disputes(stage.market.start_block)):
            raise KeyboardInterrupt

    return sleep
