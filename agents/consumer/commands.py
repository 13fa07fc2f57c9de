"""The consumer's commands."""

import json
import sys
from pathlib import Path
from typing import Any

import click

from agents.chain.wallet import address_of
from agents.consumer.book import Record, choose, peek
from agents.consumer.errors import Unfinished
from agents.consumer.settings import ConsumerSettings
from agents.market.account import account_name, journal_path
from agents.market.amounts import parse_amount
from agents.protocol.messages import is_checksum_address
from agents.terminal.exits import EXIT_CODES, BadInput, Exit, explained
from agents.terminal.options import account_options, as_json, threads
from agents.terminal.screen import Screen, fit_for_terminal
from agents.terminal.tables import print_table, table

MICRO = 1_000_000


def _settings(given: dict[str, Any]) -> ConsumerSettings:
    return ConsumerSettings.load(**given)


@click.command(
    epilog="""\b
Examples:
  agent ask "Why is the sky blue?"
  agent ask "Write a haiku" --temperature 0.8 --top-p 0.95 --max-tokens 64
  agent ask "…" --model 0xTRAINER/smollm2-135m@0 --max-price 0.5 --json
  echo "a long question" | agent ask -

"""
    + EXIT_CODES
)
@click.argument("question")
@click.option("--system", help="What the model is told before the question.")
@click.option("--model", help="0xTRAINER/NAME, NAME or number, and @VERSION to stay on one [CAPEK_MODEL].")
@click.option(
    "--version", type=click.IntRange(0, (1 << 32) - 1), help="Version of the model; the latest by default."
)
@click.option("--node", metavar="ADDRESS", help="Ask this node and no other.")
@click.option(
    "--max-price",
    metavar="AMOUNT",
    help="Most the answer may cost, in whole tokens, the fee of a demand included [CAPEK_MAX_PRICE].",
)
@click.option("--max-tokens", type=click.IntRange(1, 16383), help="Longest answer [CAPEK_MAX_TOKENS; 256].")
@click.option("--temperature", type=click.FloatRange(0, 100), default=0.0, help="0 (the default) is greedy.")
@click.option(
    "--top-p", type=click.FloatRange(0, 1, min_open=True), default=1.0, help="Mass of the nucleus; 1 is none."
)
@click.option("--seed", type=click.IntRange(0, (1 << 64) - 1), help="Of the sampling; random by default.")
@click.option(
    "--approve/--no-approve", default=True, help="Pay at once what is accepted, or leave it to the window."
)
@click.option(
    "--demand/--no-demand",
    default=True,
    help="Demand a withheld answer on chain, for a fee that is burned when the node delivers then and comes "
    "back when it does not; it must be free in the Vault. Without, a node that withholds is paid.",
)
@click.option(
    "--challenge/--no-challenge",
    default=True,
    help="Challenge an answer that is wrong beyond doubt, with a bond that must be free in the Vault. That "
    "makes the prompt and the answer public. What is merely too far off is not approved, and not challenged.",
)
@click.option(
    "--appeal",
    is_flag=True,
    help="And should the court's first panel find a challenged answer right, fund an appeal.",
)
@click.option("--wait", is_flag=True, help="When it challenges: stay until the court has ruled.")
@click.option(
    "--exact",
    is_flag=True,
    help="Only nodes of this machine's bit class, whose answers are checked exactly. Else they go first "
    "unless another is cheaper by more than 20 %.",
)
@click.option("--deposit", is_flag=True, help="Deposit what is missing, if the wallet holds it.")
@click.option("--job-time", type=click.IntRange(1), help="Seconds the node may take [CAPEK_JOB_TIME; 600].")
@threads
@click.option("-q", "--quiet", is_flag=True, help="No progress, and nothing but the answer.")
@account_options
@as_json
@explained
def ask(
    question: str,
    system: str | None,
    version: int | None,
    node: str | None,
    temperature: float,
    top_p: float,
    seed: int | None,
    approve: bool,
    demand: bool,
    challenge: bool,
    appeal: bool,
    wait: bool,
    exact: bool,
    deposit: bool,
    quiet: bool,
    as_json: bool,
    **given: Any,
) -> int:
    """Pay a node for an answer, check every token of it, and approve it or say why not.

    The money is locked in escrow until then. A wrong answer is challenged before the court, where there is
    one; `agent challenge` follows that to its end. Whatever happens on the way, `agent jobs --settle` (or the
    next question) finishes the job or takes the money back. QUESTION may be `-`: then it is read from stdin.
    """
    from agents.consumer.ask import ask as put
    from agents.consumer.client import Client
    from agents.consumer.contest import contest_json, contest_lines
    from agents.consumer.question import Question
    from agents.consumer.report import answer_json, answer_lines, exit_of
    from agents.consumer.settling import settle_all

    settings = _settings(given)
    screen = Screen(quiet=quiet)
    text = _question(question)
    if node is not None and not is_checksum_address(node):
        raise BadInput(f"--node {node[:60]} is no checksummed address (EIP-55): copy it again")
    with Client.open(settings) as client:
        for trouble in settle_all(client, screen, wait=False, finish=False):
            screen.warn(trouble)
        most = None if settings.max_price is None else parse_amount(settings.max_price, client.market.unit[1])
        asked = Question(
            text=text,
            system=system,
            model=settings.model,
            version=version,
            node=node,
            temperature=round(temperature * MICRO),
            top_p=max(1, round(top_p * MICRO)),
            seed=seed,
            max_tokens=settings.max_tokens,
            most=most,
            approve=approve,
            deposit=deposit,
            demand=demand,
            exact=exact,
            challenge=challenge,
            appeal=appeal,
            wait=wait,
        )
        try:
            answer = put(client, asked, screen)
        except KeyboardInterrupt:
            raise Unfinished(
                "interrupted: what was opened goes on; `agent jobs --settle` finishes or refunds it"
            ) from None
        if as_json:
            found = contest_json(client.market, client.events, answer.record) if answer.challenged else None
            click.echo(json.dumps(answer_json(client.market, answer) | {"challenge": found}))
        elif quiet and answer.accepted:
            click.echo(fit_for_terminal(answer.text).strip("\n"))
        else:
            for line in answer_lines(client.market, answer):
                click.echo(fit_for_terminal(line))
            if answer.challenged and answer.record.outcome is not None:
                for line in contest_lines(client.market, client.events, answer.record):
                    click.echo(fit_for_terminal(line))
        return int(exit_of(answer))


