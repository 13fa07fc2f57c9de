"""What the chain says about our jobs. Confirmed logs say which jobs to look at; the contract says where they
stand.
"""

import logging
from collections.abc import Callable, Mapping
from sqlite3 import Connection as Database
from typing import Any

from agents.chain.contracts import Event
from agents.chain.errors import ChainUnreachable
from agents.chain.follower import Projection
from agents.chain.outbox import Outbox, State
from agents.market.reads import Market, Status
from agents.node.attempts import latest_attempt
from agents.node.handout import Handout
from agents.node.jobs import JobBook, JobRecord, JobState
from agents.node.metrics import Metrics
from agents.protocol.messages import as_tuple

log = logging.getLogger(__name__)

REFUNDED = "its client was refunded"
_DISPUTED = {
    Status.DISPUTED: (logging.WARNING, "disputed: the court decides"),
    Status.RULED_UPHELD: (logging.ERROR, "ruled wrong: its client gets its price, and our penalty is lost"),
    Status.RULED_DISMISSED: (logging.INFO, "ruled right: it will be paid"),
    Status.RULED_UNDECIDED: (logging.WARNING, "the court could not decide: its client gets its price back"),
}
_FACTS = ("payment", "modelFee", "amount", "taken", "paid", "burned", "ruling")


class JobEvents(Projection):
    """Notes the escrow's events about jobs that are in the book, and openings that should be."""

    def __init__(self, book: JobBook, node: str) -> None:
        self._book = book
        self._node = node

    def apply(self, db: Database, event: Event) -> None:
        key = event.args.get("jobHash")
        if key is None:
            return
        facts = {name: int(event.args[name]) for name in _FACTS if name in event.args}
        known = self._book.note(db, event.block_number, event.log_index, bytes(key), event.name, facts)
        if not known and event.name == "JobOpened" and event.args["node"] == self._node:
            log.error(
                "a job of ours was opened that this journal does not know: if the journal was lost, "
                "restore it before the job's deadline, or the miss penalty is slashed",
                extra={"job": "0x" + bytes(key).hex(), "block": event.block_number},
            )

    def undo(self, db: Database, ancestor: int) -> None:
        self._book.unnote(db, ancestor)


