"""What each contract of a market is built with, in the contracts' own order."""

from collections.abc import Mapping, Sequence
from typing import Any

from agents.chain.compiled import Artifact
from agents.chain.court_config import CourtSettings
from agents.chain.deploy_config import DeploymentConfig

NOBODY = "0x" + "00" * 20


def escrow_config(config: DeploymentConfig, addresses: Mapping[str, str]) -> tuple[Any, ...]:
    """IJobEscrow.EscrowConfig; without a court in `addresses`, that is the zero address."""
    return (
        addresses["Vault"],
        addresses["NodeRegistry"],
        addresses["ModelRegistry"],
        addresses["TuningGovernor"],
        addresses.get("DisputeCourt", NOBODY),
        config.penalty,
        config.miss_penalty,
        config.winner_share,
        config.delivery_fee,
        config.delivery_fee_per_token,
        config.challenge_window,
        config.delivery_window,
        config.dispute_limit,
        config.max_job_time,
    )


def court_config(court: CourtSettings, addresses: Mapping[str, str]) -> tuple[Any, ...]:
    """IDisputeCourt.CourtConfig."""
    return court.as_tuple(addresses["Vault"], addresses["NodeRegistry"], addresses["BlockHashRandomness"])


def rewards_config(config: DeploymentConfig, addresses: Mapping[str, str]) -> tuple[Any, ...]:
    """IEpochRewards.RewardsConfig; without a court for tuning in `addresses`, that is the zero address."""
    return config.tuning.rewards(addresses["Vault"], addresses.get("TuningCourt", NOBODY))


def tasks_config(config: DeploymentConfig, addresses: Mapping[str, str]) -> tuple[Any, ...]:
    """ITuningTasks.TasksConfig."""
    return config.tuning.tasks(
        addresses["Vault"],
        addresses["NodeRegistry"],
        addresses.get("TuningCourt", NOBODY),
        addresses["BlockHashRandomness"],
        addresses["EpochRewards"],
    )


def governor_config(config: DeploymentConfig, addresses: Mapping[str, str]) -> tuple[Any, ...]:
    """ITuningGovernor.GovernorConfig."""
    return config.tuning.governor(
        addresses["Vault"],
        addresses["TuningTasks"],
        addresses.get("TuningCourt", NOBODY),
        addresses["BlockHashRandomness"],
    )


def named(artifact: Artifact, args: Sequence[Any]) -> dict[str, Any]:
    """A constructor's arguments under their names, structs too."""
    inputs: list[dict[str, Any]] = next((entry["inputs"] for entry in artifact.entries("constructor")), [])
    return _by_name(inputs, args)


def _by_name(inputs: Sequence[Mapping[str, Any]], values: Sequence[Any]) -> dict[str, Any]:
    found = {}
    for entry, value in zip(inputs, values, strict=True):
        parts = entry.get("components")
        found[str(entry["name"]).rstrip("_")] = _by_name(parts, value) if parts else value
    return found
