"""From a question to an answer that is checked and paid."""

from collections.abc import Sequence
from dataclasses import dataclass
from time import sleep

from agents.chain.errors import ChainUnreachable
from agents.consumer.book import Outcome, Record
from agents.consumer.candidates import Survey, Wanted, nobody, survey
from agents.consumer.challenge import follow
from agents.consumer.client import Client
from agents.consumer.errors import NoAnswer, PromptTooLong, Unfinished
from agents.consumer.names import only_model, resolve
from agents.consumer.node_api import NodeApi, NodeError
from agents.consumer.opening import open_with_someone
from agents.consumer.question import Question
from agents.consumer.running import RunningModel
from agents.consumer.settle import Standing
from agents.engine import EngineError
from agents.market.amounts import plain
from agents.market.models import ModelVersion
from agents.market.reads import Market, Status
from agents.protocol.messages import MAX_TOKENS
from agents.terminal.exits import BadInput
from agents.terminal.screen import Screen

_AGAIN = "Ask again: other nodes may do better"


@dataclass(frozen=True, slots=True)
class Answer:
    """A checked answer: what the model said, and where its job stands, `until` chain time. `trouble`: why a
    wrong one could not be challenged."""

    record: Record
    text: str
    version: ModelVersion
    status: Status
    until: int
    trouble: str = ""

    @property
    def accepted(self) -> bool:
        return bool(self.record.accepted)

    @property
    def challenged(self) -> bool:
        """Whether it came before the court."""
        return self.status >= Status.DISPUTED and "dispute" in self.record.facts


def ask(client: Client, question: Question, screen: Screen) -> Answer:
    """Ask, pay, check, and approve what is accepted.

    An answer that is refused comes back too, with `accepted` False: it is not approved, and challenged if it
    is wrong beyond doubt.

    Raises:
        ConsumerError: its subclasses say what went wrong; whatever is unfinished is in the journal.
        ChainError: the chain can't be used.
    """
    version = resolve(
        client.market,
        client.events,
        client.book,
        question.model or only_model(client.market, client.events),
        question.version,
    )
    screen.say(f"model {version.label}")
    model = client.model(version, screen)
    prompt = _prompt(model, question)
    fee = client.market.delivery_cost(question.max_tokens) if question.demand else 0
    found = _survey(client, version, model, prompt, question, fee, screen)
    _warn_of_bond(client, question, len(prompt), found.candidates[0].price + fee, screen)
    record = open_with_someone(client, version, question, prompt, fee, found, screen)
    standing = _follow(client, record, screen)
    record, status = standing.record, standing.status
    if question.wait and Status.DISPUTED <= status < Status.FINAL:
        record = follow(client, client.settler(screen, finish=True), record, screen, wait=True)
        status = Status.FINAL
    if record.output is None:
        raise NoAnswer(what_became(client.market, record))
    # A node may commit to ids that no token has.
    said = [token for token in record.output if token < model.tokenizer.vocab_size]
    text = model.tokenizer.detokenize(said)
    return Answer(record, text, version, status, standing.until, str(standing.trouble or ""))


def _warn_of_bond(client: Client, question: Question, prompt: int, locked: int, screen: Screen) -> None:
    """Say before the question is paid for that a wrong answer could not be challenged."""
    court, market = client.market.court, client.market
    if court is None or not question.challenge:
        return
    bond = court.bond(prompt + question.max_tokens)
    short = locked + bond - market.balance(client.address)
    if short > 0 and not question.deposit:
        screen.warn(
            f"if the answer is wrong, challenging it takes a bond of up to {market.money(bond)}, and "
            f"{market.money(short)} of that are missing: `agent deposit {plain(short, market.unit[1])}`, or "
            "--no-challenge"
        )


def _prompt(model: RunningModel, question: Question) -> list[int]:
    try:
        prompt = model.tokenizer.tokenize_chat(question.messages())
    except EngineError as error:
        raise BadInput(str(error)) from None
    limit = min(model.manifest.context_length, MAX_TOKENS)
    if len(prompt) + question.max_tokens > limit:
        raise PromptTooLong(
            f"the prompt has {len(prompt)} tokens and the answer may have {question.max_tokens}: together "
            f"more than the {limit} that {model.manifest.name} takes. Shorten the prompt or lower "
            "--max-tokens"
        )
    return prompt


