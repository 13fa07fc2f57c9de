"""Giving answers away: sealed to the client over HTTP, or masked on chain when the client demands it."""

from typing import Protocol

from agents.chain.outbox import Outbox
from agents.market.reads import Market
from agents.node.errors import Refusal
from agents.node.jobs import JobBook, JobRecord, JobState
from agents.protocol.messages import as_tuple, to_json
from agents.protocol.sealing import seal_output
from agents.protocol.tokens import OUTPUT, mask
from agents.protocol.wire import OutputReply


class Handout(Protocol):
    """Called from any thread."""

    def output(self, record: JobRecord) -> OutputReply:
        """The answer for its client.

        Raises:
            Refusal: 404 while there is none to be had.
        """

    def deliver(self, record: JobRecord) -> None:
        """Answer a demand: have the masked output posted. Calling again is no second transaction."""


class HonestHandout:
    """Hands out every answer whose completion is on chain."""

    def __init__(self, book: JobBook, market: Market, outbox: Outbox) -> None:
        self._book = book
        self._market = market
        self._outbox = outbox

    def output(self, record: JobRecord) -> OutputReply:
        # window_end is set once a confirmed block has the completion; a job that failed afterwards keeps it.
        if record.completion is None or record.completion_signature is None or record.window_end is None:
            advice = record.reason if record.state is JobState.FAILED else "ask again once it is completed"
            raise Refusal(404, "not_ready", f"the job is {record.state}: {advice}")
        try:
            _, tokens = self._book.output(record.hash)
        except KeyError:
            raise Refusal(
                404, "wiped", "the job ended long ago and its output is not kept any more"
            ) from None
        return OutputReply(
            completion=to_json(record.completion),
            signature="0x" + record.completion_signature.hex(),
            output="0x" + seal_output(record.job.client_key, record.hash, tokens).hex(),
        )

    def deliver(self, record: JobRecord) -> None:
        assert record.completion is not None
        secret, tokens = self._book.output(record.hash)
        data = self._market.escrow.data(
            "deliver", as_tuple(record.job), as_tuple(record.completion), mask(secret, OUTPUT, tokens)
        )
        self._outbox.put(record.name, "deliver", self._market.escrow.address, data)
        self._outbox.retry(record.name, "deliver")  # if it was refused: the demand still stands