def _question(text: str) -> str:
    text = sys.stdin.read() if text == "-" else text
    if not text.strip():
        raise BadInput("the question is empty")
    return text


@click.command(
    epilog="""\b
Examples:
  agent jobs                        what is open
  agent jobs --all --json
  agent jobs --settle               fetch, check and approve what is there; take back what is due
  agent jobs --settle --wait        and stay until every job has ended
  agent jobs 0x1234 --export job.json

"""
    + EXIT_CODES
)
@click.argument("job", required=False)
@click.option("--all", "everything", is_flag=True, help="Ended jobs too.")
@click.option("--settle", is_flag=True, help="Do what is due for every open job.")
@click.option("--wait", is_flag=True, help="With --settle: until all have ended.")
@click.option(
    "--demand", is_flag=True, help="With --settle: demand withheld answers of --no-demand questions too."
)
@click.option(
    "--export", type=click.Path(path_type=Path), help="Write JOB to a file that `agent verify --file` reads."
)
@threads
@account_options
@as_json
@explained
def jobs(
    job: str | None,
    everything: bool,
    settle: bool,
    wait: bool,
    demand: bool,
    export: Path | None,
    as_json: bool,
    **given: Any,
) -> int:
    """Your jobs: where each stands; settle what is left. JOB is a job's hash or its beginning."""
    from agents.consumer.client import Client
    from agents.consumer.report import job_json
    from agents.consumer.settling import settle_all
    from agents.consumer.verify import Evidence
    from agents.market.opening import open_market

    settings = _settings(given)
    if (wait or demand) and not settle:
        raise BadInput("--wait and --demand go with --settle")
    if settle:
        screen = Screen()
        with Client.open(settings) as client:
            client.flush()
            troubles = settle_all(client, screen, wait=wait, finish=True, only=job, demand=demand)
            market, records = client.market, client.book.all()
        for trouble in troubles:
            screen.warn(trouble)
    else:
        troubles = []
        market = open_market(settings.rpc_url, settings.deployment)
        records = peek(journal_path(market.chain_id, address_of(account_name(settings))))
    if export is not None:
        if job is None:
            raise BadInput("--export needs the JOB to write")
        Evidence.of(choose(records, job)).write(export)
        click.echo(f"{export}: holds the prompt and the answer in the clear", err=True)
        return Exit.OK
    if job is not None:
        shown = [choose(records, job)]
    else:
        shown = records if everything else [r for r in records if r.outcome is None]
    rows = [(record, *_standing(market, record)) for record in shown]
    if as_json:
        found = [job_json(market, r) | {"status": status, "until": until} for r, status, until in rows]
        click.echo(json.dumps({"jobs": found, "troubles": troubles}))
    elif rows:
        rows_of = table("job", "model", "node", "locked or paid", "status", "verdict", "until")
        for record, status, until in rows:
            paid = record.facts.get("payment")
            amount = market.money(int(paid) if paid is not None else record.job.ceiling)
            verdict = {None: "", True: "accepted", False: "refused"}[record.accepted]
            rows_of.add_row(
                record.name[:14] + "…",
                record.model,
                record.job.node,
                amount,
                status,
                verdict,
                str(until or ""),
            )
        print_table(rows_of)
    else:
        click.echo("no jobs" if everything else "no open jobs (--all lists the ended ones)", err=True)
    return Exit.UNFINISHED if troubles else Exit.OK


