"""A job's life after it was made, one step at a time.

Every step begins by reading the contract and the journal and does what is due there, so it does not matter
how the last one ended: after a crash the next step carries on, and nothing is done twice.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from agents.chain.contracts import Event
from agents.chain.outbox import Intent, IntentFailed, OutOfGasMoney, State
from agents.consumer.book import Book, Outcome, Record
from agents.consumer.calls import demand_data
from agents.consumer.errors import ConsumerError, NotEnoughMoney, Unfinished
from agents.consumer.node_api import NodeApi, NodeError
from agents.consumer.running import RunningModel
from agents.market.account import Account
from agents.market.amounts import plain
from agents.market.reads import Market, Status
from agents.protocol.messages import Completion, as_tuple
from agents.protocol.sealing import SealError, open_output
from agents.protocol.tokens import OUTPUT, NotSigned, TokenError, check_output, unmask

log = logging.getLogger(__name__)

_CLOCK_SLACK = 120
"""Seconds that a node's servedAt may lie outside the time in which it can have served."""

Loader = Callable[[Record], RunningModel]
"""Gives the model that a job was made for; raises NoModel."""


class CheckFailed(ConsumerError):
    """An answer could not be checked here, which says nothing about the node."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a job stands after a step. `moved`: something was done, step again at once. `until`: chain time
    when what is waited for is over, if it ever is by itself."""

    record: Record
    status: Status
    moved: bool = False
    until: int = 0
    waits_for: str = ""

    @property
    def ended(self) -> bool:
        return self.record.outcome is not None


