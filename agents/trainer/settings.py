"""How a trainer is told what to do: as for every account."""

from agents.market.settings import AccountSettings


class TrainerSettings(AccountSettings):
    """Nothing of its own yet."""
