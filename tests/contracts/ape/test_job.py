"""One job from the client's and from the node's side, every message signed as the agents sign it."""

import ape
from conftest import (
    BURNED,
    CHALLENGE_WINDOW,
    DELIVERY_FEE,
    DELIVERY_FEE_PER_TOKEN,
    DELIVERY_WINDOW,
    DOLLAR,
    MISS_PENALTY,
    PENALTY,
)
from eth_utils.crypto import keccak

from agents.protocol.messages import Payment, as_tuple, digest, sign, struct_hash
from agents.protocol.pricing import settle

OPEN, COMPLETED, DEMANDED, DELIVERED, FINAL = 1, 2, 3, 4, 9


def status(market, job):
    return market.escrow.jobStatus(struct_hash(job)).status


def test_python_and_solidity_name_a_job_alike(open_market, job, completed):
    assert open_market.escrow.jobHash(as_tuple(job)) == struct_hash(job)
    assert open_market.escrow.completionHash(as_tuple(completed)) == struct_hash(completed)
    separator = open_market.vault.domainSeparator()
    assert digest(open_market.domain, job) == keccak(b"\x19\x01" + separator + struct_hash(job))


def test_a_content_client_approves(open_market, opened, completed):
    vault, people = open_market.vault, open_market.people
    assert status(open_market, opened) == COMPLETED
    receipt = open_market.escrow.approve(as_tuple(opened), as_tuple(completed), sender=people.client)
    share = settle(opened, completed.output_tokens)
    (paid,) = receipt.events.filter(open_market.escrow.JobPaid)
    assert (paid.payment, paid.modelFee) == (share.payment, share.model_fee)
    assert vault.balanceOf(people.payee) == share.node_share
    assert vault.balanceOf(people.client) == 20 * DOLLAR - share.payment
    assert status(open_market, opened) == FINAL

    open_market.escrow.pushModelFees(opened.model_id, sender=people.stranger)
    assert open_market.governor.treasuryOf(opened.model_id) == share.model_fee > 0
    assert vault.balanceOf(open_market.escrow) == 0


def test_a_silent_client_does_not_keep_the_node_waiting(open_market, opened, completed, chain):
    people, both = open_market.people, ([as_tuple(opened)], [as_tuple(completed)])
    open_market.escrow.finalize(*both, sender=people.stranger)
    assert status(open_market, opened) == COMPLETED
    chain.mine(deltatime=CHALLENGE_WINDOW + 1)
    open_market.escrow.finalize(*both, sender=people.stranger)
    assert status(open_market, opened) == FINAL
    share = settle(opened, completed.output_tokens)
    assert open_market.vault.balanceOf(people.payee) == share.node_share


def test_a_node_that_misses_its_deadline(open_market, opened, chain):
    people, escrow = open_market.people, open_market.escrow
    with ape.reverts(escrow.TooEarly):
        escrow.expire(as_tuple(opened), sender=people.stranger)
    chain.mine(deltatime=601)
    escrow.expire(as_tuple(opened), sender=people.stranger)
    won = open_market.vault.balanceOf(people.client) - 20 * DOLLAR
    assert 0 < won == opened.ceiling < MISS_PENALTY
    assert open_market.vault.balanceOf(BURNED) == MISS_PENALTY - won


def demand(market, job, completion):
    cost = DELIVERY_FEE + DELIVERY_FEE_PER_TOKEN * completion.output_tokens
    data = market.call("demandDelivery", as_tuple(job), as_tuple(completion))
    market.vault.payAndCall(market.escrow, cost, data, sender=market.people.client)
    return cost


def test_a_node_that_withholds_is_slashed(open_market, opened, completed, chain):
    people = open_market.people
    demand(open_market, opened, completed)
    chain.mine(deltatime=DELIVERY_WINDOW + 1)
    open_market.escrow.closeWithheld(as_tuple(opened), as_tuple(completed), sender=people.stranger)
    price = settle(opened, completed.output_tokens).payment
    assert open_market.vault.balanceOf(people.client) == 20 * DOLLAR + price
    provision = open_market.registry.provisionOf(people.node, open_market.escrow, opened.model_id)
    assert (provision.amount, provision.reserved) == (50 * DOLLAR - PENALTY, 0)
    assert open_market.vault.balanceOf(people.payee) == 0


def test_a_node_that_delivers_on_demand_is_paid(open_market, opened, completed, masked_answer, chain):
    people, escrow = open_market.people, open_market.escrow
    cost = demand(open_market, opened, completed)
    assert status(open_market, opened) == DEMANDED
    both = as_tuple(opened), as_tuple(completed)
    with ape.reverts(escrow.WrongTokens):
        escrow.deliver(*both, masked_answer[:-1] + b"\x00", sender=people.operator)
    receipt = escrow.deliver(*both, masked_answer, sender=people.operator)
    (event,) = receipt.events.filter(escrow.OutputDelivered)
    assert bytes(event.maskedOutput) == masked_answer
    assert status(open_market, opened) == DELIVERED
    assert open_market.vault.balanceOf(BURNED) == cost
    chain.mine(deltatime=CHALLENGE_WINDOW + 1)
    escrow.finalize([both[0]], [both[1]], sender=people.stranger)
    share = settle(opened, completed.output_tokens)
    assert open_market.vault.balanceOf(people.payee) == share.node_share


def test_challenge_says_that_there_is_no_court_yet(open_market, opened, completed, masked_answer):
    both = as_tuple(opened), as_tuple(completed)
    data = open_market.call("challenge", *both, keccak(text="secret"), b"", masked_answer)
    with ape.reverts(open_market.escrow.NoCourt):
        open_market.vault.payAndCall(open_market.escrow, 0, data, sender=open_market.people.client)


def test_a_client_without_gas_opens_by_signature(open_market, job, open_call, chain):
    people = open_market.people
    payment = Payment(
        people.client.address,
        open_market.escrow.address,
        job.ceiling,
        open_call(job),
        1,
        chain.pending_timestamp + 60,
    )
    signature = sign(open_market.domain, payment, bytes.fromhex(people.client.private_key.removeprefix("0x")))
    open_market.vault.paySigned(as_tuple(payment), signature, sender=people.stranger)
    assert status(open_market, job) == OPEN
    assert open_market.vault.balanceOf(open_market.escrow) == job.ceiling


def test_an_acceptance_is_good_for_one_job(open_market, opened, open_call):
    with ape.reverts(open_market.escrow.JobExists, jobHash=struct_hash(opened)):
        open_market.vault.payAndCall(
            open_market.escrow, opened.ceiling, open_call(opened), sender=open_market.people.client
        )
