"""How a consumer is told what to do, besides what holds for every account."""

import re
from typing import Annotated

from pydantic import Field, field_validator
from pydantic_settings import NoDecode

from agents.market.settings import AccountSettings, listed

_URL = re.compile(r"https?://[^\s/?#]+(/[^\s?#]*)?")


class ConsumerSettings(AccountSettings):
    """Times in seconds."""

    # What is asked.
    model: str | None = None
    """Model used when none is named."""
    max_price: str | None = None
    """Most that one answer may cost, in whole tokens of payment (0.05)."""
    max_tokens: int = Field(256, ge=1)
    job_time: int = Field(600, ge=1)
    """How long a node may take, at most what the escrow allows."""

    # Nodes.
    offer_timeout: float = Field(5.0, gt=0)
    """Longest wait for a node's offer."""
    node_timeout: float = Field(20.0, gt=0)
    """Longest wait for any other answer of a node."""
    max_nodes: int = Field(200, ge=1)
    """Most nodes asked for an offer."""
    patience: float = Field(120.0, ge=0)
    """How long a completed answer may be late before it is demanded on chain; less in a short window."""
    peers: Annotated[tuple[str, ...], NoDecode] = ()
    """Base addresses to fetch models from, besides the model's nodes."""

    @field_validator("peers", mode="before")
    @classmethod
    def _list(cls, value: object) -> object:
        return listed(value)

    @field_validator("peers")
    @classmethod
    def _peers(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for url in value:
            if not _URL.fullmatch(url):
                raise ValueError(f"{url[:60]!r} is no http(s) base address")
        return tuple(url.rstrip("/") for url in value)
