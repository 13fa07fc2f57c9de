"""Transactions about a job or a dispute: each written down, sent once, and carried on by later commands."""

import time
from collections import Counter
from collections.abc import Callable

from agents.chain.outbox import Intent, IntentFailed, State
from agents.consumer.book import Book, Record
from agents.consumer.errors import Unfinished
from agents.market.account import Account

_MOST_GONE = 5


class Sending:
    """Sends for one account. A subject is a job's name, or `dispute 0x…` for a dispute that is not about one.

    An intent that failed in an earlier run, or before it was asked for again, is tried anew once a run.
    """

    def __init__(self, account: Account, book: Book) -> None:
        self._account = account
        self._outbox = account.outbox
        self._book = book
        self._retried: set[tuple[str, str]] = set()
        self._gone: Counter[tuple[str, str]] = Counter()

    def send(
        self,
        subject: str,
        action: str,
        to: str,
        data: bytes,
        before: object,
        state: Callable[[], object],
    ) -> Intent | None:
        """Have a call mined; None when the contracts refuse it because somebody was faster.

        Args:
            before: what the chain said when this call was found due.
            state: the same, read now. If the call is refused and it is as before, nobody was faster and
                something is wrong.

        Raises:
            Unfinished: it was refused.
            IntentTimeout, OutOfGasMoney, ChainError: nothing is lost, send it again later.
        """
        action = self._still_to_do(subject, action)
        self._outbox.put(subject, action, to, data)
        intent = self._outbox.status(subject, action)
        if intent and intent.state is State.FAILED and (subject, action) not in self._retried:
            # The contract still asks for it.
            self._retried.add((subject, action))
            self._outbox.retry(subject, action, data)
        if intent and intent.state is State.DONE:
            return self._again(intent)
        try:
            return self._account.wait(subject, action)
        except IntentFailed as error:
            if state() == before:
                raise Unfinished(
                    f"{action} was refused: {error}; `agent jobs --settle` tries again"
                ) from None
            time.sleep(self._outbox.settings.poll)  # until what they did is deep enough to be seen
            return None

    def _still_to_do(self, subject: str, action: str) -> str:
        """Its name in the outbox. What a deep reorganisation took out of the chain is sent again as it was
        signed, and may be refused there: then the same is a new thing to do."""
        while (intent := self._outbox.status(subject, action)) and intent.state is State.DONE:
            assert intent.tx_hash is not None
            receipt = self._account.market.connection.receipt(intent.tx_hash)
            if receipt is None or receipt.success:
                break
            action = f"{action} again"
        return action

    def _again(self, intent: Intent) -> Intent:
        """It was done, and is asked for again: the RPC lags behind, or a reorganisation went deeper than our
        confirmations. Then what was signed is sent again, and nothing else is signed."""
        key = intent.subject, intent.action
        self._gone[key] += 1
        if self._gone[key] > _MOST_GONE:
            raise Unfinished(
                f"{intent.action} was done, and the chain does not show it any more (a reorganisation?): it "
                "was sent again; `agent jobs --settle` carries on"
            )
        self._outbox.tick()
        time.sleep(self._outbox.settings.poll)
        return intent

    def note(self, record: Record, action: str, intent: Intent | None) -> Record:
        """Keep what a transaction about a job cost, and its hash."""
        if intent is None:
            return record
        facts = {f"gas_{action}": str(intent.fee or 0)}
        if intent.tx_hash:
            facts[f"tx_{action}"] = "0x" + intent.tx_hash.hex()
        return self._book.note(record.hash, **facts)
