"""What to offer for gas (EIP-1559), in wei per gas."""

from dataclasses import dataclass

from agents.chain.connection import Block
from agents.chain.errors import ChainError


@dataclass(frozen=True, slots=True)
class Fees:
    most: int
    """maxFeePerGas."""
    tip: int
    """maxPriorityFeePerGas."""


def market(block: Block, tip: int, limit: int) -> Fees | None:
    """Enough for six blocks of rising base fee, within `limit`; None when the base fee alone is above it."""
    if block.base_fee is None:
        raise ChainError("this chain has no EIP-1559 fees: it is not supported")
    if block.base_fee > limit:
        return None
    most = min(2 * block.base_fee + tip, limit)
    return Fees(most, min(tip, most))


def replacement(old: Fees, now: Fees | None, limit: int) -> Fees | None:
    """At least an eighth more in both fields, as nodes ask of a replacement, and no less than the market;
    None when that would pass `limit`."""
    raised = Fees(_eighth_more(old.most), _eighth_more(old.tip))
    if now is not None:
        raised = Fees(max(raised.most, now.most), max(raised.tip, now.tip))
    if raised.most > limit:
        raised = Fees(limit, min(raised.tip, limit))
    enough = raised.most >= _eighth_more(old.most) and raised.tip >= _eighth_more(old.tip)
    return raised if enough else None


def _eighth_more(wei: int) -> int:
    return max(wei + 1, -(-wei * 9 // 8))