class Watch:
    """Moves jobs to where the contract has them, and sees to what that asks for."""

    def __init__(
        self,
        book: JobBook,
        market: Market,
        outbox: Outbox,
        handout: Handout,
        metrics: Metrics,
        on_open: Callable[[], None],
    ) -> None:
        self._book = book
        self._market = market
        self._outbox = outbox
        self._handout = handout
        self._metrics = metrics
        self._on_open = on_open
        self._said: set[tuple[bytes, Status]] = set()

    def look(self) -> int:
        """Read the contract for every job that is due, the most urgent first; how many were looked at.

        Raises:
            ChainUnreachable: nothing can be seen just now.
            Exception: what went wrong with one job, after all others were seen to.
        """
        due = self._book.due()
        wrong: Exception | None = None
        for record in due:
            try:
                status, until = self._market.job_status(record.hash)
                if self._settle(record, status, until, self._book.facts(record.hash)):
                    self._book.checked(record)
            except ChainUnreachable:
                raise
            except Exception as error:
                wrong = error
        if wrong is not None:
            raise wrong
        return len(due)

    def _settle(
        self, record: JobRecord, status: Status, until: int, facts: Mapping[str, Mapping[str, Any]]
    ) -> bool:
        """Whether contract and confirmed logs agree: there is nothing to look at until the next log."""
        if status is Status.NONE:
            return self._not_there(record, facts)
        if "JobOpened" not in facts:
            return False  # on chain, and not deep enough yet
        if status is Status.OPEN:
            return self._open(record, until)
        if status is Status.FINAL:
            return self._final(record, facts)
        return "JobCompleted" in facts and self._completed(record, status, until)

    def _not_there(self, record: JobRecord, facts: Mapping[str, Mapping[str, Any]]) -> bool:
        if facts:
            return False  # the RPC lags behind its own logs
        if record.state not in (JobState.ACCEPTED, JobState.FAILED):
            log.warning("its opening was reorganised away", extra={"job": record.name, "state": record.state})
            self._book.unwound(record.hash, JobState.ACCEPTED)
        return True

    def _open(self, record: JobRecord, deadline: int) -> bool:
        now = self._market.clock.now()
        if record.state is JobState.FAILED:
            return True
        if now > deadline:
            if record.completion is not None:
                reason = f"its completion came too late: {self._complete_note(record)}"
            else:
                reason = "its deadline passed before it was answered"
            if self._book.failed(record.hash, reason, now):
                self._metrics.failed.labels("deadline").inc()
                log.error("failed: %s", reason, extra={"job": record.name, "why": "deadline"})
            return True
        if record.completion is not None:
            if record.state is not JobState.DONE:
                self._book.unwound(record.hash, JobState.DONE)
            self._see_to_complete(record)
            return False  # looked at until it is completed
        if record.state is JobState.ACCEPTED and self._book.opened(record.hash):
            log.info("open", extra={"job": record.name, "deadline": deadline})
            self._on_open()
        elif record.state in (JobState.COMPLETED, JobState.FINAL):
            self._book.unwound(record.hash, JobState.OPEN)
            self._on_open()
        return True

    def _complete_note(self, record: JobRecord) -> str:
        intent = self._outbox.status(record.name, "complete")
        return (intent.note if intent else None) or "no block took it in time"

    def _see_to_complete(self, record: JobRecord) -> None:
        """The contract waits for a completion that is stored: is it really on its way?"""
        action, intent = latest_attempt(self._outbox, self._market.connection, record.name, "complete", "/")
        if intent is None:
            assert record.completion is not None
            data = self._market.escrow.data("complete", as_tuple(record.completion))
            self._outbox.put(record.name, action, self._market.escrow.address, data)
        elif intent.state is State.FAILED:
            self._outbox.retry(record.name, action)

    def _completed(self, record: JobRecord, status: Status, until: int) -> bool:
        if record.completion is None:
            if record.state is not JobState.FAILED:
                now = self._market.clock.now()
                self._book.failed(
                    record.hash, "completed by this operator's key, but not from this journal", now
                )
                log.error("somebody else completes with our key", extra={"job": record.name})
            return True
        if record.state is not JobState.COMPLETED:
            if record.state is not JobState.DONE:  # paid in blocks that are gone, or given up just too early
                self._book.unwound(record.hash, JobState.DONE)
            self._book.completed(record.hash, until)
            log.info("completed", extra={"job": record.name, "window_end": until})
        elif record.window_end != until:
            self._book.window(record.hash, until)
        if status in _DISPUTED and (record.hash, status) not in self._said:
            self._said.add((record.hash, status))
            level, text = _DISPUTED[status]
            log.log(level, text, extra={"job": record.name})
        if status is Status.DEMANDED:
            self._handout.deliver(record)
            return False  # looked at until it is delivered
        return True

    def _final(self, record: JobRecord, facts: Mapping[str, Mapping[str, Any]]) -> bool:
        now = self._market.clock.now()
        if "JobPaid" in facts:
            paid = int(facts["JobPaid"]["payment"])
            if self._book.final(record.hash, paid, now):
                log.info("paid", extra={"job": record.name, "payment": paid})
            return True
        if "JobRefunded" not in facts:
            return False
        taken = int(facts.get("NodePunished", {}).get("taken", 0))
        reason = REFUNDED + (f" and {self._market.money(taken)} of stake were slashed" if taken else "")
        if record.reason and REFUNDED not in record.reason:
            reason = f"{record.reason}; {reason}"
        self._book.lost(record.hash, reason, now)
        log.error("lost: %s", reason, extra={"job": record.name, "slashed": taken})
        return True
