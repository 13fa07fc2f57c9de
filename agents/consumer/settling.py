"""Carrying on with an account's jobs: what an interrupted question left, and what only time could decide."""

import logging
import time

from agents.chain.errors import ChainError
from agents.consumer.book import Record, choose
from agents.consumer.client import Client
from agents.consumer.settle import Settler
from agents.market.errors import MarketError
from agents.terminal.exits import CommandError
from agents.terminal.screen import Screen

log = logging.getLogger(__name__)


def settle_all(
    client: Client,
    screen: Screen,
    *,
    wait: bool,
    finish: bool,
    only: str | None = None,
    demand: bool = False,
) -> list[str]:
    """Do what is due for every open job, or for the one that `only` names; what went wrong, a line a job.

    With `wait` until all have ended. With `finish` closed windows are finalized too, which pays the node what
    is its due and brings the rest back. With `demand` withheld answers are demanded on chain even where the
    question forbade it.
    """
    settler = client.settler(screen, finish=finish, demand=demand)
    mine = client.jobs()
    if only is not None:
        mine = [choose(client.book.all(), only)]
    open_jobs = [settler.forget_unsent(record) for record in mine if record.outcome is None]
    open_jobs = [record for record in open_jobs if record.outcome is None]
    troubles: dict[bytes, str] = {}
    while True:
        open_jobs = [
            r
            for r in (_carry_on(settler, record, screen, troubles, wait) for record in open_jobs)
            if r.outcome is None
        ]
        if not (wait and open_jobs):
            return list(troubles.values())
        time.sleep(client.settings.poll)


def _carry_on(
    settler: Settler, record: Record, screen: Screen, troubles: dict[bytes, str], wait: bool
) -> Record:
    """Step until there is nothing more to do now. With `wait` a new trouble is told at once."""
    before = record.verdict
    told = troubles.pop(record.hash, None)
    short = f"job {record.name[:14]}…"
    try:
        while True:
            standing = settler.step(record)
            record = standing.record
            if standing.ended or not standing.moved:
                break
    except Exception as error:
        # One job's trouble, whatever it is, must not keep the money of the others.
        foreseen = isinstance(error, (CommandError, MarketError, ChainError))
        why = str(error) if foreseen else f"unexpected {type(error).__name__}: {error}"
        troubles[record.hash] = f"{short}: {why}"
        log.debug("job %s", record.name, exc_info=not foreseen)
    else:
        if standing.trouble:
            troubles[record.hash] = f"{short} is wrong, and not challenged: {standing.trouble}"
    if wait and troubles.get(record.hash, told) != told:
        screen.warn(troubles[record.hash])
    if record.verdict is not None and before is None:
        screen.say(f"{short}: {record.verdict['explanation']}")
    if record.outcome is not None:
        screen.say(f"{short}: {record.outcome.value}")
    return record
