"""Pay a node for an answer with one of ape's accounts: `agent ask` with ape's --network and --account.

\b
    ape run ask --network ethereum:sepolia --account alice "Why is the sky blue?" --max-price 0.01
    ape run ask --network http://127.0.0.1:8545 --account alice "Write a haiku" --temperature 0.8 --json

All other flags are those of `agent ask --help`.
"""

import click
from ape.api import AccountAPI, ProviderAPI
from ape.cli import ConnectedProviderCommand, account_option, network_option
from ape_accounts import KeyfileAccount

from agents.consumer.commands import ask


@click.command(cls=ConnectedProviderCommand, help=__doc__, context_settings={"ignore_unknown_options": True})
@network_option()
@account_option()
@click.argument("question_and_flags", nargs=-1, required=True, type=click.UNPROCESSED)
def cli(provider: ProviderAPI, account: AccountAPI, question_and_flags: tuple[str, ...]) -> None:
    if not isinstance(account, KeyfileAccount):
        raise click.ClickException(
            "a job's messages are signed by a keystore account: import the key with `ape accounts import`"
        )
    url = str(provider.http_uri)
    ask.main([*question_and_flags, "--rpc-url", url, "--account", str(account.keyfile_path)], "ape run ask")
