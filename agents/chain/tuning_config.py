"""How the tuning economy is deployed: `tuning` in `deployments/config.<network>.json`, in its own names."""

from typing import Annotated, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

BASIS_POINTS = 10_000

_Window = Annotated[int, Field(gt=0, le=90 * 86_400)]
_Epoch = Annotated[int, Field(gt=0, le=365 * 86_400)]
_Stake = Annotated[int, Field(gt=0, lt=1 << 72)]
_Half = Annotated[int, Field(ge=0, le=BASIS_POINTS // 2)]
_Share = Annotated[int, Field(gt=0, le=BASIS_POINTS)]
Terms: TypeAlias = tuple[str | int, ...]


class TuningSettings(BaseModel):
    """RewardsConfig, TasksConfig and GovernorConfig without their addresses. Amounts in base units of the
    payment token, times in seconds, shares in basis points. The defaults are those of a development chain.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, validate_by_name=True, strict=True
    )

    epoch_length: _Epoch = 120
    review_window: Annotated[int, Field(ge=0)] = 20
    """Nothing can be proposed this long before an epoch's end."""
    close_window: _Epoch = 60
    merge_window: _Epoch = 120
    post_window: _Epoch = 120
    """How long roots of who is owed what for preferences can be posted."""
    reward_window: _Epoch = 86_400
    """How long rewards can be claimed."""
    quorum: _Share = 1000
    full_turnout: _Share = 5000
    """Votes from which on the whole treasury is split; of fewer a like part."""
    loss_bound: Annotated[int, Field(ge=0, lt=1 << 32)] = 20_000
    """How much worse than its parent a merge may be, in millionths of a nat per token."""

    bond: _Stake = 10_000_000
    """Behind a posted merge or root."""
    winner_share: _Half = 5000
    challenge_window: _Window = 30
    dispute_limit: _Window = 400

    min_stake: _Stake = 10_000_000
    miss_penalty: Annotated[int, Field(ge=0, lt=1 << 72)] = 1_000_000
    audit_stake: Annotated[int, Field(ge=0, lt=1 << 72)] = 5_000_000
    audit_share: _Half = 1000
    audit_segments: Annotated[int, Field(ge=1, le=255)] = 2
    claim_window: _Window = 60
    rise_time: _Window = 30
    task_time: _Window = 120
    audit_window: _Window = 30

    @property
    def longest(self) -> int:
        """The longest from a function's start to the end of its last task, in seconds."""
        return self.claim_window + self.obligation

    @property
    def obligation(self) -> int:
        """The longest that a node's stake can be bound by one task; a thaw must take longer."""
        return self.task_time + 2 * self.audit_window + self.challenge_window + self.dispute_limit

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.review_window >= self.epoch_length:
            raise ValueError("reviewWindow must be shorter than epochLength, or nothing could be proposed")
        if self.close_window > self.epoch_length:
            raise ValueError("closeWindow must not exceed epochLength")
        if self.full_turnout < self.quorum:
            raise ValueError("fullTurnout must not be below quorum")
        if self.rise_time > self.claim_window:
            raise ValueError("riseTime must not exceed claimWindow, or the pay could never rise to its most")
        if self.miss_penalty > self.min_stake:
            raise ValueError("missPenalty must not exceed minStake")
        return self

    def check(self, thaw_period: int, court_longest: int, court_highest_cost: int) -> None:
        """What the constructors ask of their neighbours; both court figures are 0 where there is no court.

        Raises:
            ValueError: says which field is too small.
        """
        if thaw_period <= self.obligation:
            raise ValueError(
                f"thawPeriod must exceed the {self.obligation} s that a tuning task can bind stake"
            )
        if self.dispute_limit <= court_longest:
            raise ValueError(f"tuning.disputeLimit must exceed the {court_longest} s that the court can take")
        for name, stake in (("bond", self.bond), ("minStake", self.min_stake)):
            if stake * self.winner_share // BASIS_POINTS < court_highest_cost:
                raise ValueError(
                    f"tuning.{name}: winnerShare of it must cover all rounds, {court_highest_cost}"
                )

    def _assertions(self, court: str) -> Terms:
        return court, self.bond, self.winner_share, self.challenge_window, self.dispute_limit

    def rewards(self, vault: str, court: str) -> tuple[str | int | Terms, ...]:
        """IEpochRewards.RewardsConfig, in its order; `court` is the zero address where there is none."""
        return vault, self._assertions(court), self.post_window, self.reward_window

    def tasks(self, vault: str, nodes: str, court: str, randomness: str, rewards: str) -> Terms:
        """ITuningTasks.TasksConfig, in its order."""
        addresses = vault, nodes, court, randomness, rewards
        money = self.min_stake, self.miss_penalty, self.audit_stake, self.audit_share, self.winner_share
        times = self.claim_window, self.rise_time, self.task_time, self.audit_window
        return *addresses, *money, self.audit_segments, *times, self.challenge_window, self.dispute_limit

    def governor(self, vault: str, tasks: str, court: str, randomness: str) -> tuple[str | int | Terms, ...]:
        """ITuningGovernor.GovernorConfig, in its order."""
        times = self.epoch_length, self.review_window, self.close_window, self.merge_window
        votes = self.quorum, self.full_turnout, self.loss_bound
        return vault, tasks, randomness, self._assertions(court), *times, *votes
