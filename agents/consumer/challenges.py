"""When to challenge a wrong answer, and whether it can be done; the outbox then does it exactly once."""

from collections.abc import Callable, Mapping
from typing import Any

from agents.chain.connection import Connection
from agents.chain.contracts import known_reverts
from agents.chain.errors import Reverted, RpcFault
from agents.chain.outbox import Intent, State
from agents.consumer.answers import CheckFailed, Loader
from agents.consumer.book import Book, Record
from agents.consumer.errors import CannotDispute, NotEnoughMoney
from agents.consumer.matter import CHALLENGE, Matter, Stakes
from agents.consumer.sending import Sending
from agents.market.account import Account
from agents.market.amounts import plain
from agents.market.court import Court
from agents.market.court_calls import challenge_data
from agents.market.reads import Market, Status
from agents.protocol.messages import Completion, Job
from agents.protocol.tokens import NotSigned, TokenError, check_output, check_prompt
from agents.rastic import Action, Mode, Verdict
from agents.rastic.verdict import Statistic

_CLEARLY = 1.1
"""How many times the threshold an answer must be off before it is challenged without asking, by the tolerant
rule: other machines find it a little less off than this one."""


def rules_of(market: Market, court: Court, job: Job) -> frozenset[Mode]:
    """By which rules the court may judge a challenge that is opened soon, as DisputeCourt chooses them: in
    this period, and should a block take it later only, in the next."""
    period = court.period(market.clock.now())
    return frozenset(_rule(court, job, before) for before in (period - 1, period))


def _rule(court: Court, job: Job, period: int) -> Mode:
    if not any(job.bit_class) or court.pool_size(0, job.bit_class, period) < court.terms.appeal_seats:
        return Mode.TOLERANT
    ours = court.pool_size(job.model_id, job.bit_class, period)
    return Mode.EXACT if ours >= court.terms.first_seats else Mode.TOLERANT


def beyond_doubt(verdict: Mapping[str, Any]) -> bool:
    """Whether a verdict (Verdict.to_json) is worth a bond without asking anybody."""
    failure = verdict["failure"]
    if verdict["action"] != Action.SLASH or failure is None:
        return False
    if verdict["mode"] != Mode.TOLERANT or failure["statistic"] is None:
        return True
    value = verdict["mean_margin"] if failure["statistic"] == Statistic.MEAN else verdict["max_margin"]
    return float(value) >= _CLEARLY * float(failure["threshold"])


