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
from agents.trainer.functions import function
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


trainer.add_command(function)


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
@click.option(
    "--verification",
    type=click.Path(path_type=Path),
    help="Thresholds: what `agent trainer calibrate` wrote.",
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
    verification: Path | None,
    as_json: bool,
    **given: Any,
) -> None:
    """Put a GGUF file on the market: its weights and manifest into the store, its name and token on chain.

    The file is read, run once, and refused when it is damaged. Nodes fetch it from whoever has it: run `agent
    store serve`, or a node of your own, on this machine until others have it.
    """
    from agents.market.account import Account
    from agents.storage.local import LocalStore
    from agents.trainer.calibrate import load
    from agents.trainer.publish import RULES, Wish, default_symbol
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
            rules=RULES if verification is None else load(verification),
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
    epilog="""\b
Examples:
  agent trainer calibrate model.gguf --out thresholds.json
  agent trainer publish model.gguf --verification thresholds.json --name tiny --licence MIT --fee 0"""
)
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--out", type=click.Path(path_type=Path), help="Where to write the thresholds; else only shown."
)
@click.option(
    "--answers",
    type=click.IntRange(50, 100_000),
    default=60,
    show_default=True,
    help="Honest answers of each kind.",
)
@click.option(
    "--tokens", type=click.IntRange(8, 512), default=96, show_default=True, help="Most tokens of an answer."
)
@click.option(
    "--false-rejects",
    type=click.FloatRange(1e-7, 0.1),
    default=1e-4,
    show_default=True,
    help="Honest answers refused, as a share.",
)
@threads
@as_json
@explained
def calibrate(
    file: Path,
    out: Path | None,
    answers: int,
    tokens: int,
    false_rejects: float,
    threads: int | None,
    as_json: bool,
) -> None:
    """Find the thresholds of a model's tolerant checks from honest answers on two kinds of machine.

    Minutes for a small model, hours for a large one. The exact tier needs no calibration.
    """
    from agents.trainer.calibrate import Plan, run, to_json, write

    plan = Plan(answers=answers, tokens=tokens, target=false_rejects)
    found = run(file, plan, threads, Screen(quiet=as_json).say)
    if out is not None:
        write(out, found.verification())
    if as_json:
        click.echo(json.dumps(to_json(found)))
        return
    for name, thresholds in found.verification().tolerant:
        click.echo(
            f"{name:8} refuse above {thresholds.refuse_max / 1e6:.3f} logits or a mean of "
            f"{thresholds.refuse_mean / 1e6:.4f}; dispute from {thresholds.slash_max / 1e6:.3f} or "
            f"{thresholds.slash_mean / 1e6:.4f}"
        )
    proven = max(c.proven for c in (*found.greedy, *found.sampled))
    click.echo(
        f"fitted to refuse {false_rejects:g} of honest answers, by extrapolation; the {answers} answers of "
        f"each kind alone prove less than {proven:.3g} with 95 % confidence"
    )
    if out is not None:
        click.echo(f"next     agent trainer publish {file} --verification {out} …")


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
