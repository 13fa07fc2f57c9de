"""A verifier in a process of its own that dies where it is told to. It is told what to find, too."""

import multiprocessing
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agents.chain.devchain import dev_wallet
from agents.chain.follower import Follower
from agents.chain.journal import Journal
from agents.chain.outbox import Outbox, OutboxSettings
from agents.market.court import Opened, Vote
from agents.market.opening import open_market
from agents.node.court.examiner import Examiner, Finding
from agents.node.court.verifier import Verifier
from agents.node.metrics import Metrics
from agents.node.settings import NodeSettings
from agents.rastic.witness import pack
from agents.storage.local import LocalStore

DIED, DONE, GAVE_UP = 9, 0, 3
WITNESS = pack(range(8))

# Forked from a process without threads: one with threads may fork while somebody holds SQLite's own lock.
_CHILDREN = multiprocessing.get_context("forkserver")
_CHILDREN.set_forkserver_preload([__name__])


class Told:
    """Finds what it was told."""

    def __init__(self, vote: Vote) -> None:
        self._vote = vote

    def examine(self, opened: Opened, positions: Sequence[int]) -> Finding:
        return Finding(self._vote, WITNESS, "told so")


def verify(url: str, deployment: Path, folder: Path, account: int, die_at: str | None) -> int:
    """Judge until a dispute is closed and its outcome written down; die at `die_at`, the verb of the first
    unfinished transaction and the outbox's edge, as in `commit:signed`.
    """
    market = open_market(url, deployment)
    court = market.court
    assert court is not None
    wallet, settings = dev_wallet(account), NodeSettings(poll_seconds=0.02)
    with Journal(folder / "journal.sqlite") as journal:

        def edge(name: str) -> None:
            verb = (outbox.unfinished() or [None])[0]
            if die_at == f"{verb.action.split()[0] if verb else ''}:{name}":
                os._exit(DIED)

        limits = OutboxSettings(poll=0.02)
        with Outbox(journal, market.connection, wallet, limits, edge=edge) as outbox:
            told: Examiner = Told(Vote.DISMISSED)
            verifier = Verifier(
                journal, market, court, outbox, wallet.address, {}, lambda: LocalStore(folder / "store"),
                settings, lambda: "", Metrics(), lambda _: 0, lambda _: told,
            )  # fmt: skip
            contracts, parts = [market.escrow, court.contract], [verifier.docket]
            follower = Follower(journal, market.connection, contracts, parts, start=0, poll=0.02)
            follower.catch_up()
            outbox.start()
            verifier.start()
            verifier.check()
            follower.start()
            until = time.monotonic() + 20
            while not verifier.docket.outcomes() and time.monotonic() < until:
                time.sleep(0.02)
            follower.close()
            verifier.stop()
            return DONE if verifier.docket.outcomes() else GAVE_UP


def in_child(url: str, deployment: Path, folder: Path, account: int, die_at: str | None) -> int:
    """`verify` in a process of its own; its exit code."""
    args = (dict(os.environ), url, deployment, folder, account, die_at)
    process = _CHILDREN.Process(target=_ended_by, args=args)
    process.start()
    process.join()
    assert process.exitcode is not None
    return process.exitcode


def _ended_by(environment: dict[str, str], *args: Any) -> None:
    os.environ.update(environment)
    code = GAVE_UP
    try:
        code = verify(*args)
    finally:
        os._exit(code)
