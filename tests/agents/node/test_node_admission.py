"""What a node takes and what it refuses, over real HTTP; every refusal has its status, its code and a way
out.
"""

import hashlib
import os
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from market_stage import CLIENT, FEE, MILLION, OPERATOR, OTHER, STRANGER, Asked, Client, Stage

from agents.chain.devchain import dev_wallet
from agents.node.run import NodeRunner
from agents.protocol.messages import Acceptance, Domain, recover
from agents.protocol.sealing import seal_prompt
from agents.protocol.wire import Offer

Shared = tuple[Stage, NodeRunner]

WRONG: dict[str, tuple[int, str, dict[str, Any]]] = {
    "another node": (400, "wrong_node", {"node": dev_wallet(OTHER).address}),
    "another collector": (400, "wrong_collector", {"collector": dev_wallet(OTHER).address}),
    "a channel": (400, "wrong_collector", {"channel": b"\1" * 32}),
    "unknown model": (404, "unknown_model", {"model_id": 5}),
    "unknown version": (404, "unknown_model", {"version": 1}),
    "wrong model fee": (402, "wrong_model_fee", {"model_fee": FEE - 1}),
    "input price": (402, "price_too_low", {"input_price": 999 * MILLION}),
    "output price": (402, "price_too_low", {"output_price": 1_999 * MILLION}),
    "ceiling": (402, "ceiling_too_low", {"ceiling": 35_999}),
    "bit class": (400, "wrong_bit_class", {"bit_class": b"\7" * 32}),
    "client key": (400, "bad_client_key", {"client_key": bytes(32)}),
    "top-p of 0": (400, "bad_sampling", {"top_p": 0}),
    "top-p above 1": (400, "bad_sampling", {"top_p": MILLION + 1}),
    "temperature": (400, "bad_sampling", {"temperature": 10 * MILLION + 1}),
    "no prompt": (400, "no_tokens", {"prompt_tokens": 0}),
    "no answer": (400, "no_tokens", {"max_tokens": 0}),
    "longer than the context": (400, "context_overflow", {"max_tokens": 493}),
    "longer than any job": (400, "context_overflow", {"prompt_tokens": 2**32 - 1, "max_tokens": 2**32 - 1}),
    "too soon": (400, "deadline_too_soon", {"deadline": 1}),
    "too far": (400, "deadline_too_far", {"deadline": 2**64 - 1}),
}


@pytest.mark.parametrize("case", WRONG)
def test_terms_that_are_refused(client: Client, case: str) -> None:
    status, code, fields = WRONG[case]
    asked = client.ask()
    if code != "ceiling_too_low":
        fields = {"ceiling": 10**20} | fields
    _refused(client.post(asked.changed(**fields)), status, code)


def _refused(response: httpx.Response, status: int, code: str) -> dict[str, str]:
    error: dict[str, str] = response.json()["error"]
    assert (response.status_code, error["code"]) == (status, code), error
    assert len(error["message"]) > 20
    return error


def test_a_signature_for_another_chain(client: Client) -> None:
    asked = client.ask()
    other = Domain(client.market.chain_id + 1, client.market.vault.address)
    signature = "0x" + client.wallet.sign_message(other, asked.job).hex()
    error = _refused(client.post(asked, signature=signature), 422, "bad_signature")
    assert f"chain {client.market.chain_id}" in error["message"]


@pytest.mark.parametrize("signature", ["0x", "0x" + "11" * 65, "0x" + "00" * 65, "0x" + "11" * 64])
def test_signatures_that_are_none(client: Client, signature: str) -> None:
    _refused(client.post(client.ask(), signature=signature), 422, "bad_signature")


def test_somebody_elses_signature(client: Client) -> None:
    asked = client.ask()
    signature = "0x" + dev_wallet(OTHER).sign_message(client.market.domain, asked.job).hex()
    _refused(client.post(asked, signature=signature), 422, "bad_signature")


def test_a_client_without_enough_money_is_told_how_much_and_where(shared: Shared) -> None:
    stage, runner = shared
    client = Client(stage, dev_wallet(STRANGER), runner.endpoint)
    stage.deposit(client.wallet, 1000)
    error = _refused(client.post(client.ask()), 402, "balance")
    assert "deposit 35000 more" in error["message"]
    assert stage.market.vault.address in error["message"]