def _survey(
    client: Client,
    version: ModelVersion,
    model: RunningModel,
    prompt: Sequence[int],
    question: Question,
    fee: int,
    screen: Screen,
) -> Survey:
    with screen.waiting("loading the model"):
        bit_class = model.bit_class(len(prompt) + question.max_tokens)
    if question.exact and not any(bit_class):
        raise BadInput(
            "this machine promises no bit class for this model, so no answer can be checked exactly: leave "
            "--exact out (`agent check` says why)"
        )
    wanted = Wanted(
        model_id=version.model_id,
        version=version.version,
        model_fee=version.fee,
        prompt_tokens=len(prompt),
        max_tokens=question.max_tokens,
        bit_class=bit_class,
        most=question.most,
        node=question.node,
        demand_fee=fee,
        known_classes=frozenset(bytes.fromhex(text[2:]) for text in model.manifest.bit_classes),
        exact=question.exact,
    )

    def shunned(node: str) -> str | None:
        dossier = client.dossiers.get(node, version.model_id, version.version)
        return dossier.explain() if dossier.accused else None

    if question.node is not None and (why := shunned(question.node)):
        screen.warn(f"node {question.node}: {why}")
    with screen.waiting("asking nodes for their prices"):
        found = survey(
            client.market,
            wanted,
            timeout=client.settings.offer_timeout,
            most_nodes=client.settings.max_nodes,
            allow_private=client.settings.allow_private,
            shunned=shunned,
        )
    if not found.candidates:
        raise nobody(found)
    screen.say(f"{len(found.candidates)} of {len(found.candidates) + len(found.fell_out)} nodes can answer")
    return found


def _follow(client: Client, record: Record, screen: Screen) -> Standing:
    """Step until the answer is judged and, if accepted, approved; or the job is over without one."""
    with screen.waiting("the node is answering") as update:
        settler = client.settler(screen, say=update)
        while True:
            try:
                standing = settler.step(record)
            except ChainUnreachable as error:
                raise Unfinished(
                    f"{error}. The job goes on: `agent jobs --settle` finishes or refunds it"
                ) from None
            record = standing.record
            if standing.ended:
                return standing
            if standing.moved:
                continue
            judged = record.verdict is not None and not (record.accepted and record.approve)
            if judged and not standing.undrawn:
                return standing
            update(_progress(client, record, standing))
            sleep(client.settings.poll)


def _progress(client: Client, record: Record, standing: Standing) -> str:
    if standing.status is Status.OPEN:
        try:
            reply = NodeApi(record.node_url, client.settings.offer_timeout).job(record.name)
        except NodeError:
            return f"the node does not say how far it is; its deadline is chain time {standing.until}"
        most = record.job.max_tokens
        return f"the node is answering: {reply.status}, {reply.output_tokens} of at most {most} tokens"
    return f"waiting for {standing.waits_for}" if standing.waits_for else "waiting"


def what_became(market: Market, record: Record) -> str:
    """How a job without an answer ended, in words."""
    facts = {
        name: int(record.facts[name])
        for name in ("refund", "taken", "paid", "burned")
        if name in record.facts
    }
    back = market.money(facts.get("refund", 0))
    slashed = ""
    if facts.get("taken"):
        slashed = (
            f", and of its stake {market.money(facts['taken'])} were taken: "
            f"{market.money(facts['paid'])} to you, {market.money(facts['burned'])} burned"
        )
    node = record.job.node
    match record.outcome:
        case Outcome.MISSED:
            return f"node {node} missed its deadline: {back} came back to you{slashed}. {_AGAIN}"
        case Outcome.WITHHELD:
            return f"node {node} kept its answer back: {back} came back to you{slashed}. {_AGAIN}"
        case Outcome.PAID:
            return f"node {node} was paid before its answer could be had: it was not demanded in time"
    return (
        f"the job ended without an answer ({record.outcome}: {record.facts.get('reason', 'no reason known')})"
    )
