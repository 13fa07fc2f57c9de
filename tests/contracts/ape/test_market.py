"""One answer's money, seen from Python."""

from typing import Any

import ape

from agents.protocol.messages import as_tuple, struct_hash
from agents.protocol.pricing import settle

USD = 10**6


def test_a_deposit_can_be_withdrawn(vault: Any, usd: Any, client: Any, fund: Any) -> None:
    fund(client, 5 * USD)
    vault.withdraw(client, 5 * USD, sender=client)
    assert usd.balanceOf(client) == 5 * USD
    assert vault.balanceOf(client) == 0


def test_nobody_withdraws_what_is_not_theirs(vault: Any, client: Any, trainer: Any, fund: Any) -> None:
    fund(client, 5 * USD)
    with ape.reverts(vault.InsufficientBalance, inputs={"balance": 0, "needed": 1}):
        vault.withdraw(trainer, 1, sender=trainer)


def test_a_model_gives_its_trainer_the_whole_supply(
    project: Any, models: Any, trainer: Any, model_id: int
) -> None:
    token = project.ModelToken.at(models.tokenOf(model_id))
    assert token.balanceOf(trainer) == token.totalSupply() == 10**24
    assert (token.name(), token.symbol()) == ("smol", "SMOL")


def test_an_approved_answer_is_paid_and_split(
    desk: Any, vault: Any, escrow: Any, governor: Any, client: Any, node: Any, model_id: int, fund: Any
) -> None:
    fund(client, USD)
    job = desk.job(client, node, model_id)
    desk.open(job, client)
    assert vault.balanceOf(client) == USD - job.ceiling
    done = desk.complete(job)
    escrow.approve(as_tuple(job), as_tuple(done), sender=client)
    split = settle(job, done.output_tokens)
    assert vault.balanceOf(node) == split.node_share
    assert vault.balanceOf(client) == USD - split.payment
    escrow.pushModelFees(model_id, sender=node)
    assert governor.treasuryOf(model_id) == split.model_fee
    assert vault.balanceOf(escrow) == 0


def test_a_silent_client_pays_when_the_window_closes(
    desk: Any,
    chain: Any,
    vault: Any,
    escrow: Any,
    client: Any,
    node: Any,
    trainer: Any,
    model_id: int,
    fund: Any,
) -> None:
    fund(client, USD)
    jobs = [desk.job(client, node, model_id, name) for name in "ab"]
    completions = []
    for job in jobs:
        desk.open(job, client)
        completions.append(desk.complete(job))
    batch = [as_tuple(job) for job in jobs], [as_tuple(c) for c in completions]
    escrow.finalize(*batch, sender=trainer)
    assert vault.balanceOf(node) == 0
    chain.mine(deltatime=3601)
    escrow.finalize(*batch, sender=trainer)
    assert vault.balanceOf(node) == sum(settle(job, 150).node_share for job in jobs)
    escrow.finalize(*batch, sender=trainer)
    assert vault.balanceOf(node) == sum(settle(job, 150).node_share for job in jobs)


def test_a_missed_deadline_refunds_and_slashes(
    desk: Any,
    chain: Any,
    vault: Any,
    nodes: Any,
    escrow: Any,
    client: Any,
    node: Any,
    model_id: int,
    fund: Any,
) -> None:
    fund(client, USD)
    job = desk.job(client, node, model_id)
    desk.open(job, client)
    with ape.reverts(escrow.TooEarly):
        escrow.expire(as_tuple(job), sender=client)
    chain.mine(deltatime=1000)
    escrow.expire(as_tuple(job), sender=client)
    # The winner's share is at most what the answer would have cost.
    assert vault.balanceOf(client) == USD + job.ceiling
    assert nodes.provisionOf(node, escrow, model_id).amount == 98 * USD
    assert nodes.provisionOf(node, escrow, model_id).reserved == 0


def test_an_opened_job_is_not_opened_again(
    desk: Any, vault: Any, escrow: Any, client: Any, node: Any, model_id: int, fund: Any
) -> None:
    fund(client, USD)
    job = desk.job(client, node, model_id)
    desk.open(job, client)
    with ape.reverts(escrow.JobExists, inputs={"jobHash": struct_hash(job)}):
        desk.open(job, client)
    assert vault.balanceOf(client) == USD - job.ceiling


def test_an_expired_acceptance_opens_nothing(
    desk: Any, chain: Any, vault: Any, escrow: Any, client: Any, node: Any, model_id: int, fund: Any
) -> None:
    fund(client, USD)
    job = desk.job(client, node, model_id)
    data = desk.opening(job, chain.pending_timestamp - 1)
    with ape.reverts(escrow.AcceptanceExpired):
        vault.payAndCall(escrow, job.ceiling, data, sender=client)
