"""The consumer's commands about money, and about what is missing."""

import json
from typing import Any

import click

from agents.chain.wallet import address_of
from agents.consumer import money as purse
from agents.consumer.book import peek
from agents.consumer.errors import Unfinished
from agents.consumer.settings import ConsumerSettings
from agents.market.account import account_name, journal_path
from agents.market.amounts import parse_amount
from agents.protocol.messages import is_checksum_address
from agents.terminal.exits import BadInput, Exit, explained
from agents.terminal.options import account_options, as_json, threads
from agents.terminal.screen import fit_for_terminal
from agents.terminal.tables import print_table, table, when


@click.command(epilog="\b\nExamples:\n  agent money\n  agent money --address 0x… --json")
@click.option("--address", help="Somebody else's money: all of it is public.")
@account_options
@as_json
@explained
def money(address: str | None, as_json: bool, **given: Any) -> None:
    """Every balance: where it lies, until when it is locked, and what to do. Needs no password."""
    from agents.market.events import Events
    from agents.market.opening import open_market

    settings = ConsumerSettings.load(**given)
    if address is not None and not is_checksum_address(address):
        raise BadInput(f"--address {address[:60]} is no checksummed address (EIP-55): copy it again")
    market = open_market(settings.rpc_url, settings.deployment)
    account = address or address_of(account_name(settings))
    events = Events(market, settings.confirmations_on(market.chain_id))
    found = purse.lines(market, events, account, peek(journal_path(market.chain_id, account)))
    if as_json:
        click.echo(json.dumps(purse.to_json(market, account, found)))
        return
    shown = table("what", "amount", "where", "until", "what to do")
    now = market.connection.time()
    for line in found:
        amount = purse.shown(market, line)
        shown.add_row(
            line.what, amount if line.own else f"({amount})", line.where, when(line.until, now), line.todo
        )
    shown.add_row("all of yours", market.money(purse.total(found)), "", "", "")
    click.echo(f"account {account}, chain {market.chain_id}, chain time {now}")
    print_table(shown)


@click.command(
    epilog="""\b
Examples:
  agent deposit 5
  agent deposit 0.25
  agent deposit 100 --faucet   on a local chain"""
)
@click.argument("amount")
@click.option("--faucet", is_flag=True, help="Mint the tokens first (local chains alone).")
@account_options
@as_json
@explained
def deposit(amount: str, faucet: bool, as_json: bool, **given: Any) -> None:
    """Put tokens of your wallet into the Vault, to pay with. AMOUNT is in whole tokens."""
    from agents.chain.deploy_config import LOCAL_CHAINS
    from agents.consumer.client import Client

    settings = ConsumerSettings.load(**given)
    with Client.open(settings) as client:
        market = client.market
        units = parse_amount(amount, market.unit[1])
        if faucet and market.chain_id not in LOCAL_CHAINS:
            raise BadInput(f"chain {market.chain_id} has no faucet: buy the token ({market.token.address})")
        _first_things_first(client)
        done = client.deposit(units, faucet=faucet)
        _moved(market, client.address, "deposited", units, done, as_json)


@click.command(epilog="\b\nExamples:\n  agent withdraw 5\n  agent withdraw all --to 0x…")
@click.argument("amount")
@click.option("--to", metavar="ADDRESS", help="Where to; your own wallet by default.")
@account_options
@as_json
@explained
def withdraw(amount: str, to: str | None, as_json: bool, **given: Any) -> None:
    """Take tokens out of the Vault. AMOUNT is in whole tokens, or `all`."""
    from agents.consumer.client import Client

    settings = ConsumerSettings.load(**given)
    if to is not None and not is_checksum_address(to):
        raise BadInput(f"--to {to[:60]} is no checksummed address (EIP-55): copy it again")
    with Client.open(settings) as client:
        market = client.market
        units = market.balance(client.address) if amount == "all" else parse_amount(amount, market.unit[1])
        if units == 0:
            raise BadInput("there is nothing to withdraw: the free balance is zero")
        _first_things_first(client)
        done = client.withdraw(units, to)
        _moved(market, client.address, "withdrawn", units, done, as_json)


def _first_things_first(client: Any) -> None:
    if left := client.unfinished():
        client.flush()
        raise Unfinished(
            f"an earlier command was interrupted ({', '.join(left)}) and is finished now: look with "
            "`agent money`, and repeat this command if you still want it"
        )


def _moved(market: Any, account: str, verb: str, units: int, tx: bytes, as_json: bool) -> None:
    balance = market.balance(account)
    if as_json:
        click.echo(json.dumps({verb: str(units), "balance": str(balance), "transaction": "0x" + tx.hex()}))
    else:
        click.echo(
            f"{verb} {market.money(units)}; Vault balance {market.money(balance)}; transaction 0x{tx.hex()}"
        )


@click.command(epilog="\b\nExamples:\n  agent check\n  agent check --json")
@click.option("--model", help="Model to look at [CAPEK_MODEL].")
@threads
@account_options
@as_json
@explained
def check(as_json: bool, **given: Any) -> int:
    """What this machine lacks to pay for answers, and how to mend it: ends with 1 if anything."""
    from agents.consumer.check import Checkup, Finding

    def tell(finding: Finding) -> None:
        if not as_json:
            mark = "ok     " if finding.ok else "MISSING"
            click.echo(fit_for_terminal(f"{mark} {finding.what}: {finding.found}"))
            if finding.mend:
                click.echo(fit_for_terminal(f"        → {finding.mend}"))

    checkup = Checkup(ConsumerSettings.load(**given), tell)
    checkup.run()
    if as_json:
        found = [{"what": f.what, "ok": f.ok, "found": f.found, "mend": f.mend} for f in checkup.findings]
        click.echo(json.dumps({"ok": checkup.ok, "findings": found}))
    return Exit.OK if checkup.ok else Exit.OTHER
