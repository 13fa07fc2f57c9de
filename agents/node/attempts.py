"""What a deep reorganisation does to transactions that were done."""

from agents.chain.connection import Connection
from agents.chain.outbox import Intent, Outbox, State


def latest_attempt(
    outbox: Outbox, connection: Connection, subject: str, action: str, mark: str
) -> tuple[str, Intent | None]:
    """The name in the outbox, and the intent if there is one, of what a contract still waits for: `action`,
    or `action` + mark + 2, 3, … when those before were done and reorganised away from deeper than the outbox
    looks.
    """
    name, count = action, 1
    intent = outbox.status(subject, name)
    while intent is not None and intent.state is State.DONE and _deep(connection, intent.block_number):
        count += 1
        name = f"{action}{mark}{count}"
        intent = outbox.status(subject, name)
    return name, intent


def _deep(connection: Connection, block: int | None) -> bool:
    """Whether a transaction mined there must be in what the RPC shows; else it only lags."""
    return block is not None and connection.latest().number >= block
