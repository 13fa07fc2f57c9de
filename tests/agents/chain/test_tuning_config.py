import pytest
from pydantic import ValidationError

from agents.chain.court_config import CourtSettings
from agents.chain.deploy_config import DeploymentConfig
from agents.chain.tuning_config import TuningSettings


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"reviewWindow": 120}, "nothing could be proposed"),
        ({"closeWindow": 121}, "closeWindow"),
        ({"fullTurnout": 999}, "fullTurnout"),
        ({"riseTime": 61}, "never rise"),
        ({"missPenalty": 10_000_001}, "missPenalty"),
        ({"winnerShare": 5001}, "5000"),
        ({"auditSegments": 0}, "1"),
    ],
)
def test_what_the_constructors_would_refuse(change: dict[str, int], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        TuningSettings.model_validate(change)


def test_stake_outlasts_a_task() -> None:
    longest = TuningSettings().obligation
    TuningSettings().check(longest + 1, 0, 0)
    with pytest.raises(ValueError, match="thawPeriod"):
        TuningSettings().check(longest, 0, 0)


def test_disputes_fit_their_court() -> None:
    court = CourtSettings()
    with pytest.raises(ValidationError, match="600 s that the court can take"):
        DeploymentConfig(tuning_court=court)
    terms = TuningSettings(dispute_limit=601)
    assert DeploymentConfig(tuning=terms, tuning_court=court).tuning.dispute_limit == 601
    small = terms.model_copy(update={"min_stake": 2 * court.highest_cost - 1})
    with pytest.raises(ValidationError, match="tuning.minStake"):
        DeploymentConfig(tuning=small, tuning_court=court)


def test_public_networks_name_their_terms() -> None:
    token = "0x" + "12" * 20
    with pytest.raises(ValidationError, match="tuning is missing"):
        DeploymentConfig(chain_id=11155111, token=token)
    DeploymentConfig(chain_id=11155111, token=token, tuning=TuningSettings())
