"""`agent node jobs`: this node's jobs, read from its journal beside the node that runs."""

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from agents.market.opening import open_market
from agents.market.reads import Market, Status
from agents.node.errors import NodeError
from agents.node.options import account_address, chain_options, json_option, say
from agents.node.places import journal_path
from agents.node.settings import load
from agents.node.watch import REFUNDED

_NAMES = {"final": "paid"}
_RULED = {
    Status.RULED_UPHELD: "ruled wrong",
    Status.RULED_DISMISSED: "ruled right",
    Status.RULED_UNDECIDED: "not decided",
}
_JOBS = """
SELECT lower(hex(hash)) AS hash, state, client, model_id, version, deadline, output_tokens, claim, paid,
  reason,
  EXISTS(SELECT 1 FROM node_event e WHERE e.hash = j.hash AND e.name = 'JobChallenged') AS disputed,
  (SELECT json_extract(facts, '$.ruling') FROM node_event e
    WHERE e.hash = j.hash AND e.name = 'JobRuled') AS ruling
FROM node_job j WHERE ? OR state NOT IN ('final', 'failed') ORDER BY deadline DESC LIMIT ?
"""


@dataclass(frozen=True, slots=True)
class Listed:
    """A job as it is shown. `standing`: its state, or what a dispute made of it; amounts in base units."""

    job: str
    standing: str
    client: str
    model_id: str
    version: int
    deadline: int
    output_tokens: int
    claim: int
    paid: int | None
    reason: str | None

    @property
    def fields(self) -> dict[str, Any]:
        return {
            "job": self.job, "standing": self.standing, "client": self.client, "modelId": self.model_id,
            "version": self.version, "deadline": self.deadline, "outputTokens": self.output_tokens,
            "claim": str(self.claim), "paid": None if self.paid is None else str(self.paid),
            "reason": self.reason,
        }  # fmt: skip

    def line(self, market: Market) -> str:
        earns = f"paid {market.money(self.paid)}" if self.paid else f"earns {market.money(self.claim)}"
        why = f": {self.reason}" if self.reason else ""
        return f"{self.job}  {self.standing:<11} {self.output_tokens:>5} tokens  {earns}{why}"


def jobs_in(path: Path, *, everything: bool, most: int) -> list[Listed]:
    """The jobs of a journal, the latest first; ended ones too with `everything`.

    Raises:
        NodeError: there is no such journal, or it holds no jobs' table.
    """
    if not path.exists():
        raise NodeError(f"no journal {path}: is it this machine, and this account, that runs the node?")
    try:
        # Beside a node that writes: SQLite lets readers in.
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=5)) as db:
            db.row_factory = sqlite3.Row
            return [_listed(row) for row in db.execute(_JOBS, (everything, most))]
    except sqlite3.Error as error:
        raise NodeError(f"can't read the jobs in {path} ({error}): has a node run with it?") from None


def _listed(row: sqlite3.Row) -> Listed:
    standing = _NAMES.get(str(row["state"]), str(row["state"]))
    if standing == "failed" and REFUNDED in (row["reason"] or ""):
        standing = "lost"
    if standing == "completed" and row["disputed"]:
        standing = "disputed" if row["ruling"] is None else _RULED[Status(row["ruling"])]
    return Listed(
        "0x" + row["hash"], standing, row["client"], row["model_id"], row["version"], row["deadline"],
        row["output_tokens"], int(row["claim"] or 0), None if row["paid"] is None else int(row["paid"]),
        row["reason"],
    )  # fmt: skip


@click.command(
    epilog="""\b
Examples:
  agent node jobs --account mynode
  agent node jobs --account mynode --all --json

`paid` and `lost` (its client was refunded) are over; `failed` was not answered. A disputed answer is
`disputed` until the court has ruled, then `ruled right` (it will be paid), `ruled wrong` (its client gets its
price and this node's penalty) or `not decided` (its client gets its price back)."""
)
@chain_options
@click.option("--all", "everything", is_flag=True, help="Ended ones too.")
@click.option("--most", type=click.IntRange(1), default=50, show_default=True, help="How many, latest first.")
@json_option
def jobs(everything: bool, most: int, as_json: bool, **options: Any) -> None:
    """The jobs this machine has accepted: where each stands, what it earns. Needs no password."""
    settings = load(**options)
    market = open_market(settings.rpc_url, settings.deployment)
    path = journal_path(settings, market.chain_id, account_address(settings))
    found = jobs_in(path, everything=everything, most=most)
    lines = [job.line(market) for job in found] or ["no jobs: --all shows ended ones too"]
    say({"jobs": [job.fields for job in found]}, "\n".join(lines), as_json)