def _sealed(client: Client, asked: Asked, **wrong: Any) -> str:
    given = {
        "node_key": asked.node_key,
        "job_hash": asked.hash,
        "secret": asked.secret,
        "tokens": asked.prompt,
    }
    return "0x" + seal_prompt(**(given | wrong)).hex()


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"node_key": b"\7" * 32}, "sealed_prompt"),
        ({"job_hash": b"\7" * 32}, "sealed_prompt"),
        ({"secret": b"\7" * 32}, "wrong_prompt"),
        ({"tokens": tuple(range(101, 121))}, "wrong_prompt"),
        ({"tokens": tuple(range(100, 119))}, "wrong_prompt"),
    ],
)
def test_prompts_that_are_not_those_signed(client: Client, wrong: dict[str, Any], code: str) -> None:
    asked = client.ask()
    _refused(client.post(asked, prompt=_sealed(client, asked, **wrong)), 422, code)


def test_token_ids_outside_the_vocabulary(client: Client) -> None:
    _refused(client.post(client.ask(prompt=(5, 49_152))), 422, "unknown_token")


@pytest.mark.parametrize(
    "change",
    [
        {"prompt": "0x0"},
        {"prompt": "zz"},
        {"prompt": None},
        {"signature": 5},
        {"job": []},
        {"job": {}},
    ],
)
def test_requests_of_another_shape(client: Client, change: dict[str, Any]) -> None:
    error = _refused(client.post(client.ask(), **change), 400, "malformed")
    assert next(iter(change)) in error["message"] or "Job" in error["message"]


@pytest.mark.parametrize(
    ("field", "value"),
    [("seed", 7), ("seed", "07"), ("seed", str(2**64)), ("version", "0"), ("client", "0x00"), ("extra", 1)],
)
def test_jobs_of_another_shape(client: Client, field: str, value: Any) -> None:
    body = client.body(client.ask())
    body["job"][field] = value
    error = _refused(client.http.post("/v1/jobs", json=body), 400, "malformed")
    assert field in error["message"]


def test_an_acceptance_is_the_operators_and_expires_soon(shared: Shared, client: Client) -> None:
    stage, runner = shared
    asked = client.ask()
    reply = client.accepted(asked)
    acceptance = Acceptance(asked.hash, int(reply["expires"]))
    signature = bytes.fromhex(reply["signature"][2:])
    assert recover(stage.market.domain, acceptance, signature) == runner.outbox.address
    assert 100 <= acceptance.expires - stage.market.clock.now() <= 120
    # The same again is the same acceptance, not a second job.
    assert client.accepted(asked) == reply
    assert client.status(asked) == "accepted"
    client.open(asked, reply)
    client.wait(asked, "completed")
    assert client.accepted(asked) == reply
    output = runner.book.output(asked.hash)[1]
    assert client.output(asked)[1] == output


def test_unopened_acceptances_are_few_for_each_client_and_expire(shared: Shared) -> None:
    stage, runner = shared
    client = Client(stage, dev_wallet(OTHER), runner.endpoint)
    stage.deposit(client.wallet, MILLION)
    first, second, third, fourth = (client.ask(seed=seed) for seed in range(4))
    replies = [client.accepted(asked) for asked in (first, second, third)]
    response = client.post(fourth)
    _refused(response, 429, "too_many_unopened")
    assert 1 <= int(response.headers["Retry-After"]) <= 241
    assert client.accepted(first) == replies[0]
    stage.pass_time(121)
    _refused(client.post(first), 409, "expired")
    # Who opened nothing is backed off for as long again.
    response = client.post(fourth)
    _refused(response, 429, "too_many_unopened")
    stage.pass_time(int(response.headers["Retry-After"]) + 1)
    client.accepted(client.ask(seed=5))
    # What nobody opened is forgotten then, once every block that could have opened it has been read.
    client.wait(third, "HTTP 404")


