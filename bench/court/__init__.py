"""Whether the court draws as it says, and how often a panel that it draws is wrong (docs/contracts.md)."""

from bench.court.measure import measure

__all__ = ["measure"]
