"""A dispute from challenge to last payment, as a Python user lives it: two nodes with seats judge it."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import ape
import pytest
from conftest import (
    ANSWER,
    BURNED,
    CHALLENGE_WINDOW,
    DELIVERY_FEE,
    DELIVERY_FEE_PER_TOKEN,
    DELIVERY_WINDOW,
    DISPUTE_LIMIT,
    DOLLAR,
    MAX_JOB_TIME,
    MISS_PENALTY,
    PENALTY,
    PROMPT_TOKENS,
    SECRET,
    WINNER_SHARE,
)
from eth_utils.crypto import keccak
from web3 import Web3

from agents.chain.compiled import load_artifact
from agents.protocol.messages import Completion, as_tuple, struct_hash
from agents.protocol.sortition import witness_positions
from agents.protocol.tokens import PROMPT, mask

SEAT_STAKE, SILENT_FINE, SEAT_FEE, SEAT_FEE_PER_TOKEN, NODE_FEE = 10 * DOLLAR, 2_500_000, 150_000, 10, 500_000
PERIOD, DRAW, COMMIT, REVEAL, APPEAL = 3600, 600, 1200, 900, 7200
SEATS = 3
"""Of each judge: six in all, from which first panels of three and appeals of five are drawn."""
UPHELD, DISMISSED = 1, 2
DRAWING, COMMITTING, REVEALING, APPEALABLE, ENDED = 1, 2, 3, 4, 5
RULED_UPHELD, DISPUTED, FINAL = 6, 5, 9
WITNESS = keccak(text="eight second-best ids")


@pytest.fixture(scope="module")
def bench(open_market: Any, project: Any, chain: Any, accounts: Any, fund: Any) -> SimpleNamespace:
    """A court, an escrow that obeys it, and two judges whose seats can be drawn."""
    m, people = open_market, open_market.people
    randomness = project.BlockHashRandomness.deploy(2, sender=people.deployer)
    terms = (SEAT_STAKE, SILENT_FINE, SEAT_FEE, SEAT_FEE_PER_TOKEN, NODE_FEE, 5000, 3, 5, 3)
    windows = (PERIOD, DRAW, COMMIT, REVEAL, APPEAL)
    court = project.DisputeCourt.deploy(
        (m.vault, m.registry, randomness, *terms, *windows), sender=people.deployer
    )
    config = (
        m.vault,
        m.registry,
        m.models,
        m.governor,
        court,
        PENALTY,
        MISS_PENALTY,
        WINNER_SHARE,
        DELIVERY_FEE,
    )
    config += (DELIVERY_FEE_PER_TOKEN, CHALLENGE_WINDOW, DELIVERY_WINDOW, DISPUTE_LIMIT, MAX_JOB_TIME)
    escrow = project.JobEscrow.deploy(config, sender=people.deployer)
    m.registry.provision(escrow, m.model_id, 50 * DOLLAR, sender=people.node)
    judges = [accounts[8], accounts[9]]
    for judge in judges:
        fund(judge, SEATS * SEAT_STAKE)
        m.registry.setNode(judge, bytes(32), "", sender=judge)
        owner = bytes(12) + bytes.fromhex(judge.address[2:])
        m.vault.payAndCall(m.registry, SEATS * SEAT_STAKE, owner, sender=judge)
        m.registry.provision(court, m.model_id, SEATS * SEAT_STAKE, sender=judge)
        for _ in range(SEATS):
            court.takeSeat(judge, m.model_id, bytes(32), sender=judge)
    chain.mine(deltatime=2 * PERIOD)
    return SimpleNamespace(court=court, escrow=escrow, judges={judge.address: judge for judge in judges})


@pytest.fixture
def disputed(open_market: Any, bench: Any, job: Any, open_call: Any, completed_by: Any) -> SimpleNamespace:
    """The client challenges the node's answer with everything it has."""
    m, people = open_market, open_market.people
    job = replace(job, collector=bench.escrow.address)
    m.vault.payAndCall(bench.escrow, job.ceiling, open_call(job), sender=people.client)
    completion = completed_by(bench.escrow, job)
    prompt, output = mask(SECRET, PROMPT, PROMPT_TOKENS), mask(SECRET, 1, ANSWER)
    tokens = len(PROMPT_TOKENS) + len(ANSWER)
    bond = bench.court.bondFor(tokens)
    assert bond == 3 * (SEAT_FEE + tokens * SEAT_FEE_PER_TOKEN) + NODE_FEE
    data = m.call("challenge", as_tuple(job), as_tuple(completion), SECRET, prompt, output)
    receipt = m.vault.payAndCall(bench.escrow, bond, data, sender=people.client)
    (opened,) = receipt.events.filter(bench.court.DisputeOpened)
    case = Web3().codec.decode([_case_type(), "bytes", "bytes"], opened.evidence)
    assert case[1:] == (prompt, output)
    return SimpleNamespace(
        job=job, completion=completion, id=opened.id, case=case[0], tokens=tokens, bond=bond
    )


@pytest.fixture
def completed_by(open_market: Any, completion_of: Any) -> Any:
    def complete(escrow: Any, job: Any) -> Completion:
        completion: Completion = completion_of(job)
        escrow.complete(as_tuple(completion), sender=open_market.people.operator)
        return completion

    return complete


