"""What the local markets are deployed with, and the verifiers that do not do their duty."""

from pathlib import Path

import pytest

from agents.chain.deploy_config import DeploymentConfig
from agents.devnet.telling import DemoFailed, expect, usd
from agents.devnet.terms import DEMO, DEVNET
from agents.devnet.wrong_verifiers import LazyExaminer, LyingExaminer
from agents.market.court import Case, Opened, Vote
from agents.node.court.examiner import Finding

FOLDER = Path(__file__).parents[3] / "deployments"
NODE = "0x000000000000000000000000000000000000dEaD"


def opened(id: bytes) -> Opened:
    case = Case(bytes(32), NODE, NODE, 1, 0, 2, 3, 3, 1, 7, 0, 1, bytes(32), bytes(32))
    return Opened(id, NODE, case, True, False, True, 9, (1, 2), (3, 4, 5), 1)


class Honest:
    def __init__(self, vote: Vote) -> None:
        self.vote = vote

    def examine(self, opened: Opened, positions: object) -> Finding:
        return Finding(self.vote, bytes(31) + b"\1", "looked")


def test_the_committed_configuration_is_the_devnets() -> None:
    assert DeploymentConfig.load(FOLDER / "config.devnet.json") == DEVNET


def test_both_have_a_court_that_fits() -> None:
    for config in (DEVNET, DEMO):
        assert DeploymentConfig.model_validate(config.to_json()) == config
        assert config.court is not None
        assert config.dispute_limit > config.court.longest


@pytest.mark.parametrize(
    ("found", "said"),
    [(Vote.UPHELD, Vote.DISMISSED), (Vote.DISMISSED, Vote.UPHELD), (Vote.UNABLE, Vote.UNABLE)],
)
def test_a_liar_votes_the_opposite_with_a_good_witness(found: Vote, said: Vote) -> None:
    honest = Honest(found)
    lie = LyingExaminer(honest).examine(opened(bytes(32)), range(8))
    assert lie.vote is said
    assert lie.witness == honest.examine(opened(bytes(32)), range(8)).witness


def test_a_lazy_verifier_invents_a_witness_for_each_dispute() -> None:
    one, other = (LazyExaminer().examine(opened(bytes([i]) * 32), range(8)) for i in (1, 2))
    assert (one.vote, other.vote) == (Vote.UPHELD, Vote.UPHELD)
    assert len(one.witness) == 32
    assert one.witness != other.witness


@pytest.mark.parametrize(
    ("amount", "said"),
    [(0, "0.00 DevUSD"), (1_500_000, "1.50 DevUSD"), (20_000_000_000, "20,000.00 DevUSD"),
     (313_841, "0.313841 DevUSD"), (-10_000_000, "-10.00 DevUSD"), (153_500, "0.1535 DevUSD")],
)  # fmt: skip
def test_amounts_are_said_without_idle_zeros(amount: int, said: str) -> None:
    assert usd(amount) == said


def test_a_turn_that_the_story_may_not_take_stops_it() -> None:
    expect(True, "fine")
    with pytest.raises(DemoFailed, match="ada was slashed"):
        expect(False, "ada was slashed")
