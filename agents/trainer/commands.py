"""The trainer's commands."""

import json
from pathlib import Path
from typing import Any

import click

from agents.market.amounts import parse_amount
from agents.protocol.messages import model_id
from agents.terminal.exits import explained
from agents.terminal.options import account_options, as_json, threads
from agents.terminal.screen import Screen
from agents.trainer.settings import TrainerSettings

_TOKEN_DECIMALS = 18


@click.group(
    epilog="""\b
Examples:
  agent trainer publish SmolLM2-135M-Instruct.Q4_1.gguf --name smollm2-135m --licence Apache-2.0 --fee 0.05
  agent trainer collect smollm2-135m"""
)
def trainer() -> None:
    """Publish a model, and see to its fees."""


@trainer.command(
    epilog="""\b
Examples:
  agent trainer publish model.gguf --name smollm2-135m --licence Apache-2.0 --fee 0.05
  agent trainer publish model.gguf --name tiny --licence MIT --fee 0 --supply 1000 --symbol TINY --json

Publishing the same again says so and ends with 0; another model under a name you have used is refused."""
)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--name", required=True, help="a-z, 0-9, '-', '.', '_'; shown as TRAINER/NAME.")
@click.option("--licence", required=True, help="Best an SPDX name: Apache-2.0.")
@click.option(
    "--fee",
    required=True,
    help="What the model earns per million tokens, in whole tokens of payment; for ever.",
)
@click.option("--symbol", help="Of the model's token; its name in capitals by default.")
@click.option(
    "--supply", default="1000000", show_default=True, help="Whole tokens minted, all to you; for ever."
)
@click.option("--store-dir", type=click.Path(path_type=Path), help="Content store [CAPEK_STORE_DIR].")
@threads
@account_options
@as_json
@explained
def publish(
    file: Path,
    name: str,
    licence: str,
    fee: str,
    symbol: str | None,
    supply: str,
    as_json: bool,
    **given: Any,
) -> None:
    """Put a GGUF file on the market: its weights and manifest into the store, its name and token on chain.

    The file is read, run once, and refused when it is damaged. Nodes fetch it from whoever has it: run `agent
    store serve`, or a node of your own, on this machine until others have it.
    """
    from agents.market.account import Account
    from agents.storage.local import LocalStore
    from agents.trainer.publish import Wish, default_symbol
    from agents.trainer.publish import publish as put

    settings = TrainerSettings.load(**given)
    with Account.open(settings) as account:
        wish = Wish(
            file=file,
            name=name,
            licence=licence,
            fee=parse_amount(fee, account.market.unit[1], zero=True),
            symbol=symbol or default_symbol(name),
            supply=parse_amount(supply, _TOKEN_DECIMALS),
        )
        done = put(account, LocalStore(settings.store_path()), wish, Screen(quiet=as_json).say)
        fee_text = account.market.money(done.fee)
    if as_json:
        click.echo(
            json.dumps(
                {
                    "modelId": str(done.model_id),
                    "model": done.label,
                    "version": 0,
                    "token": done.token,
                    "manifest": str(done.manifest_cid),
                    "weights": done.manifest.weights.cid,
                    "bitClasses": list(done.manifest.bit_classes),
                    "fee": str(done.fee),
                    "transaction": done.transaction or None,
                    "publishedBefore": not done.transaction,
                }
            )
        )
        return
    click.echo(f"model     {done.label}@0")
    click.echo(f"number    {done.model_id}")
    click.echo(f"token     {done.token}")
    click.echo(f"manifest  {done.manifest_cid}")
    click.echo(f"weights   {done.manifest.weights.cid}")
    click.echo(f"fee       {fee_text} per million tokens")
    if done.transaction:
        click.echo(f"tx        {done.transaction}")
    click.echo(f"next      agent node run --model {done.label}")


@trainer.command(
    epilog="\b\nExamples:\n  agent trainer collect smollm2-135m\n  agent trainer collect 0xTRAINER/name"
)
@click.argument("model")
@account_options
@as_json
@explained
def collect(model: str, as_json: bool, **given: Any) -> None:
    """Move a model's fees from the escrow to its treasury, as anybody may. NAME alone is one of yours."""
    from agents.market.account import Account, Call
    from agents.market.models import look_up
    from agents.market.reference import Reference

    settings = TrainerSettings.load(**given)
    wanted = Reference.parse(model)
    with Account.open(settings) as account:
        market = account.market
        number = (
            wanted.model_id if wanted.model_id is not None else model_id(account.address, wanted.name or "")
        )
        found = look_up(market, number)
        waiting = market.model_fees(number)
        tx = ""
        if waiting:
            data = market.escrow.data("pushModelFees", number)
            done = account.run("collect", [Call("pushModelFees", market.escrow.address, data)])[-1]
            tx = "0x" + (done.tx_hash or b"").hex()
        treasury = int(market.governor.call("treasuryOf", number))
        if as_json:
            click.echo(
                json.dumps(
                    {
                        "model": found.label,
                        "moved": str(waiting),
                        "treasury": str(treasury),
                        "transaction": tx or None,
                    }
                )
            )
        else:
            click.echo(
                f"{market.money(waiting)} moved; the treasury of {found.label} has "
                f"{market.money(treasury)} {tx}"
            )
