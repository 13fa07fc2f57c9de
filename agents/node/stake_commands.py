"""`agent node stake` and `unstake`: an owner's stake, given to its jobs and taken back."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from agents.node.court.seats import require_court
from agents.node.options import chain_options, hashes, json_option, say, unlocked
from agents.node.settings import NodeSettings, load
from agents.node.stake import Staking


@contextmanager
def owner(settings: NodeSettings) -> Iterator[Staking]:
    """The owner's key, ready to stake."""
    with unlocked(settings) as (market, outbox):
        yield Staking(market, outbox)


@click.command(
    epilog="""\b
Examples:
  agent node stake --account mynode --model 0xTRAINER/smollm2-135m --jobs 10

Each open job binds one penalty of stake until it is settled. What lies idle is used first, then the owner's
Vault balance, then its tokens. If something is missing you are told how much, and where to send it; nothing
is sent then.
"""
)
@chain_options
@click.option("--model", required=True, help="TRAINER/NAME or the model's number.")
@click.option(
    "--jobs", type=click.IntRange(1), default=5, show_default=True, help="Jobs to have stake for at once."
)
@json_option
def stake(model: str, jobs: int, as_json: bool, **options: Any) -> None:
    """Deposit, stake and provision until there is stake for N jobs at once."""
    settings = load(models=(model,), **options)
    with owner(settings) as staking:
        model_id = settings.models[0].model_id
        sent = staking.ensure(model_id, jobs)
        found = staking.market.provision(staking.owner, model_id)
        penalty = staking.market.terms.penalty
        money = staking.market.money
        room = found.free // penalty
        text = f"{money(found.amount)} provisioned, {money(found.free)} free: enough for {room} jobs"
    fields = {"modelId": str(model_id), "amount": str(found.amount), "free": str(found.free),
              "jobs": room, "transactions": hashes(sent)}  # fmt: skip
    say(fields, text if sent else f"{text}; nothing to do", as_json)


@click.command(
    epilog="""\b
Examples:
  agent node unstake --account mynode --model 0xTRAINER/smollm2-135m --thaw          1. ask for it back
  agent node unstake --account mynode --model 0xTRAINER/smollm2-135m --deprovision   2. once it is thawed
  agent node unstake --account mynode --amount 25000000                              3. to the Vault balance
  agent withdraw …                                                                   4. out of the Vault

With --court, steps 1 and 2 are about the stake that seats in the court were taken with, once they are
released.
"""
)
@chain_options
@click.option("--model", help="TRAINER/NAME or the model's number; for --thaw and --deprovision.")
@click.option(
    "--thaw",
    "step",
    flag_value="thaw",
    help="Start to take free provisioned stake back; jobs can't use it any more.",
)
@click.option("--deprovision", "step", flag_value="deprovision", help="Make thawed stake idle.")
@click.option("--court", is_flag=True, help="What was given to the court, not to jobs.")
@click.option("--amount", type=click.IntRange(1), help="Base units. [all there is]")
@click.option("--to", metavar="ADDRESS", help="Vault account that gets idle stake. [the owner]")
@json_option
def unstake(
    model: str | None,
    step: str | None,
    court: bool,
    amount: int | None,
    to: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Take stake back, step by step; without a step, move idle stake to the Vault balance."""
    if step and not model:
        raise click.UsageError(f"--{step} needs --model")
    settings = load(models=(model,) if model else None, **options)
    with owner(settings) as staking:
        module = require_court(staking.market).address if court else None
        if step == "thaw":
            model_id = settings.models[0].model_id
            sent = staking.thaw(model_id, amount, module)
            found = staking.market.provision(staking.owner, model_id, module)
            text = f"{staking.market.money(found.thawing)} thawing, until chain time {found.thawed_at}"
        elif step == "deprovision":
            sent = staking.deprovision(settings.models[0].model_id, module)
            text = f"{staking.market.money(staking.market.idle_stake(staking.owner))} idle now"
        else:
            sent = staking.unstake(amount, to)
            account = to or staking.owner
            text = f"{staking.market.money(staking.market.balance(account))} in {account}'s Vault balance"
    say({"transactions": hashes(sent), "result": text}, text, as_json)
