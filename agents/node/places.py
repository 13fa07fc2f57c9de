"""Where a node's files are."""

from pathlib import Path

from agents.chain.paths import chain_home
from agents.market.account import journal_path as account_journal
from agents.node.settings import NodeSettings


def node_folder(settings: NodeSettings, chain_id: int, node: str) -> Path:
    """The encryption key's folder."""
    return settings.data_dir or chain_home(chain_id) / f"node-{node.lower()}"


def journal_path(settings: NodeSettings, chain_id: int, account: str) -> Path:
    """The journal of an account: its transactions and its jobs. One an account, since it owns the account's
    nonces.
    """
    if settings.data_dir is not None:
        return settings.data_dir / f"{account.lower()}.sqlite"
    return account_journal(chain_id, account)
