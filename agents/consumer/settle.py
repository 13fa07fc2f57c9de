"""A job's life after it was made, one step at a time.

Every step begins by reading the contract and the journal and does what is due there, so it does not matter
how the last one ended: after a crash the next step carries on, and nothing is done twice.
"""

from collections.abc import Callable
from dataclasses import dataclass

from agents.chain.outbox import Intent, IntentFailed, IntentTimeout, OutOfGasMoney, State
from agents.consumer.answers import Answers, Loader
from agents.consumer.book import Book, Outcome, Record
from agents.consumer.calls import demand_data
from agents.consumer.challenges import Challenges
from agents.consumer.court_steps import CourtSteps
from agents.consumer.dossiers import Dossiers
from agents.consumer.endings import ended
from agents.consumer.errors import ConsumerError, NotEnoughMoney, Unfinished
from agents.consumer.matter import Matter
from agents.consumer.sending import Sending
from agents.market.account import Account
from agents.market.amounts import plain
from agents.market.reads import Status
from agents.protocol.messages import Completion, as_tuple

_EVENT_LAGS = "the completion's event, which the RPC does not show yet"


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a job stands after a step. `moved`: something was done, step again at once. `until`: chain time
    when what is waited for is over, if it ever is by itself. `undrawn`: it is disputed, and who leaves before
    the panel is drawn may lose the bond. `trouble`: why a wrong answer is not challenged."""

    record: Record
    status: Status
    moved: bool = False
    until: int = 0
    waits_for: str = ""
    undrawn: bool = False
    trouble: Exception | None = None

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
        self._patience = patience
        self._say = say
        self._finish = finish
        self._demand = demand
        self._sending = Sending(account, book)
        self._answers = Answers(
            account.market, account.events, book, Dossiers(account.journal), load,
            node_timeout=node_timeout, ask_again=ask_again, say=say,
        )  # fmt: skip
        self.challenges = Challenges(account, book, load, self._sending, say)
        self.court = CourtSteps(account.market, account.events, self._sending, account.address, say)

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
        self._sending.note(record, "open", intent)
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
                record = ended(self._account, self._book, record, self._since(record))
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
            return Standing(self._send(record, Status.OPEN, "expire", data), Status.OPEN, moved=True)
        return Standing(record, Status.OPEN, until=deadline, waits_for="the node's answer")

    def fetched(self, record: Record) -> tuple[Record, Status, int]:
        """The job as it stands, with its answer in the journal if it can be had; nothing is sent."""
        status, until = self._status(record)
        if status in (Status.NONE, Status.OPEN):
            return record, status, until
        completion = self._events.completion(record.hash, self._since(record))
        if completion is not None and completion != record.completion:
            record = self._book.completed(record.hash, completion)
        if completion is not None and record.output is None:
            record = self._answers.fetch(record, status, completion, self._since(record))
        return record, status, until

    def _answered(self, record: Record, status: Status, until: int) -> Standing:
        completion = self._events.completion(record.hash, self._since(record))
        if completion is None:
            return Standing(record, status, until=until, waits_for=_EVENT_LAGS)
        if completion != record.completion:
            record = self._book.completed(record.hash, completion)
        if record.output is None:
            record = self._answers.fetch(record, status, completion, self._since(record))
        if record.output is None:
            return self._missing(record, status, until, completion)
        if record.verdict is None:
            record = self._answers.judge(record, completion)
        if record.accepted and record.approve:
            data = self._market.escrow.data("approve", as_tuple(record.job), as_tuple(completion))
            return Standing(self._send(record, status, "approve", data), status, moved=True)
        return self._resting(record, status, until, completion)

    def _resting(self, record: Record, status: Status, until: int, completion: Completion) -> Standing:
        """Checked and not approved: the window decides."""
        late = self._market.connection.time() > until
        trouble: Exception | None = None
        if not late and status is not Status.DEMANDED:
            try:
                if found := self._challenge(record, status, until, completion):
                    return found
            except (ConsumerError, OutOfGasMoney, IntentTimeout) as error:
                # Refused it stays in any case; who can't challenge just now must hear why.
                trouble = error
        if late and status is Status.DEMANDED:
            return self._close_withheld(record, status, completion)
        begun = self.challenges.begun(record) if late else None
        if begun is not None and begun.state is not State.DONE:
            self._outbox.tick()  # a challenge that came too late is refused, and it must not wait for ever
        if late and self._finish:
            return self._finalize(record, status, completion)
        why = "its window to close" if not late else "somebody to finalize it"
        return Standing(record, status, until=until, waits_for=why, trouble=trouble)

    def _challenge(
        self, record: Record, status: Status, until: int, completion: Completion
    ) -> Standing | None:
        """What was begun is carried on; a wrong answer that the court would call wrong is challenged."""
        begun = self.challenges.begun(record)
        if begun is not None and begun.state is State.DONE:
            # Deeper than our confirmations. What was signed is sent again.
            self._outbox.tick()
            why = "the challenge to be mined again: its block was reorganised away"
            return Standing(record, status, until=until, waits_for=why)
        if begun is None:
            if not self.challenges.due(record, completion):
                return None
            record = self.challenges.plan(record, status, until, completion)
            bond = self._market.money(int(record.facts["bond"]))
            self._say(
                f"the answer is wrong beyond doubt: challenging it, with a bond of {bond}; that makes your "
                "prompt and the answer public (--no-challenge)"
            )
        return Standing(self.challenges.send(record, status, completion), status, moved=True)

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
                waits_for=f"the node to hand out its answer ({self._answers.trouble(record)})",
            )
        cost = self._market.delivery_cost(completion.output_tokens)
        why = self._answers.trouble(record)
        if not (record.may_demand or self._demand):
            raise Unfinished(
                f"the node does not hand out its answer ({why}), and --no-demand forbids to "
                f"demand it on chain: `agent jobs {record.name[:14]} --settle --demand` does, for "
                f"{self._market.money(cost)}, before chain time {until}. Without that the node is paid then"
            )
        self._have_fee(cost, until)
        self._say(f"the node does not hand out its answer ({why}): demanding it on chain")
        # In the facts before it is sent: it is what the client stands to lose.
        self._book.note(record.hash, delivery_cost=str(cost))
        data = demand_data(self._market, record.job, completion, cost)
        return Standing(
            self._send(record, status, "demand", data, to=self._market.vault.address), status, moved=True
        )

    def _close_withheld(self, record: Record, status: Status, completion: Completion) -> Standing:
        self._say("the node did not post the answer: taking the money back, and a share of its stake")
        data = self._market.escrow.data("closeWithheld", as_tuple(record.job), as_tuple(completion))
        return Standing(self._send(record, status, "closeWithheld", data), status, moved=True)

    def _finalize(self, record: Record, status: Status, completion: Completion) -> Standing:
        data = self._market.escrow.data("finalize", [as_tuple(record.job)], [as_tuple(completion)])
        return Standing(self._send(record, status, "finalize", data), status, moved=True)

    def _disputed(self, record: Record, status: Status, until: int) -> Standing:
        completion = record.completion or self._events.completion(record.hash, self._since(record))
        if completion is None:
            return Standing(record, status, until=until, waits_for=_EVENT_LAGS)
        if status is Status.DISPUTED:
            late = self._market.connection.time() > until
            try:
                found = self._before_court(record, completion, until)
            except Unfinished:
                if not late:
                    raise
                found = None
            # The escrow's own limit, should the court never end.
            if not late or (found is not None and found.moved):
                return found or Standing(record, status, until=until, waits_for="the court's ruling")
        data = self._market.escrow.data("closeDispute", as_tuple(record.job), as_tuple(completion))
        return Standing(self._send(record, status, "closeDispute", data), status, moved=True)

    def _before_court(self, record: Record, completion: Completion, until: int) -> Standing | None:
        """A step of the dispute; None when the court is done, or there is none any more."""
        court = self._market.court
        if court is None:
            return None
        matter = Matter.of(self._market, record, completion)
        move = self.court.step(court, matter, appeal=record.appeals)
        if move.closed:
            return None
        record = self._sending.note(record, move.action, move.intent)
        return Standing(
            record, Status.DISPUTED, moved=move.moved, until=move.until or until, waits_for=move.waits_for,
            undrawn=move.undrawn,
        )  # fmt: skip

    # Transactions.

    def _send(
        self, record: Record, status: Status, action: str, data: bytes, to: str | None = None
    ) -> Record:
        """Have a call mined that is due with this status; if the contracts refuse as somebody was faster, the
        next step finds out."""

        def state() -> object:
            return self._market.job_status(record.hash)[0]

        target = to or self._market.escrow.address
        intent = self._sending.send(record.name, action, target, data, status, state)
        return self._sending.note(record, action, intent)

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
