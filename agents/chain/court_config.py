"""How a court is deployed: `court` in `deployments/config.<network>.json`, in the contract's own names."""

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

MAX_TOKENS = 16_384
"""The most evidence a dispute can have; what the largest fee is reckoned by."""
HISTORY_BLOCKS = 8_191
"""How many blocks' hashes a chain keeps (EIP-2935): a draw must come before its block's is gone."""
BASIS_POINTS = 10_000

_Window = Annotated[int, Field(gt=0, le=30 * 86_400)]
_Stake = Annotated[int, Field(gt=0, lt=1 << 72)]
_Fee = Annotated[int, Field(ge=0, lt=1 << 64)]
_Panel = Annotated[int, Field(ge=3, le=15)]


class CourtSettings(BaseModel):
    """CourtConfig without its addresses. Amounts in base units of the payment token, times in seconds, shares
    in basis points. The defaults are those of a development chain.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, validate_by_name=True, strict=True
    )

    randomness_delay: Annotated[int, Field(ge=1, le=64)] = 2
    """Blocks between a request and the block whose hash draws the panel."""
    seat_stake: _Stake = 10_000_000
    silent_fine: _Stake = 2_500_000
    seat_fee: _Fee = 150_000
    seat_fee_per_token: _Fee = 10
    node_fee: _Fee = 500_000
    appeal_share: Annotated[int, Field(ge=0, le=BASIS_POINTS // 2)] = 5000
    first_seats: _Panel = 3
    appeal_seats: _Panel = 5
    appeal_quorum: Annotated[int, Field(ge=2, le=8)] = 3
    period: _Window = 30
    draw_window: _Window = 60
    commit_window: _Window = 120
    reveal_window: _Window = 60
    appeal_window: _Window = 60

    @property
    def highest_fee(self) -> int:
        """What a seat earns by a vote on the most evidence there can be."""
        return self.seat_fee + MAX_TOKENS * self.seat_fee_per_token

    @property
    def highest_cost(self) -> int:
        """The most that all rounds of a dispute can cost."""
        return (self.first_seats + self.appeal_seats) * self.highest_fee + self.node_fee

    @property
    def longest(self) -> int:
        """The longest that a dispute can take, all rounds, in seconds."""
        rounds = 2 * (self.commit_window + self.reveal_window)
        return 3 * self.draw_window + rounds + self.appeal_window

    @model_validator(mode="after")
    def _fits(self) -> Self:
        for name, seats in (("firstSeats", self.first_seats), ("appealSeats", self.appeal_seats)):
            if seats % 2 == 0:
                raise ValueError(f"{name} must be odd, or a panel could be divided equally")
        if self.appeal_seats < self.first_seats:
            raise ValueError("appealSeats must be firstSeats at least")
        least, most = self.first_seats // 2 + 1, self.appeal_seats // 2 + 1
        if not least <= self.appeal_quorum <= most:
            raise ValueError(
                f"appealQuorum must be {least} to {most}: what decides a first round at least, and no more "
                "than half of the appeal's seats and one"
            )
        if not self.highest_fee < self.silent_fine <= self.seat_stake:
            raise ValueError(
                f"silentFine must exceed the highest fee, seatFee + {MAX_TOKENS} × seatFeePerToken = "
                f"{self.highest_fee}, and not exceed seatStake: silence must be dearer than being outvoted"
            )
        reward = least * self.seat_stake * self.appeal_share // BASIS_POINTS
        if 2 * reward < 3 * self.appeal_seats * self.highest_fee:
            raise ValueError(
                f"seatStake is too small: an appeal that overturns {least} seats wins {reward} (appealShare "
                "of their stake), and must win half as much again as the "
                f"{self.appeal_seats * self.highest_fee} it can cost"
            )
        return self

    def as_tuple(self, vault: str, nodes: str, randomness: str) -> tuple[str | int, ...]:
        """IDisputeCourt.CourtConfig, in its order."""
        addresses = vault, nodes, randomness
        money = self.seat_stake, self.silent_fine, self.seat_fee, self.seat_fee_per_token, self.node_fee
        panels = self.appeal_share, self.first_seats, self.appeal_seats, self.appeal_quorum
        windows = self.draw_window, self.commit_window, self.reveal_window, self.appeal_window
        return *addresses, *money, *panels, self.period, *windows
