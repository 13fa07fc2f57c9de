"""How whoever acts for an account is told what to do: `CAPEK_*` in the environment, and flags."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from agents.chain.deploy_config import LOCAL_CHAINS
from agents.chain.paths import cache_home, home
from agents.market.errors import BadSetting


class AccountSettings(BaseSettings):
    """Which chain, which account, which machine. Times in seconds."""

    model_config = SettingsConfigDict(env_prefix="CAPEK_", extra="ignore", validate_default=True)

    # Who and where.
    rpc_url: str = "http://127.0.0.1:8545"
    deployment: Path | None = None
    """The deployment file; that of the RPC's chain by default."""
    account: str | None = None
    """A keystore's alias, or its path."""
    password_file: Path | None = None
    store_dir: Path | None = None
    """Content store; `$CAPEK_HOME/store` by default."""
    allow_private: bool = False
    """Whether nodes may lie in private networks; on a local chain they always may."""
    weights: Annotated[tuple[Path, ...], NoDecode] = ()
    """Files or folders where weights are looked for before peers are asked; set-up's cache by default."""

    # The machine.
    threads: int | None = Field(None, ge=1)
    """None for the physical cores; 1 where several processes share them."""
    gpu_layers: int = Field(0, ge=-1)

    # The chain.
    confirmations: int | None = Field(None, ge=1)
    """Blocks, the one it is in included, before what it says counts: 1 on a local chain, 3 elsewhere."""
    tx_timeout: float = Field(300.0, gt=0)
    """Longest wait for one transaction."""
    poll: float = Field(1.0, gt=0)
    max_fee_gwei: float = Field(200.0, gt=0)

    @field_validator("weights", mode="before")
    @classmethod
    def _weights(cls, value: object) -> object:
        return listed(value)

    @classmethod
    def load(cls, **given: object) -> Self:
        """Environment and flags; what is None is not given.

        Raises:
            BadSetting: names the setting, its variable and its flag.
        """
        try:
            return cls(**{k: v for k, v in given.items() if v is not None})  # type: ignore[arg-type]
        except ValidationError as error:
            raise BadSetting("; ".join(map(_explained, error.errors()[:5]))) from None

    def confirmations_on(self, chain_id: int) -> int:
        if self.confirmations is not None:
            return self.confirmations
        return 1 if chain_id in LOCAL_CHAINS else 3

    def store_path(self) -> Path:
        return self.store_dir or home() / "store"

    def weight_places(self) -> tuple[Path, ...]:
        return self.weights or (cache_home() / "models",)


def listed(value: object) -> object:
    """A list that may be written with commas."""
    if isinstance(value, str):
        return tuple(item.strip() for item in value.split(",") if item.strip())
    return value


def _explained(error: object) -> str:
    assert isinstance(error, dict)
    name = str(error["loc"][0]).lower().removeprefix("capek_") if error["loc"] else "?"
    why = str(error["msg"]).removeprefix("Value error, ")
    return f"{name} (CAPEK_{name.upper()}, --{name.replace('_', '-')}): {why}"
