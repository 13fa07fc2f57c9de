"""Deploy a market, or go on with a deployment that was interrupted.

\b
    ape run deploy --network ethereum:sepolia --account alice
    ape run deploy --network base:sepolia --account alice --confirmations 3
    ape run deploy --network http://127.0.0.1:8545 --account TEST::0

Everything is wired at construction and nobody owns it afterwards. What it costs and takes is set in
deployments/config.<network>.json; where things then are is written to deployments/<chainId>.json.
"""

import logging
from pathlib import Path
from typing import Any

import click
from ape.api import AccountAPI, ProviderAPI
from ape.cli import ConnectedProviderCommand, account_option, network_option
from ape_accounts import KeyfileAccount
from eth_utils.crypto import keccak

from agents.chain.connection import Connection
from agents.chain.deploy_config import DeploymentConfig
from agents.chain.deployment import deploy
from agents.chain.errors import ChainError
from agents.chain.outbox import OutboxSettings
from agents.chain.wallet import Signed, Signer, Wallet

FOLDER = Path(__file__).resolve().parents[1] / "deployments"
GWEI = 10**9


class ApeSigner:
    """Any other account that ape can sign with: a hardware wallet, a test account."""

    def __init__(self, account: AccountAPI, provider: ProviderAPI) -> None:
        self._account = account
        self._ecosystem = provider.network.ecosystem
        self.address = str(account.address)

    def sign_transaction(self, tx: dict[str, Any]) -> Signed:
        fields = tx | {"gasLimit": tx["gas"], "from": self.address}
        del fields["gas"]
        if not fields["to"]:
            del fields["to"]
        signed = self._account.sign_transaction(self._ecosystem.create_transaction(**fields))
        if signed is None:
            raise click.ClickException("nothing was signed: run this again to go on where it stopped")
        raw = bytes(signed.serialize_transaction())
        return Signed(raw, keccak(raw))


def signer_of(account: AccountAPI, provider: ProviderAPI) -> Signer:
    if isinstance(account, KeyfileAccount):
        # One password (prompt, CAPEK_PASSWORD_FILE, CAPEK_PASSWORD) instead of a question a transaction.
        return Wallet.load(str(account.keyfile_path))
    return ApeSigner(account, provider)


@click.command(cls=ConnectedProviderCommand, help=__doc__)
@network_option()
@account_option()
@click.option(
    "--config",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Default: the deployments/config.*.json whose chainId is the network's.",
)
@click.option(
    "--output", type=click.Path(path_type=Path, dir_okay=False), help="Default: deployments/<chainId>.json."
)
@click.option(
    "--confirmations", default=1, show_default=True, help="Blocks to wait for after each transaction."
)
@click.option(
    "--max-fee", default=200.0, show_default=True, help="Most to pay for gas, in gwei.", metavar="GWEI"
)
def cli(
    provider: ProviderAPI,
    account: AccountAPI,
    config: Path | None,
    output: Path | None,
    confirmations: int,
    max_fee: float,
) -> None:
    logging.basicConfig(level=logging.WARNING)
    logging.getLogger("agents").setLevel(logging.INFO)
    try:
        connection = Connection(provider.web3)
        chain = connection.chain_id
        chosen = DeploymentConfig.load(config) if config else DeploymentConfig.for_chain(FOLDER, chain)
        path = output or FOLDER / f"{chain}.json"
        settings = OutboxSettings(confirmations=confirmations, max_fee=int(max_fee * GWEI))
        done = deploy(connection, signer_of(account, provider), chosen, path, settings=settings)
    except ChainError as e:
        raise click.ClickException(str(e)) from None
    for name, deployed in done.contracts.items():
        click.echo(f"{name:20} {deployed.address}")
    click.echo(f"deployed on chain {chain}, checked, and written to {path}")
