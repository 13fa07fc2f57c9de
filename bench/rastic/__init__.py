"""How well RASTiC tells a wrong answer from a right one, and what that costs (docs/rastic.md)."""

from bench.rastic.sample import measure

__all__ = ["measure"]
