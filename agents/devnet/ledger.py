"""Every account of a Vault and what it holds, from the Vault's own logs."""

from dataclasses import dataclass

from agents.chain.connection import Connection
from agents.chain.deployment import Deployment

BURNED = "0x000000000000000000000000000000000000dEaD"
_CHUNK = 2000


@dataclass(frozen=True, slots=True)
class Ledger:
    """`balances` by account, in base units; `tokens` is what the Vault holds of the payment token."""

    balances: dict[str, int]
    tokens: int

    @property
    def sum(self) -> int:
        return sum(self.balances.values())

    @property
    def adds_up(self) -> bool:
        return self.sum == self.tokens


def read_ledger(connection: Connection, deployment: Deployment) -> Ledger:
    """All at one block, so that nothing moves between two reads."""
    vault = deployment.contract(connection, "Vault")
    head = connection.latest().number
    accounts: set[str] = set()
    for first in range(deployment.block, head + 1, _CHUNK):
        for log in connection.logs([vault.address], first, min(first + _CHUNK - 1, head)):
            event = vault.decode(log)
            if event is not None:
                accounts |= {str(event.args[name]) for name in ("account", "to") if name in event.args}
    balances = {account: int(vault.call("balanceOf", account, block=head)) for account in sorted(accounts)}
    token = deployment.contract(connection, "Token")
    tokens = int(token.call("balanceOf", vault.address, block=head))
    return Ledger({account: amount for account, amount in balances.items() if amount}, tokens)