class Settler:
    """Steps of one account's jobs.

    Args:
        say: told what was done, in one line.
        finish: whether to finalize closed windows, which pays the node and brings the rest back.
        demand: whether to demand withheld answers on chain, for a fee, even where the question forbade it.
    """

    def __init__(
        self,
        account: Account,
        book: Book,
        load: Loader,
        *,
        node_timeout: float,
        patience: float,
        ask_again: float,
        say: Callable[[str], None],
        finish: bool = False,
        demand: bool = False,
    ) -> None:
        self._account = account
        self._market = account.market
        self._events = account.events
        self._outbox = account.outbox
        self._book = book
        self._load = load
        self._node_timeout = node_timeout
        self._patience = patience
        self._ask_again = ask_again
        self._say = say
        self._finish = finish
        self._demand = demand
        self._asked: dict[bytes, float] = {}
        self._trouble: dict[bytes, str] = {}
        self._retried: set[tuple[str, str]] = set()

    def trouble(self, record: Record) -> str:
        """Why the node's answer could not be had the last time it was asked for."""
        return self._trouble.get(record.hash, "")

    def forget_unsent(self, record: Record) -> Record:
        """After a restart: a job whose opening was not signed stays unopened, as nobody waits for it."""
        intent = self._outbox.status(record.name, "open")
        if intent is None or self._outbox.drop(record.name, "open"):
            return self._book.end(
                record.hash, Outcome.NOT_OPENED, reason="it was interrupted before it was sent"
            )
        return record

    def open(self, record: Record) -> Intent:
        """Wait until the job is open; its intent is in the outbox already.

        Raises:
            IntentFailed: the contracts refuse; the job has ended.
            OutOfGasMoney: the job has ended, unless its transaction is out.
            IntentTimeout: no block took it yet.
        """
        try:
            intent = self._account.wait(record.name, "open")
        except IntentFailed as error:
            self._book.end(record.hash, Outcome.NOT_OPENED, reason=str(error))
            raise
        except OutOfGasMoney as error:
            if self._outbox.drop(record.name, "open"):
                self._book.end(record.hash, Outcome.NOT_OPENED, reason=str(error))
            raise
        self._note(record, "open", intent)
        return intent

    def step(self, record: Record) -> Standing:
        """Do what is due for one job.

        Raises:
            NotEnoughMoney, OutOfGasMoney: something has to be paid first; the text says what.
            IntentTimeout, Unfinished: a transaction is not mined yet, or was refused.
            ChainError: the chain can't be asked. Nothing is lost in any case: step again later.
        """
        if record.outcome is not None:
            return Standing(record, Status.FINAL)
        status, until = self._status(record)
        match status:
            case Status.NONE:
                return self._unopened(record)
            case Status.OPEN:
                return self._opened(record, until)
            case Status.COMPLETED | Status.DEMANDED | Status.DELIVERED:
                return self._answered(record, status, until)
            case Status.FINAL:
                record = self._ended(record)
                # Not yet where the RPC shows the state before its logs.
                return Standing(record, status, moved=record.outcome is not None)
        return self._disputed(record, status, until)

    def _unopened(self, record: Record) -> Standing:
        intent = self._outbox.status(record.name, "open")
        if intent is None:
            return Standing(
                self._book.end(record.hash, Outcome.NOT_OPENED, reason="it was never sent"),
                Status.NONE,
                moved=True,
            )
        if intent.state is State.FAILED:
            ended = self._book.end(record.hash, Outcome.NOT_OPENED, reason=intent.note or "refused")
            return Standing(ended, Status.NONE, moved=True)
        self._outbox.tick()
        return Standing(record, Status.NONE, waits_for=f"its opening is {intent.state}")

    def _opened(self, record: Record, deadline: int) -> Standing:
        if self._market.connection.time() > deadline:
            self._say("the node missed its deadline: taking the money back")
            data = self._market.escrow.data("expire", as_tuple(record.job))
            return Standing(self._send(record, "expire", data), Status.OPEN, moved=True)
        return Standing(record, Status.OPEN, until=deadline, waits_for="the node's answer")

    def _answered(self, record: Record, status: Status, until: int) -> Standing:
        completion = self._events.completion(record.hash, self._since(record))
        if completion is None:
            return Standing(
                record,
                status,
                until=until,
                waits_for="the completion's event, which the RPC does not show yet",
            )
        if completion != record.completion:
            record = self._book.completed(record.hash, completion)
        if record.output is None:
            record = self._fetch(record, status, completion)
        if record.output is None:
            return self._missing(record, status, until, completion)
        if record.verdict is None:
            record = self._judge(record, completion)
        if record.accepted and record.approve:
            data = self._market.escrow.data("approve", as_tuple(record.job), as_tuple(completion))
            return Standing(self._send(record, "approve", data), status, moved=True)
        return self._resting(record, status, until, completion)

    def _resting(self, record: Record, status: Status, until: int, completion: Completion) -> Standing:
        """Checked and not approved: the window decides."""
        late = self._market.connection.time() > until
        if late and status is Status.DEMANDED:
            return self._close_withheld(record, status, completion)
        if late and self._finish:
            return self._finalize(record, status, completion)
        why = "its window to close" if not late else "somebody to finalize it"
        return Standing(record, status, until=until, waits_for=why)

    def _missing(self, record: Record, status: Status, until: int, completion: Completion) -> Standing:
        """Completed, and the answer is not to be had over HTTP."""
        now, terms = self._market.connection.time(), self._market.terms
        if status is Status.DEMANDED:
            if now > until:
                return self._close_withheld(record, status, completion)
            return Standing(
                record, status, until=until, waits_for="the node to post the answer on chain, as demanded"
            )
        if now > until:
            if self._finish:
                return self._finalize(record, status, completion)
            return Standing(
                record,
                status,
                until=until,
                waits_for="somebody to finalize it: it is too late to demand the answer",
            )
        began = until - terms.challenge_window
        due = min(began + self._patience, until - max(terms.challenge_window / 3, 1))
        if now < due:
            return Standing(
                record,
                status,
                until=until,
                waits_for=f"the node to hand out its answer ({self.trouble(record)})",
            )
        cost = self._market.delivery_cost(completion.output_tokens)
        if not (record.may_demand or self._demand):
            raise Unfinished(
                f"the node does not hand out its answer ({self.trouble(record)}), and --no-demand forbids to "
                f"demand it on chain: `agent jobs {record.name[:14]} --settle --demand` does, for "
                f"{self._market.money(cost)}, before chain time {until}. Without that the node is paid then"
            )
        self._have_fee(cost, until)
        self._say(f"the node does not hand out its answer ({self.trouble(record)}): demanding it on chain")
        # In the facts before it is sent: it is what the client stands to lose.
        self._book.note(record.hash, delivery_cost=str(cost))
        data = demand_data(self._market, record.job, completion, cost)
        return Standing(self._send(record, "demand", data, to=self._market.vault.address), status, moved=True)

    def _close_withheld(self, record: Record, status: Status, completion: Completion) -> Standing:
        self._say("the node did not post the answer: taking the money back, and a share of its stake")
        data = self._market.escrow.data("closeWithheld", as_tuple(record.job), as_tuple(completion))
        return Standing(self._send(record, "closeWithheld", data), status, moved=True)

    def _finalize(self, record: Record, status: Status, completion: Completion) -> Standing:
        data = self._market.escrow.data("finalize", [as_tuple(record.job)], [as_tuple(completion)])
        return Standing(self._send(record, "finalize", data), status, moved=True)

    def _disputed(self, record: Record, status: Status, until: int) -> Standing:
        if status is Status.DISPUTED and self._market.connection.time() <= until:
            return Standing(record, status, until=until, waits_for="the court's ruling")
        completion = record.completion or self._events.completion(record.hash, self._since(record))
        if completion is None:
            return Standing(
                record,
                status,
                until=until,
                waits_for="the completion's event, which the RPC does not show yet",
            )
        data = self._market.escrow.data("closeDispute", as_tuple(record.job), as_tuple(completion))
        return Standing(self._send(record, "closeDispute", data), status, moved=True)

    def _ended(self, record: Record) -> Record:
        found = self._events.ending(record.hash, self._since(record))
        if paid := found.get("JobPaid"):
            payment, fee = int(paid.args["payment"]), int(paid.args["modelFee"])
            facts = {
                "payment": str(payment),
                "model_fee": str(fee),
                "node_share": str(payment - fee),
                "refund": str(record.job.ceiling - payment),
            }
            return self._book.end(record.hash, Outcome.PAID, **facts, **_hash("tx_end", paid))
        refunded, punished = found.get("JobRefunded"), found.get("NodePunished")
        if refunded is None:
            log.warning("%s is final, and the RPC does not show how it ended yet", record.name)
            return record
        outcome = Outcome.RETURNED
        facts = {"refund": str(refunded.args["amount"])} | _hash("tx_end", refunded)
        if punished:
            outcome = Outcome.WITHHELD if record.completion else Outcome.MISSED
            facts |= {name: str(punished.args[name]) for name in ("taken", "paid", "burned")}
        return self._book.end(record.hash, outcome, **facts)

    # The answer.

    def _fetch(self, record: Record, status: Status, completion: Completion) -> Record:
        """The answer over HTTP, or from the chain once it was posted there."""
        if status is Status.DELIVERED:
            masked = self._events.delivered(record.hash, self._since(record))
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

    def _judge(self, record: Record, completion: Completion) -> Record:
        assert record.output is not None
        if wrong := _wrong_time(record, completion, self._market):
            return self._book.judged(record.hash, _refused(wrong, len(record.output)))
        model = self._load(record)
        self._say(f"checking all {len(record.output)} tokens of the answer")
        try:
            verdict = model.judge(record.job, record.prompt, completion, record.output)
        except Exception as error:
            raise CheckFailed(
                f"the answer could not be checked here ({error}): it is neither approved nor refused; mend "
                "that and run `agent jobs --settle` before its window closes"
            ) from error
        return self._book.judged(record.hash, verdict.to_json() | {"explanation": verdict.explain()})

    # Transactions.

    def _send(self, record: Record, action: str, data: bytes, to: str | None = None) -> Record:
        """Have a call mined; if the contracts refuse as somebody was faster, the next step finds out."""
        self._outbox.put(record.name, action, to or self._market.escrow.address, data)
        intent = self._outbox.status(record.name, action)
        if intent and intent.state is State.FAILED and (record.name, action) not in self._retried:
            # It failed in an earlier run, and the contract still asks for it.
            self._retried.add((record.name, action))
            self._outbox.retry(record.name, action, data)
        before = self._status(record)
        try:
            done = self._account.wait(record.name, action)
        except IntentFailed as error:
            if self._market.job_status(record.hash)[0] == before[0]:
                raise Unfinished(
                    f"{action} was refused: {error}; `agent jobs --settle` tries again"
                ) from None
            return record
        return self._note(record, action, done)

    def _note(self, record: Record, action: str, intent: Intent) -> Record:
        facts = {f"gas_{action}": str(intent.fee or 0)}
        if intent.tx_hash:
            facts[f"tx_{action}"] = "0x" + intent.tx_hash.hex()
        return self._book.note(record.hash, **facts)

    def _have_fee(self, cost: int, until: int) -> None:
        have = self._market.balance(self._account.address)
        if have < cost:
            short = cost - have
            raise NotEnoughMoney(
                f"the node keeps its answer back. Demanding it on chain costs {self._market.money(cost)}, "
                f"of which {self._market.money(short)} are missing: run `agent deposit "
                f"{plain(short, self._market.unit[1])}` and "
                f"`agent jobs --settle` before chain time {until}"
            )

    def _status(self, record: Record) -> tuple[Status, int]:
        """Where the job stands in the last block that is deep enough."""
        return self._market.job_status(record.hash, self._events.last())

    def _since(self, record: Record) -> int:
        """The block from which on the job can have events."""
        intent = self._outbox.status(record.name, "open")
        if intent is None or intent.block_number is None:
            return self._market.start_block
        return intent.block_number


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


def _hash(name: str, event: Event) -> dict[str, str]:
    return {name: "0x" + event.tx_hash.hex()}
