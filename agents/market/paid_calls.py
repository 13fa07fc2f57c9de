"""Call data of verbs that come with money: the Vault pays a contract and hands it the call (as ERC-1363)."""

from typing import Any

from agents.chain.contracts import Contract
from agents.market.reads import Market


def paid_call(market: Market, payments: str, to: str, amount: int, function: str, *args: Any) -> bytes:
    """`Vault.payAndCall(to, amount, …)`; `payments` is the interface that has the verb's shape."""
    call = Contract(market.connection, payments, to).data(function, *args)
    return market.vault.data("payAndCall", to, amount, call)
