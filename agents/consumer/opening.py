"""From candidates to an open job: who is asked first, who accepts, and the money that is locked."""

import secrets
from collections.abc import Sequence
from dataclasses import replace

from eth_utils.crypto import keccak

from agents.chain.outbox import IntentFailed
from agents.consumer.book import Outcome, Record
from agents.consumer.calls import open_data
from agents.consumer.candidates import Candidate, FellOut, Survey, nobody
from agents.consumer.client import Client
from agents.consumer.errors import NotEnoughMoney
from agents.consumer.node_api import NodeApi, NodeError, NodeLied
from agents.consumer.question import Question
from agents.market.amounts import plain
from agents.market.models import ModelVersion
from agents.protocol.messages import Acceptance, Job, SignatureError, recover, struct_hash, to_json
from agents.protocol.pricing import full_price
from agents.protocol.sealing import SealError, keypair, seal_prompt
from agents.protocol.tokens import PROMPT, masked_hash
from agents.terminal.screen import Screen

_TIME_TO_OPEN = 5
"""Seconds of an acceptance that must be left when it arrives."""
_TIME_LEFT_OVER = 30
"""Kept between a job's deadline and the latest one the escrow allows when it is opened."""


def open_with_someone(
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
    wishes = {"demand": question.demand, "challenge": question.challenge}
    facts = {name: "no" for name, wish in wishes.items() if not wish}
    if question.appeal:
        facts["appeal"] = "yes"
    return client.book.note(record.hash, **facts) if facts else record


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