def _standing(market: Any, record: Record) -> tuple[str, int | None]:
    if record.outcome is not None:
        return record.outcome.value, None
    if record.job.collector != market.escrow.address:
        return "of another deployment", None
    status, until = market.job_status(record.hash)
    return status.name.lower(), until or None


@click.command(
    epilog="""\b
Examples:
  agent verify 0x1234               a job of yours, by the beginning of its hash
  agent verify --file job.json      one that somebody exported
  agent verify 0x1234 --explain     the margins drawn, and which tokens are off by how much

"""
    + EXIT_CODES
)
@click.argument("job", required=False)
@click.option("--file", type=click.Path(path_type=Path), help="What `agent jobs JOB --export FILE` wrote.")
@click.option("--explain", is_flag=True, help="Draw the margins, and name the tokens that are off.")
@threads
@account_options
@as_json
@explained
def verify(job: str | None, file: Path | None, explain: bool, as_json: bool, **given: Any) -> int:
    """Check an answer again: every token of it, with the model (RASTiC).

    From a file the check says what the model would have said, not who signed what: that lies on chain.
    """
    from agents.chain.connection import Connection
    from agents.consumer.verify import Evidence, check, verdict_json

    settings = _settings(given)
    if (job is None) == (file is None):
        raise BadInput("name a JOB, or a --file, and not both")
    if file is not None:
        evidence = Evidence.read(file)
    else:
        chain_id = Connection.open(settings.rpc_url).chain_id
        assert job is not None
        records = peek(journal_path(chain_id, address_of(account_name(settings))))
        evidence = Evidence.of(choose(records, job))
    found = check(evidence, settings, Screen(quiet=as_json), explain=explain and not as_json)
    verdict = found.verdict
    if as_json:
        click.echo(json.dumps(verdict_json(evidence, verdict)))
    else:
        click.echo(fit_for_terminal("\n".join(found.drawn) or verdict.explain()))
    return Exit.OK if verdict.accepted else Exit.REFUSED
