"""A job's answer: had from its node or from the chain, and checked."""

import time
from collections.abc import Callable
from typing import Any

from agents.consumer.book import Book, Record
from agents.consumer.dossiers import Dossiers
from agents.consumer.errors import ConsumerError
from agents.consumer.node_api import NodeApi, NodeError
from agents.consumer.running import RunningModel
from agents.market.events import Events
from agents.market.reads import Market, Status
from agents.protocol.messages import Completion
from agents.protocol.sealing import SealError, open_output
from agents.protocol.tokens import OUTPUT, NotSigned, TokenError, check_output, unmask

_CLOCK_SLACK = 120
"""Seconds that a node's servedAt may lie outside the time in which it can have served."""

Loader = Callable[[Record], RunningModel]
"""Gives the model that a job was made for; raises NoModel."""


class CheckFailed(ConsumerError):
    """An answer could not be checked here, which says nothing about the node."""


class Answers:
    """Answers of one account's jobs.

    Args:
        node_timeout: seconds a node may take to hand one out.
        ask_again: seconds before a node is asked for the same answer again.
        say: told what is done, in one line.
    """

    def __init__(
        self,
        market: Market,
        events: Events,
        book: Book,
        dossiers: Dossiers,
        load: Loader,
        *,
        node_timeout: float,
        ask_again: float,
        say: Callable[[str], None],
    ) -> None:
        self._market = market
        self._events = events
        self._book = book
        self._dossiers = dossiers
        self._load = load
        self._node_timeout = node_timeout
        self._ask_again = ask_again
        self._say = say
        self._asked: dict[bytes, float] = {}
        self._trouble: dict[bytes, str] = {}

    def trouble(self, record: Record) -> str:
        """Why the node's answer could not be had the last time it was asked for."""
        return self._trouble.get(record.hash, "")

    def fetch(self, record: Record, status: Status, completion: Completion, since: int) -> Record:
        """The answer over HTTP, or from the chain once it was posted there; unchanged if it can't be had."""
        if status is Status.DELIVERED:
            masked = self._events.delivered(record.hash, since)
            if masked is not None:
                return self._book.answered(record.hash, unmask(record.secret, OUTPUT, masked))
            return record
        if time.monotonic() - self._asked.get(record.hash, float("-inf")) < self._ask_again:
            return record
        self._asked[record.hash] = time.monotonic()
        try:
            reply = NodeApi(record.node_url, self._node_timeout).output(record.name)
            tokens = open_output(record.client_private, record.hash, bytes.fromhex(reply.output[2:]))
            check_output(completion, record.secret, tokens)
        except (NodeError, SealError, NotSigned, TokenError) as error:
            self._trouble[record.hash] = str(error)
            return record
        return self._book.answered(record.hash, tokens)

    def judge(self, record: Record, completion: Completion) -> Record:
        """Check every token, and keep the verdict.

        Raises:
            CheckFailed: it can't be checked here.
        """
        assert record.output is not None
        if wrong := _wrong_time(record, completion, self._market):
            return self._book.judged(record.hash, _refused(wrong, len(record.output)))
        model = self._load(record)
        self._say(f"checking all {len(record.output)} tokens of the answer")
        try:
            examined = model.examine(record.job, record.prompt, completion, record.output)
        except Exception as error:
            raise CheckFailed(
                f"the answer could not be checked here ({error}): it is neither approved nor refused; mend "
                "that and run `agent jobs --settle` before its window closes"
            ) from error
        verdict = examined.verdict
        dossier = self._dossiers.count(record.hash, record.job, examined, model.manifest)
        if dossier.accused:
            self._say(f"node {record.job.node} is not asked any more: {dossier.explain()}")
        return self._book.judged(record.hash, verdict.to_json() | {"explanation": verdict.explain()})


def _wrong_time(record: Record, completion: Completion, market: Market) -> str | None:
    """A servedAt at which the node can't have served: it decides which operator key answers for the work."""
    served = completion.served_at
    if served < record.chain_time - _CLOCK_SLACK:
        return f"the node says it served at {served}, before the job was made ({record.chain_time})"
    if served > min(record.job.deadline, market.connection.time()) + _CLOCK_SLACK:
        return f"the node says it served at {served}, which lies in the future"
    return None


def _refused(why: str, positions: int) -> dict[str, Any]:
    """A verdict on a completion whose tokens need not be looked at; in the shape of Verdict.to_json."""
    failure = {
        "condition": "completion",
        "reason": why,
        "position": None,
        "statistic": None,
        "value": None,
        "threshold": None,
    }
    return {
        "accepted": False,
        "action": "refuse",
        "mode": "none",
        "positions": positions,
        "max_margin": None,
        "mean_margin": None,
        "failure": failure,
        "explanation": f"Refused: {why}.",
    }
