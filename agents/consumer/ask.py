"""From a question to an answer that is checked and paid."""

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from eth_utils.crypto import keccak

from agents.chain.errors import ChainUnreachable
from agents.chain.outbox import IntentFailed
from agents.consumer.book import Outcome, Record
from agents.consumer.calls import open_data
from agents.consumer.candidates import Candidate, FellOut, Survey, Wanted, nobody, survey
from agents.consumer.client import Client
from agents.consumer.errors import NoAnswer, NotEnoughMoney, PromptTooLong, Unfinished
from agents.consumer.names import only_model, resolve
from agents.consumer.node_api import NodeApi, NodeError, NodeLied
from agents.consumer.running import RunningModel
from agents.consumer.settle import Standing
from agents.engine import EngineError
from agents.market.amounts import plain
from agents.market.models import ModelVersion
from agents.market.reads import Market, Status
from agents.protocol.messages import (
    MAX_TOKENS,
    Acceptance,
    Job,
    SignatureError,
    recover,
    struct_hash,
    to_json,
)
from agents.protocol.pricing import full_price
from agents.protocol.sealing import SealError, keypair, seal_prompt
from agents.protocol.tokens import PROMPT, masked_hash
from agents.terminal.exits import BadInput
from agents.terminal.screen import Screen

MILLION = 1_000_000
_TIME_TO_OPEN = 5
"""Seconds of an acceptance that must be left when it arrives."""
_AGAIN = "Ask again: other nodes may do better"
_TIME_LEFT_OVER = 30
"""Kept between a job's deadline and the latest one the escrow allows when it is opened."""


@dataclass(frozen=True, slots=True)
class Question:
    """What to ask and how. `temperature` and `top_p` in micro; `most` is the highest price in base units;
    None: the settings' or the network's own. `demand`: a withheld answer may be demanded on chain, and the
    fee for it counts towards `most`. `exact`: only nodes of this machine's bit class."""

    text: str
    system: str | None = None
    model: str | None = None
    version: int | None = None
    node: str | None = None
    temperature: int = 0
    top_p: int = MILLION
    seed: int | None = None
    max_tokens: int = 256
    most: int | None = None
    approve: bool = True
    deposit: bool = False
    demand: bool = True
    exact: bool = False

    def messages(self) -> list[dict[str, str]]:
        """For the model's chat template."""
        system = [{"role": "system", "content": self.system}] if self.system else []
        return [*system, {"role": "user", "content": self.text}]


@dataclass(frozen=True, slots=True)
class Answer:
    """A checked answer: what the model said, and where its job stands, `until` chain time."""

    record: Record
    text: str
    version: ModelVersion
    status: Status
    until: int

    @property
    def accepted(self) -> bool:
        return bool(self.record.accepted)


