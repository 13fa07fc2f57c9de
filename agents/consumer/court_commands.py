"""The consumer's commands about disputes."""

import json
import sys
from typing import Any

import click

from agents.consumer.settings import ConsumerSettings
from agents.protocol.messages import is_checksum_address
from agents.terminal.exits import EXIT_CODES, BadInput, Exit, explained
from agents.terminal.options import account_options, as_json, threads
from agents.terminal.screen import Screen, fit_for_terminal
from agents.terminal.tables import print_table, table, when

_wait = click.option(
    "--wait/--no-wait", default=True, help="Follow it to the ruling, and close what can be closed (default)."
)
_force = click.option(
    "--force",
    "--although-accepted",
    "force",
    is_flag=True,
    help="Although the check does not call for it: what is paid will most likely be lost.",
)


@click.command(
    epilog="""\b
Examples:
  agent challenge 0x1234              check again, challenge, follow it to the ruling
  agent challenge 0x1234              the same again, after an interruption: carries on
  agent challenge 0x1234 --no-wait    only challenge; `agent disputes` shows how it goes
  agent challenge 0x1234 --appeal     and appeal if the first panel dismisses it

"""
    + EXIT_CODES
)
@click.argument("job")
@click.option("--check/--no-check", default=True, help="Check the answer again first, by the court's rule.")
@_force
@_wait
@click.option("--appeal", is_flag=True, help="Fund an appeal if the first panel finds the answer right.")
@threads
@account_options
@as_json
@explained
def challenge(
    job: str, check: bool, force: bool, wait: bool, appeal: bool, as_json: bool, **given: Any
) -> int:
    """Have a wrong answer judged: seats of the court, drawn by lot, repeat the check.

    It takes a bond, which is lost if the court finds the answer right. If it finds it wrong, the price comes
    back, and a share of what the node loses, which is more than the bond. Prompt and answer become public.
    JOB is a job's hash or its beginning, as `agent jobs` shows it, within its challenge window.
    """
    from agents.consumer.challenge import How
    from agents.consumer.challenge import challenge as put
    from agents.consumer.client import Client
    from agents.consumer.contest import contest_json, contest_lines, exit_of

    def confirm(question: str) -> bool:
        return click.confirm(question, err=True)

    asks = sys.stdin.isatty() and sys.stderr.isatty() and not as_json
    with Client.open(ConsumerSettings.load(**given)) as client:
        how = How(check=check, force=force, wait=wait, appeal=appeal)
        record = put(client, job, how, Screen(), confirm if asks else None)
        if as_json:
            click.echo(json.dumps(contest_json(client.market, client.events, record)))
        else:
            for line in contest_lines(client.market, client.events, record):
                click.echo(fit_for_terminal(line))
    return int(exit_of(record))


@click.command(
    epilog="""\b
Examples:
  agent appeal 0x1234                check the evidence, appeal, follow it to the ruling
  agent appeal 0x1234 --no-check     without checking it first

"""
    + EXIT_CODES
)
@click.argument("dispute")
@click.option(
    "--check/--no-check",
    default=True,
    help="Check the evidence first, which anybody can, by the court's rule.",
)
@_force
@_wait
@threads
@account_options
@as_json
@explained
def appeal(dispute: str, check: bool, force: bool, wait: bool, as_json: bool, **given: Any) -> int:
    """Pay for a second panel, of the whole network, where the first one was wrong.

    Anybody may, once a dispute, while `agent disputes` shows it as appealable. If the ruling is overturned,
    what no seat earned comes back, with a share of what the first panel loses; if not, the cost is lost.
    DISPUTE is its number, or the hash of its job, or the beginning of either.
    """
    from agents.consumer.appeal import appeal as put
    from agents.consumer.client import Client
    from agents.consumer.disputes import lines, view_json

    with Client.open(ConsumerSettings.load(**given)) as client:
        done = put(client, dispute, Screen(), check=check, force=force, wait=wait)
        market, court = client.market, client.market.court
        assert court is not None
        if as_json:
            money = {"cost": str(done.cost), "back": None if done.back is None else str(done.back)}
            click.echo(json.dumps(view_json(market, court, done.view) | {"appeal": money}))
        else:
            for line in lines(market, court, client.events, done.view):
                click.echo(fit_for_terminal(line))
            back = "" if done.back is None else f", for which {market.money(done.back)} came back"
            click.echo(f"appeal   {market.money(done.cost)} paid{back}")
    return Exit.OK


@click.command(
    epilog="""\b
Examples:
  agent disputes                    the latest, with what happens next and when
  agent disputes --mine             those over your jobs, your answers, and your appeals
  agent disputes 0x1234             everything about one: each seat and its vote
  agent disputes --json

"""
    + EXIT_CODES
)
@click.argument("dispute", required=False)
@click.option("--mine", is_flag=True, help="Only where this account is the client, the node, or appealed.")
@click.option("--limit", type=click.IntRange(1), default=20, help="Most to show, the latest; 20 by default.")
@click.option("--address", help="With --mine: somebody else's; all of it is public.")
@account_options
@as_json
@explained
def disputes(
    dispute: str | None, mine: bool, limit: int, address: str | None, as_json: bool, **given: Any
) -> None:
    """Disputes: phase, votes, what happens next and when. Needs no password.

    DISPUTE is its number, or the hash of its job, or the beginning of either.
    """
    from agents.chain.wallet import address_of
    from agents.consumer.disputes import cells, find_dispute, lines, look, member_json, view_json
    from agents.market.account import account_name
    from agents.market.events import Events
    from agents.market.opening import open_market

    settings = ConsumerSettings.load(**given)
    if address is not None and not is_checksum_address(address):
        raise BadInput(f"--address {address[:60]} is no checksummed address (EIP-55): copy it again")
    market = open_market(settings.rpc_url, settings.deployment)
    court, events = market.court, Events(market)
    if dispute is not None:
        found = [find_dispute(market, events, dispute)]
    else:
        found = list(events.disputes(market.start_block))
    if mine or address is not None:
        account = address or address_of(account_name(settings))
        appealed = {id for id, _ in events.appeals(account, market.start_block)}
        found = [o for o in found if account in (o.case.challenger, o.case.node) or o.id in appealed]
    views = [] if court is None else [look(market, court, opened) for opened in reversed(found[-limit:])]
    if as_json:
        shown = [] if court is None else [view_json(market, court, view) for view in views]
        if court is not None and dispute is not None:
            shown[0]["panels"] = member_json(court, events, views[0])
        click.echo(json.dumps({"court": court and court.address, "disputes": shown}))
    elif court is None:
        click.echo("this deployment has no court: there are no disputes", err=True)
    elif dispute is not None:
        for line in lines(market, court, events, views[0]):
            click.echo(fit_for_terminal(line))
    elif not views:
        click.echo("no disputes", err=True)
    else:
        now = market.connection.time()
        rows = table("dispute", "job", "against", "phase", "votes", "ruling", "next", "until")
        for view in views:
            case, until = view.opened.case, when(view.standing.until, now)
            job = f"0x{case.subject.hex()[:12]}…"
            rows.add_row(view.id[:14] + "…", job, case.node[:10] + "…", *cells(court, view), until)
        print_table(rows)