class Challenges:
    """Challenges of one account."""

    def __init__(
        self, account: Account, book: Book, load: Loader, sending: Sending, say: Callable[[str], None]
    ) -> None:
        self._account = account
        self._market = account.market
        self._book = book
        self._load = load
        self._sending = sending
        self._say = say

    def begun(self, record: Record) -> Intent | None:
        """The challenge in the outbox, unless it failed."""
        intent = self._account.outbox.status(record.name, CHALLENGE)
        return None if intent is None or intent.state is State.FAILED else intent

    def due(self, record: Record, completion: Completion) -> bool:
        """Whether this account's own verdict is worth a bond: well past the slash threshold of every rule
        that the court may judge by.

        Raises:
            CheckFailed: that rule is another than the one it was checked by, and the check fails.
        """
        court, verdict = self._market.court, record.verdict
        if court is None or verdict is None or not record.may_challenge:
            return False
        if not beyond_doubt(verdict):
            return False
        if verdict["mode"] != Mode.EXACT or rules_of(self._market, court, record.job) == {Mode.EXACT}:
            return True  # what is off by the tolerant rule is far off by the exact one
        if "tolerant" not in record.facts:
            found = self.judged_for_court(record, completion).to_json()
            record = self._book.note(record.hash, tolerant="wrong" if beyond_doubt(found) else "doubtful")
        return record.facts["tolerant"] == "wrong"

    def judged_for_court(self, record: Record, completion: Completion) -> Verdict:
        """The answer, checked by the rule that the court would judge by; by the tolerant one if it may.

        Raises:
            CheckFailed: it can't be checked here.
        """
        assert record.output is not None
        court = self._market.court
        exact = court is not None and rules_of(self._market, court, record.job) == {Mode.EXACT}
        mode = Mode.EXACT if exact else Mode.TOLERANT
        self._say(f"checking all {len(record.output)} tokens of the answer by the court's rule ({mode})")
        try:
            model = self._load(record)
            return model.examine(record.job, record.prompt, completion, record.output, mode).verdict
        except Exception as error:
            raise CheckFailed(f"the answer could not be checked here ({error})") from error

    def stakes(self, record: Record, completion: Completion) -> Stakes:
        """Raises CannotDispute where there is no court."""
        return Stakes.of(self._market, self._court(), record, completion)

    def plan(self, record: Record, status: Status, until: int, completion: Completion) -> Record:
        """Make sure that a challenge would be taken, and put it into the outbox; the answer is never approved
        from then on.

        Raises:
            CannotDispute: it would not be; says why.
            NotEnoughMoney: the bond is more than the free balance.
        """
        court, market = self._court(), self._market
        self.check(record, status, until)
        prompt, output = self._evidence(record, completion)
        bond = Stakes.of(market, court, record, completion).bond
        self._have_bond(bond, until)
        data = challenge_data(market, record.job, completion, record.secret, prompt, output, bond)
        refusal = _rehearse(market.connection, self._account.address, market.vault.address, data)
        if refusal is not None:
            raise CannotDispute(f"job {record.name[:14]}… can't be challenged: {_meaning(refusal)}")
        matter = Matter.of(market, record, completion)
        with self._account.journal.transaction():
            self._book.note(record.hash, bond=str(bond), dispute=matter.name)
            record = self._book.leave(record.hash)
            self._account.outbox.put(record.name, CHALLENGE, market.vault.address, data)
            self._account.outbox.retry(record.name, CHALLENGE, data)  # if one failed before
        return record

    def send(self, record: Record, status: Status, completion: Completion) -> Record:
        """Have the planned challenge mined. Raises as `Sending.send`."""
        assert record.output is not None
        market, bond = self._market, int(record.facts["bond"])
        secret, prompt, output = record.secret, record.prompt, record.output
        data = challenge_data(market, record.job, completion, secret, prompt, output, bond)
        intent = self._sending.send(
            record.name,
            CHALLENGE,
            market.vault.address,
            data,
            status,
            lambda: market.job_status(record.hash)[0],
        )
        return self._sending.note(record, CHALLENGE, intent)

    def _court(self) -> Court:
        court = self._market.court
        if court is None:
            raise CannotDispute(
                f"this deployment (Vault {self._market.vault.address} on chain {self._market.chain_id}) has "
                "no court: a wrong answer can be refused here, not challenged"
            )
        return court

    def check(self, record: Record, status: Status, until: int) -> None:
        """Whether the job can be challenged as it stands: what costs nothing to find out.

        Raises:
            CannotDispute: says why not.
        """
        self._court()
        job = f"job {record.name[:14]}…"
        if record.job.client != self._account.address:
            raise CannotDispute(
                f"{job} is {record.job.client}'s, and only a job's client can challenge its answer: use that "
                "account (--account)"
            )
        match status:
            case Status.NONE:
                raise CannotDispute(f"{job} is not open on chain: there is nothing to challenge")
            case Status.OPEN:
                raise CannotDispute(
                    f"{job} has no answer yet: its node has until chain time {until}; after that `agent jobs "
                    "--settle` takes the money back"
                )
            case Status.DEMANDED:
                raise CannotDispute(
                    f"{job}: its answer was demanded on chain. It can be challenged when it is there; if it "
                    f"is not by chain time {until}, `agent jobs --settle` takes the money back"
                )
            case Status.FINAL:
                raise CannotDispute(f"{job} has ended: nothing is left to challenge (`agent jobs --all`)")
            case Status.COMPLETED | Status.DELIVERED:
                pass
            case _:
                raise CannotDispute(f"{job} has been challenged already: a job can be challenged once")
        now = self._market.connection.time()
        if now > until:
            raise CannotDispute(
                f"{job}: its window closed at chain time {until}, {now - until} s ago: its node is paid"
            )
        if record.output is None:
            raise CannotDispute(
                f"{job}: its answer is not in the journal, and without it nothing can be challenged: `agent "
                "jobs --settle` fetches it, or demands it on chain"
            )

    def _evidence(self, record: Record, completion: Completion) -> tuple[tuple[int, ...], tuple[int, ...]]:
        assert record.output is not None
        try:
            check_prompt(record.job, record.secret, record.prompt)
            check_output(completion, record.secret, record.output)
        except (NotSigned, TokenError) as error:
            raise CannotDispute(
                f"job {record.name[:14]}…: the evidence in the journal is not what was signed ({error}): "
                "bring back a copy of the journal in which it is"
            ) from None
        return record.prompt, record.output

    def _have_bond(self, bond: int, until: int) -> None:
        market = self._market
        have = market.balance(self._account.address)
        if have < bond:
            raise NotEnoughMoney(
                f"a challenge takes a bond of {market.money(bond)}, and the free Vault balance of "
                f"{self._account.address} is {market.money(have)}: {market.money(bond - have)} are missing. "
                f"Run `agent deposit {plain(bond - have, market.unit[1])}` and challenge before chain time "
                f"{until}; the Vault is {market.vault.address} on chain {market.chain_id}"
            )


def _rehearse(connection: Connection, sender: str, to: str, data: bytes) -> Reverted | None:
    try:
        connection.call({"from": sender, "to": to, "data": data})
    except RpcFault as fault:
        refusal = known_reverts().of(fault)
        if refusal is None:
            raise
        return refusal
    return None


def _meaning(refusal: Reverted) -> str:
    """What the commonest refusals mean, and what to do."""
    args = refusal.args_by_name
    match refusal.name:
        case "NotEnoughSeats":
            return (
                f"the court has {args['seats']} seats that can be drawn, and needs {args['needed']}: until "
                "more nodes take seats (and a period has passed) wrong answers are only refused"
            )
        case "WindowClosed":
            return f"its window closed at chain time {args['until']}"
        case "NotClient":
            return f"only its client {args['client']} can challenge it"
    return str(refusal)