def _case_type() -> str:
    (close,) = (entry for entry in load_artifact("DisputeCourt").abi if entry.get("name") == "close")
    return "(" + ",".join(member["type"] for member in close["inputs"][1]["components"]) + ")"


def vote(bench, chain, disputed, votes):
    """Drawn, committed and revealed by whoever was drawn; returns the members."""
    court = bench.court
    chain.mine(3)
    lot, seats, members = court.panelOf(disputed.id, 0)
    assert len(set(seats)) == 3
    assert court.witnessPositions(lot, disputed.tokens) == witness_positions(lot, disputed.tokens)
    for index, (member, choice) in enumerate(zip(members, votes, strict=True)):
        salt = keccak(bytes([index]))
        sealed = court.commitmentOf(disputed.id, 0, index, member, choice, WITNESS, salt)
        court.commit(disputed.id, index, sealed, sender=bench.judges[member])
        if index < 2:
            assert court.phaseOf(disputed.id).phase == COMMITTING
            with ape.reverts(court.WrongPhase):
                court.reveal(disputed.id, index, choice, WITNESS, salt, sender=bench.judges[member])
    for index, (member, choice) in enumerate(zip(members, votes, strict=True)):
        assert court.phaseOf(disputed.id).phase == REVEALING
        court.reveal(disputed.id, index, choice, WITNESS, keccak(bytes([index])), sender=bench.judges[member])
    return members


def test_a_wrong_answer_is_proved_wrong(open_market, bench, disputed, chain):
    m, people, court, escrow = open_market, open_market.people, bench.court, bench.escrow
    id_, both = struct_hash(disputed.job), (as_tuple(disputed.job), as_tuple(disputed.completion))
    assert escrow.jobStatus(id_).status == DISPUTED
    assert court.phaseOf(disputed.id).phase == DRAWING
    with ape.reverts(court.WrongPhase):
        court.close(escrow, disputed.case, sender=people.stranger)

    members = vote(bench, chain, disputed, [UPHELD, UPHELD, DISMISSED])
    phase = court.phaseOf(disputed.id)
    assert phase.phase == APPEALABLE
    assert court.rulingOf(disputed.id) == UPHELD
    chain.mine(timestamp=phase.until + 1)
    assert court.phaseOf(disputed.id).phase == ENDED

    fee = court.feeFor(disputed.tokens)
    burned = m.vault.balanceOf(BURNED)
    receipt = court.close(escrow, disputed.case, sender=people.stranger)
    (closed,) = receipt.events.filter(court.DisputeClosed)
    assert (closed.ruling, closed.told, closed.paidToSeats, closed.toFunder) == (UPHELD, True, 2 * fee, 0)
    earned = {judge: m.vault.balanceOf(judge) for judge in bench.judges}
    right = [members[0], members[1]]
    assert earned == {judge: fee * right.count(judge) for judge in bench.judges}
    assert escrow.jobStatus(id_).status == RULED_UPHELD

    provisioned = m.registry.provisionOf(people.node, escrow, m.model_id).amount
    escrow.closeDispute(*both, sender=people.stranger)
    assert escrow.jobStatus(id_).status == FINAL
    won = PENALTY * WINNER_SHARE // 10_000
    assert provisioned - m.registry.provisionOf(people.node, escrow, m.model_id).amount == PENALTY
    # Refunded in full; of the bond the seats' fees are spent.
    assert m.vault.balanceOf(people.client) == 20 * DOLLAR + won - 3 * fee
    assert m.vault.balanceOf(BURNED) - burned == PENALTY - won + fee
    assert m.vault.balanceOf(court) == m.vault.balanceOf(escrow) == 0


def test_a_right_answer_costs_its_challenger_the_bond(open_market, bench, disputed, chain):
    m, people, court, escrow = open_market, open_market.people, bench.court, bench.escrow
    before = m.vault.balanceOf(people.node)
    vote(bench, chain, disputed, [DISMISSED] * 3)
    chain.mine(timestamp=court.phaseOf(disputed.id).until + 1)
    court.close(escrow, disputed.case, sender=people.stranger)
    escrow.closeDispute(as_tuple(disputed.job), as_tuple(disputed.completion), sender=people.stranger)
    price = 20 * DOLLAR - disputed.bond - m.vault.balanceOf(people.client)
    assert 0 < price <= disputed.job.ceiling
    assert m.vault.balanceOf(people.node) - before == NODE_FEE
    assert m.registry.provisionOf(people.node, escrow, m.model_id).reserved == 0
    assert m.vault.balanceOf(people.payee) > 0


def test_nobody_draws_and_nobody_is_slashed(open_market, bench, disputed, chain):
    m, people, court, escrow = open_market, open_market.people, bench.court, bench.escrow
    chain.mine(timestamp=court.phaseOf(disputed.id).until + 1)
    court.close(escrow, disputed.case, sender=people.stranger)
    escrow.closeDispute(as_tuple(disputed.job), as_tuple(disputed.completion), sender=people.stranger)
    assert m.vault.balanceOf(people.client) == 20 * DOLLAR - disputed.bond
    assert m.registry.provisionOf(people.node, escrow, m.model_id).reserved == 0