def ask(client: Client, question: Question, screen: Screen) -> Answer:
    """Ask, pay, check, and approve what is accepted.

    An answer that is refused comes back too, with `accepted` False: it is not approved.

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
    record = _open_with_someone(client, version, question, prompt, fee, found, screen)
    standing = _follow(client, record, screen)
    record = standing.record
    if record.output is None:
        raise NoAnswer(what_became(client.market, record))
    # A node may commit to ids that no token has.
    said = [token for token in record.output if token < model.tokenizer.vocab_size]
    text = model.tokenizer.detokenize(said)
    return Answer(record, text, version, standing.status, standing.until)


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
    with screen.waiting("asking nodes for their prices"):
        found = survey(
            client.market,
            wanted,
            timeout=client.settings.offer_timeout,
            most_nodes=client.settings.max_nodes,
            allow_private=client.settings.allow_private,
        )
    if not found.candidates:
        raise nobody(found)
    screen.say(f"{len(found.candidates)} of {len(found.candidates) + len(found.fell_out)} nodes can answer")
    return found


def _open_with_someone(
    client: Client,
    version: ModelVersion,
    question: Question,
    prompt: Sequence[int],
    fee: int,
    found: Survey,
    screen: Screen,
) -> Record:
    """Try the candidates in order until a job is open."""
    tried: list[FellOut] = []
    settler = client.settler(screen)
    for candidate in found.candidates:
        provider = candidate.provider
        _have_money(client, candidate.price, fee, question, screen)
        record = _make(client, version, question, prompt, candidate)
        try:
            with screen.waiting(f"sending the prompt, sealed, to {provider.address}"):
                record = _accepted_by(client, record, candidate, prompt)
        except NodeError as error:
            tried.append(FellOut(provider.address, str(error)))
            client.book.end(record.hash, Outcome.NOT_OPENED, reason=str(error))
            continue
        try:
            with screen.waiting(f"locking {client.market.money(record.job.ceiling)} in escrow"):
                intent = settler.open(record)
        except IntentFailed as error:
            # Its stake may have been bound by others meanwhile, or its acceptance expired: try the next.
            tried.append(FellOut(provider.address, f"the escrow refused its job: {error}"))
            continue
        screen.say(
            f"job {record.name} open at {provider.address} for up to "
            f"{client.market.money(record.job.ceiling)}"
            + (f", transaction 0x{intent.tx_hash.hex()}" if intent.tx_hash else "")
        )
        return client.book.get(record.hash)
    raise nobody(found, tried)


def _have_money(client: Client, price: int, fee: int, question: Question, screen: Screen) -> None:
    """The price is locked; the fee must be free besides, or the node could keep its answer unpunished."""
    have, needed = client.market.balance(client.address), price + fee
    if have < needed and question.deposit:
        # What an interrupted command was depositing counts, and must not be deposited twice.
        client.flush()
        have = client.market.balance(client.address)
    if have >= needed:
        return
    short = needed - have
    if question.deposit:
        screen.say(f"depositing {client.market.money(short)}")
        client.deposit(short)
        return
    amount = plain(short, client.market.unit[1])
    kept = (
        f", {client.market.money(fee)} more are kept ready to demand a withheld answer (not locked; "
        "--no-demand does without)"
        if fee
        else ""
    )
    raise NotEnoughMoney(
        f"this answer may cost {client.market.money(price)}{kept}, and your Vault balance is "
        f"{client.market.money(have)}: {client.market.money(short)} are missing. Run "
        f"`agent deposit {amount}` (or ask with --deposit); {client.address} must hold the tokens, and the "
        f"Vault is {client.market.vault.address} on chain {client.market.chain_id}"
    )


def _make(
    client: Client, version: ModelVersion, question: Question, prompt: Sequence[int], candidate: Candidate
) -> Record:
    """A job for one node, with a secret and a key of its own, in the journal before anybody hears of it."""
    secret = secrets.token_bytes(32)
    private, public = keypair()
    now, terms = client.market.clock.now(), client.market.terms
    time_allowed = min(client.settings.job_time, max(1, terms.max_job_time - _TIME_LEFT_OVER))
    job = Job(
        collector=client.market.escrow.address,
        channel=bytes(32),
        client=client.address,
        node=candidate.provider.address,
        model_id=version.model_id,
        version=version.version,
        prompt_hash=masked_hash(secret, PROMPT, prompt),
        prompt_tokens=len(prompt),
        max_tokens=question.max_tokens,
        secret_hash=keccak(secret),
        seed=secrets.randbits(64) if question.seed is None else question.seed,
        temperature=question.temperature,
        top_p=question.top_p,
        input_price=int(candidate.offer.input_price),
        output_price=int(candidate.offer.output_price),
        model_fee=version.fee,
        ceiling=0,
        deadline=now + time_allowed,
        bit_class=candidate.bit_class,
        client_key=public,
    )
    job = replace(job, ceiling=full_price(job))
    record = client.book.add(
        job,
        chain_time=now,
        model=version.label,
        manifest=version.digest,
        node_url=candidate.provider.endpoint,
        operator=candidate.provider.operator,
        approve=question.approve,
        secret=secret,
        client_private=private,
        prompt=prompt,
    )
    return record if question.demand else client.book.note(record.hash, demand="no")


def _accepted_by(client: Client, record: Record, candidate: Candidate, prompt: Sequence[int]) -> Record:
    """Send the prompt, check the acceptance, and put the opening into the outbox.

    Raises:
        NodeError: the node does not take it, or its acceptance is worth nothing.
    """
    domain = client.market.domain
    try:
        box = seal_prompt(candidate.provider.key, record.hash, record.secret, prompt)
    except SealError as error:
        raise NodeLied(str(error)) from None
    reply = NodeApi(record.node_url, client.settings.node_timeout).post_job(
        {
            "job": to_json(record.job),
            "signature": "0x" + client.account.wallet.sign_message(domain, record.job).hex(),
            "prompt": "0x" + box.hex(),
        }
    )
    if reply.job_hash != record.name:
        raise NodeLied("it accepts another job than the one it was sent")
    expires, signature = int(reply.expires), bytes.fromhex(reply.signature[2:])
    if expires >= 1 << 64:
        raise NodeLied("its acceptance has an impossible date")
    try:
        signer = recover(domain, Acceptance(struct_hash(record.job), expires), signature)
    except SignatureError as error:
        raise NodeLied(f"its acceptance is not signed: {error}") from None
    if signer != candidate.provider.operator:
        raise NodeLied(f"its acceptance is signed by {signer}, its operator is {candidate.provider.operator}")
    if expires < client.market.clock.now() + _TIME_TO_OPEN:
        raise NodeLied("its acceptance has expired, or is about to")
    data = open_data(client.market, record.job, expires, signature)
    vault = client.market.vault.address
    return client.book.accepted(
        record.hash, expires, signature, lambda: client.account.outbox.put(record.name, "open", vault, data)
    )


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
            if record.verdict is not None and not (record.accepted and record.approve):
                return standing
            if standing.moved:
                continue
            update(_progress(client, record, standing))
            time.sleep(client.settings.poll)


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