def test_a_known_job_on_chain_that_the_journal_lost_is_not_taken_again(
    shared: Shared, client: Client
) -> None:
    _, runner = shared
    asked = client.ask()
    client.submit(asked)
    client.wait(asked, "completed")
    with runner.journal.transaction() as db:
        db.execute("DELETE FROM node_event WHERE hash = ?", (asked.hash,))
        db.execute("DELETE FROM node_job WHERE hash = ?", (asked.hash,))
    _refused(client.post(asked), 409, "on_chain")


def test_more_than_can_be_answered_in_time_is_refused(stage: Stage, start: Callable[..., NodeRunner]) -> None:
    node = start(pending_per_client=20, margin_seconds=0)
    client = Client(stage, dev_wallet(CLIENT), node.endpoint)
    (model,) = node.models.values()
    alone = model.speed.alone(20, 480)
    soon = stage.market.clock.now() + int(5 * alone) + 10
    replies = [client.post(client.ask(seed=seed, max_tokens=480, deadline=soon)) for seed in range(5)]
    assert replies[0].status_code == 200
    refused = next(reply for reply in replies if reply.status_code != 200)
    _refused(refused, 429, "busy")
    assert int(refused.headers["Retry-After"]) >= 1


def test_acceptances_nobody_opens_lock_nobody_out_of_the_stake(
    stage: Stage, start: Callable[..., NodeRunner]
) -> None:
    node = start(pending_per_client=20)
    client = Client(stage, dev_wallet(OTHER), node.endpoint)
    stage.deposit(client.wallet, MILLION)
    for seed in range(5):  # as many as the stake covers
        client.accepted(client.ask(seed=seed))
    client = Client(stage, dev_wallet(CLIENT), node.endpoint)
    asked = client.ask(seed=5)
    client.submit(asked)
    client.wait(asked, "completed")
    free = stage.market.provision(node.identity.node, stage.model_id).free
    thaw = (stage.market.escrow.address, stage.model_id, free)
    stage.send(dev_wallet(OPERATOR), stage.market.nodes, "thaw", *thaw)
    _refused(client.post(client.ask(seed=6)), 503, "no_stake")


def test_a_job_opened_in_the_last_second_is_still_answered_in_time(
    stage: Stage, start: Callable[..., NodeRunner]
) -> None:
    """Or a client could open late on purpose, and collect for the miss."""
    node = start(margin_seconds=10)
    client = Client(stage, dev_wallet(CLIENT), node.endpoint)
    now = stage.market.clock.now()
    asked = client.ask(deadline=now + 40)
    reply = client.accepted(asked)
    expires = int(reply["expires"])
    assert now + 5 <= expires <= now + 40 - 10
    stage.pass_time(expires - stage.market.clock.now() - 1)
    client.open(asked, reply)
    client.wait(asked, "completed")
    # With so little left that nobody could open in time, there is no acceptance.
    soon = stage.market.clock.now() + 15
    error = _refused(client.post(client.ask(seed=2, deadline=soon)), 400, "deadline_too_soon")
    later = int(error["message"].split("deadline to ")[1].split()[0])
    client.accepted(client.ask(seed=3, deadline=later))


def test_offer_is_signed_by_the_operator(shared: Shared, client: Client) -> None:
    stage, runner = shared
    offer = Offer.read(client.http.get("/v1/offer").content)
    registered = stage.market.node(offer.node)
    assert offer.signer() == offer.operator == registered.operator
    assert offer.encryption_key == "0x" + registered.encryption_key.hex()
    assert registered.endpoint == runner.endpoint
    assert (offer.chain_id, offer.vault) == ("31337", stage.market.vault.address)
    (model,) = offer.models
    assert (model.model_id, model.version, model.context_length) == (str(stage.model_id), 0, 512)


def test_what_nobody_may_see_is_in_no_error(client: Client) -> None:
    """A refusal repeats neither prompt nor key, whatever is wrong."""
    secret = os.urandom(32)
    asked = client.ask()
    body = client.body(asked) | {"prompt": "0x" + secret.hex()}
    text = client.http.post("/v1/jobs", json=body).text
    assert secret.hex() not in text
    assert hashlib.sha256(secret).hexdigest() not in text
    body["job"]["seed"] = "secret-" + secret.hex()
    assert secret.hex() not in client.http.post("/v1/jobs", json=body).text
