"""`agent account`: make, import and list keys."""

import getpass
import json
from pathlib import Path

import click

from agents.chain.wallet import Wallet, WalletError, address_of, aliases, keystore_folder

_PASSWORD = click.option(
    "--password-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File that holds the password; else $CAPEK_PASSWORD, $CAPEK_PASSWORD_FILE, or a prompt.",
)


@click.group(
    epilog="""\b
Examples:
  agent account new alice
  agent account import alice          asks for the private key, hidden
  agent account list --json"""
)
def account() -> None:
    """Make, import and list keys: Ethereum keystores, shared with ape (~/.ape/accounts)."""


@account.command()
@click.argument("alias")
@_PASSWORD
def new(alias: str, password_file: Path | None) -> None:
    """Make a new key. Back up its file: nobody can make it again."""
    wallet = Wallet.create(alias, password_file=password_file)
    click.echo(f"{alias}: {wallet.address}\nkeystore: {keystore_folder() / (alias + '.json')}")


@account.command("import")
@click.argument("alias")
@click.option(
    "--key-file", type=click.Path(path_type=Path, dir_okay=False), help="File with the private key in hex."
)
@_PASSWORD
def import_(alias: str, key_file: Path | None, password_file: Path | None) -> None:
    """Encrypt a private key into a keystore. It is never read from the command line: others can see that."""
    text = key_file.read_text() if key_file else getpass.getpass("Private key (hex): ")
    try:
        key = bytes.fromhex(text.strip().removeprefix("0x"))
    except ValueError:
        raise WalletError("a private key is 64 hex digits") from None
    wallet = Wallet.create(alias, password_file=password_file, private_key=key)
    click.echo(f"{alias}: {wallet.address}")


@account.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object: alias to address.")
def list_(as_json: bool) -> None:
    """The accounts in the keystore folder."""
    found = {alias: address_of(alias) for alias in aliases()}
    if as_json:
        click.echo(json.dumps(found))
        return
    for alias, address in found.items():
        click.echo(f"{alias:20} {address}")
    if not found:
        click.echo(f"no accounts in {keystore_folder()}: make one with `agent account new NAME`")
