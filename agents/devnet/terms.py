"""What the markets on one machine are deployed with."""

from agents.chain.court_config import CourtSettings
from agents.chain.deploy_config import DeploymentConfig
from agents.chain.tuning_config import TuningSettings

DEVNET = DeploymentConfig(
    court=CourtSettings(),
    dispute_limit=900,
    tuning=TuningSettings(dispute_limit=900),
    tuning_court=CourtSettings(),
)
"""For trying out; deployments/config.devnet.json is the same."""

DEMO = DeploymentConfig(
    challenge_window=40,
    delivery_window=15,
    dispute_limit=400,
    max_job_time=300,
    thaw_period=1200,
    court=CourtSettings(period=8, draw_window=20, commit_window=80, reveal_window=60, appeal_window=15),
)
"""Short where the story waits for a window to pass; the court's others end as soon as all have acted."""
