"""How long a job may wait to be opened: an acceptance binds the node, and only its client decides when.

A client that opens in an acceptance's last second must still be answered by the deadline, or it could open
late on purpose and collect for the miss. So an acceptance ends early enough for that, whatever else is opened
whenever.
"""

import math
from collections.abc import Callable, Mapping

from agents.market.reads import Market
from agents.node.errors import Refusal
from agents.node.jobs import JobBook, JobRecord, JobState
from agents.node.models import ServedModel
from agents.node.schedule import Work, latest_finish
from agents.node.settings import NodeSettings
from agents.protocol.messages import Job

LEAST = 5
"""Seconds a client needs to open: less is no acceptance."""

_CAUTION = 1.25

_NEW = object()
_MOST_RETRY = 300


class Promises:
    """What the machine has promised, and what it can promise yet. `written` tells how many tokens a running
    job has.

    Every method takes chain time as `now`.
    """

    def __init__(
        self,
        book: JobBook,
        served: Mapping[tuple[int, int], ServedModel],
        market: Market,
        settings: NodeSettings,
        written: Callable[[bytes], int | None],
    ) -> None:
        self._book = book
        self._served = served
        self._market = market
        self._settings = settings
        self._written = written

    @property
    def lag(self) -> int:
        """Seconds from the block that opens a job until its answer can start here."""
        deeper = self._settings.confirmations_on(self._market.chain_id) - 1
        blocks = deeper * self._market.clock.block_seconds() if deeper else 0.0
        return math.ceil(blocks + self._settings.poll_seconds)

    @property
    def reserve(self) -> int:
        """Seconds from an answer's end until the block that completes it: the margin, and a block more where
        they are slow.
        """
        deeper = self._settings.confirmations_on(self._market.chain_id) > 1
        return self._settings.margin_seconds + (
            math.ceil(self._market.clock.block_seconds()) if deeper else 0
        )

    def check_deadline(self, job: Job, model: ServedModel, now: int) -> None:
        """Raises Refusal (400) for a deadline that the contract does not allow, or that an idle node could
        not keep.
        """
        latest = now + self._market.terms.max_job_time
        if job.deadline > latest:
            raise Refusal(
                400, "deadline_too_far", f"the deadline may be at most {latest}, the chain's time is {now}"
            )
        if self._last_opening(job, model) < now + LEAST:
            needed = job.deadline - self._last_opening(job, model)
            wanted = now + needed + min(self._settings.acceptance_seconds, 30)
            raise Refusal(
                400,
                "deadline_too_soon",
                f"this job takes up to {needed} s here and the chain's time is {now}: set the deadline to "
                f"{wanted} or later",
            )

    def window(self, job: Job, key: bytes, model: ServedModel, now: int) -> int:
        """The latest moment at which the job may be opened and every promise still be kept.

        Raises:
            Refusal: 429 when there is none.
        """
        slots = {model.key: model.parallel for model in self._served.values()}
        others = [self._work(record, now) for record in self.unanswered(now) if record.hash != key]
        seconds = _takes(job, model)
        mine = Work(_NEW, seconds, self._room(job.deadline, now), model.key, release=self.lag)
        finish = latest_finish([*others, mine], slots)
        before = latest_finish(others, slots)
        # A promise that can't be kept as it is, since the machine became slower, is no reason to refuse.
        spare = min(
            (w.deadline - finish[w.key] for w in others if before[w.key] <= w.deadline), default=math.inf
        )
        slack = math.floor(mine.deadline - finish[_NEW])
        if spare < 0 or slack < LEAST:
            short = max(-spare, LEAST - slack)
            raise Refusal(
                429,
                "busy",
                "with what this node has promised already the deadline could not be kept: set a later one, "
                "try again, or ask another node",
                retry_after=max(1, min(_MOST_RETRY, math.ceil(short))),
            )
        # Half of the slack stays for whatever else is promised until it is opened.
        return now + min(self._settings.acceptance_seconds, max(LEAST, slack // 2))

    def unanswered(self, now: int) -> list[JobRecord]:
        """Open and running jobs, and acceptances that can still be opened or were opened in a block not deep
        yet.
        """
        return self._book.unanswered(now - self.lag)

    def _last_opening(self, job: Job, model: ServedModel) -> int:
        takes = math.ceil(_takes(job, model))
        return job.deadline - takes - self.reserve - self.lag

    def _work(self, record: JobRecord, now: int) -> Work:
        job = record.job
        model = self._served.get((job.model_id, job.version))
        if model is None:
            # Nobody can run it: no work, and in any group.
            return Work(record.hash, 0.0, math.inf, next(iter(self._served)))
        running = record.state is JobState.RUNNING
        written = (self._written(record.hash) or 0) if running else 0
        seconds = _takes(job, model, written)
        release = max(0, record.expires - now + self.lag) if record.state is JobState.ACCEPTED else 0
        return Work(record.hash, seconds, self._room(job.deadline, now), model.key, running, release)

    def _room(self, deadline: int, now: int) -> float:
        return deadline - now - self.reserve


def _takes(job: Job, model: ServedModel, written: int = 0) -> float:
    """Seconds to count on from the token `written` on: what a forecast may be wrong by grows with the job."""
    return _CAUTION * model.speed.of_late(model.speed.left(job, written))
