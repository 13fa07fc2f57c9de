"""What a deployment is configured with: `deployments/config.<network>.json`, in the contracts' own names."""

import json
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from agents.chain.court_config import BASIS_POINTS, CourtSettings
from agents.chain.errors import ChainError
from agents.chain.tuning_config import TuningSettings

LOCAL_CHAINS = (31337, 1337)
"""Chains of one machine: they get a token of their own, and nobody reorganises their blocks."""

_Seconds = Annotated[int, Field(gt=0, lt=1 << 40)]
_Window = Annotated[int, Field(gt=0, le=30 * 86_400)]
_Stake = Annotated[int, Field(ge=0, lt=1 << 72)]
_Fee = Annotated[int, Field(ge=0, lt=1 << 64)]
_Address = Annotated[str, Field(pattern="^0x[0-9a-fA-F]{40}$")]


class ConfigError(ChainError):
    """A deployment's configuration can't be used; the text names the field."""


class DeploymentConfig(BaseModel):
    """Amounts in base units of the payment token, times in seconds, shares in basis points. The defaults are
    those of a development chain."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, validate_by_name=True, strict=True
    )

    chain_id: Annotated[int, Field(gt=0)] = 31337
    token: _Address | None = None
    """The payment token; None deploys DevUSD, on local chains alone."""
    thaw_period: _Seconds = 3600
    court: CourtSettings | None = None
    """None: nobody judges, and a wrong answer can only be refused."""
    tuning: TuningSettings = TuningSettings()
    """Epochs, tasks and rewards."""
    tuning_court: CourtSettings | None = None
    """A court of its own for tuning (docs/tuning.md); None: nobody judges a segment, a merge or a root."""
    penalty: Annotated[int, Field(gt=0, lt=1 << 72)] = 10_000_000
    miss_penalty: _Stake = 2_000_000
    winner_share: Annotated[int, Field(ge=0, le=5000)] = 5000
    delivery_fee: _Fee = 100_000
    delivery_fee_per_token: _Fee = 100
    challenge_window: _Window = 60
    delivery_window: _Window = 60
    dispute_limit: Annotated[int, Field(gt=0, le=90 * 86_400)] = 600
    max_job_time: _Window = 900

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.token is None and self.chain_id not in LOCAL_CHAINS:
            raise ValueError("token is missing: only local chains get a token of their own")
        if self.miss_penalty > self.penalty:
            raise ValueError("missPenalty must not exceed penalty")
        longest = self.max_job_time + 2 * self.challenge_window + self.delivery_window + self.dispute_limit
        if self.thaw_period <= longest:
            raise ValueError(
                "thawPeriod must exceed maxJobTime + 2 × challengeWindow + deliveryWindow + disputeLimit = "
                f"{longest}, or stake could leave before its disputes end"
            )
        if self.court is not None:
            self._fits_court(self.court)
        if self.chain_id not in LOCAL_CHAINS and "tuning" not in self.model_fields_set:
            raise ValueError("tuning is missing: its defaults are those of a development chain")
        judge = self.tuning_court
        longest_dispute, highest_cost = (judge.longest, judge.highest_cost) if judge else (0, 0)
        self.tuning.check(self.thaw_period, longest_dispute, highest_cost)
        return self

    def _fits_court(self, court: CourtSettings) -> None:
        if self.dispute_limit <= court.longest:
            raise ValueError(
                f"disputeLimit must exceed the {court.longest} s that the court can be at a dispute: 3 × "
                "drawWindow + 2 × (commitWindow + revealWindow) + appealWindow"
            )
        won = self.penalty * self.winner_share // BASIS_POINTS
        if won < court.highest_cost:
            raise ValueError(
                f"penalty is too small: winnerShare of it, {won}, must cover all rounds of a dispute, "
                f"{court.highest_cost}: (firstSeats + appealSeats) × (seatFee + 16384 × seatFeePerToken) + "
                "nodeFee"
            )

    @classmethod
    def load(cls, path: Path) -> Self:
        """Raises ConfigError."""
        try:
            return cls.model_validate_json(path.read_text())
        except OSError as e:
            raise ConfigError(f"can't read {path}: {e.strerror}") from None
        except ValidationError as e:
            first = e.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "config"
            raise ConfigError(f"{path}: {where}: {first['msg'].removeprefix('Value error, ')}") from None

    @classmethod
    def for_chain(cls, folder: Path, chain_id: int) -> Self:
        """The one `config.*.json` of a folder that is for this chain.

        Raises:
            ConfigError: there is none, or there are several.
        """
        found = []
        for path in sorted(folder.glob("config.*.json")):
            try:
                if json.loads(path.read_text()).get("chainId") == chain_id:
                    found.append(path)
            except (OSError, ValueError, AttributeError):
                continue  # somebody's draft for another chain is no reason to stop
        if len(found) != 1:
            names = ", ".join(path.name for path in found) or "none"
            raise ConfigError(f"{folder}: one config.*.json must have chainId {chain_id}; found {names}")
        return cls.load(found[0])

    def to_json(self) -> dict[str, object]:
        return self.model_dump(by_alias=True)
