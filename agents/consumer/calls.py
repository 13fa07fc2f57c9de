"""Call data of the escrow's verbs that come with money, through `Vault.payAndCall`."""

from typing import Any

from agents.market.paid_calls import paid_call
from agents.market.reads import Market
from agents.protocol.messages import Completion, Job, as_tuple


def open_data(market: Market, job: Job, expires: int, signature: bytes) -> bytes:
    """Lock the ceiling and open the job; the node's 65-byte signature goes in ERC-2098 form."""
    s, v = int.from_bytes(signature[32:64], "big"), signature[64]
    vs = (s | (v - 27) << 255).to_bytes(32, "big")
    return _paid_call(market, "open", job.ceiling, as_tuple(job), expires, signature[:32], vs)


def demand_data(market: Market, job: Job, completion: Completion, cost: int) -> bytes:
    """Demand the output on chain."""
    return _paid_call(market, "demandDelivery", cost, as_tuple(job), as_tuple(completion))


def _paid_call(market: Market, function: str, amount: int, *args: Any) -> bytes:
    return paid_call(market, "IJobEscrowPayments", market.escrow.address, amount, function, *args)
