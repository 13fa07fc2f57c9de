"""Killed, or reorganised, anywhere between a challenge and its ruling: one command carries on, and nothing is
paid twice."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from consumer_court import COURT, DOWN, UP, Bench
from consumer_stage import CLIENT, ROOT, TERMS, NodeDouble, Stage

from agents.chain.devchain import dev_wallet
from agents.chain.outbox import Outbox
from agents.consumer.sending import Sending
from agents.market.events import Events
from agents.market.reads import Status

Nodes = Callable[..., NodeDouble]
Agent = Callable[..., Any]
WITH_COURT = True
ADDRESS = dev_wallet(CLIENT).address
SHARE = TERMS.penalty * TERMS.winner_share // 10_000


@pytest.fixture
def refused(stage: Stage, node: Nodes, agent: Agent) -> str:
    """The job of a wrong answer that was not challenged yet."""
    double = node()
    double.ways = replace(double.ways, say=lambda said: tuple((t * 31 + 1000) % 40000 for t in said))
    return str(agent("ask", "Hello", "--no-challenge", "--json").json["job"])


def disputes(stage: Stage) -> int:
    return len(list(Events(stage.market).disputes(stage.market.start_block)))


class _Killed(BaseException):
    """As sudden as SIGKILL for everything above the journal: nothing catches it."""


def dying_at(edge: str, nth: int) -> Callable[[str], None]:
    seen: list[str] = []

    def die(name: str) -> None:
        seen.append(name)
        if name == edge and seen.count(edge) == nth:
            raise _Killed

    return die


@pytest.mark.parametrize(
    "edge", ["before-sign", "signed", "before-send", "sent", "before-record", "recorded"]
)
def test_dying_at_any_edge_of_a_challenge_challenges_once(
    stage: Stage, refused: str, agent: Agent, monkeypatch: pytest.MonkeyPatch, edge: str
) -> None:
    bond = _bond(stage, agent, refused)
    before = stage.market.balance(ADDRESS)
    with monkeypatch.context() as broken:
        broken.setattr("agents.market.account.Outbox", partial(Outbox, edge=dying_at(edge, 1)))
        with pytest.raises(_Killed):
            agent("challenge", refused, "--no-check", "--no-wait")
    agent("jobs", "--settle")
    assert disputes(stage) == 1
    assert agent("challenge", refused, "--no-wait").code == 0
    assert disputes(stage) == 1
    assert stage.market.balance(ADDRESS) == before - bond


@pytest.mark.parametrize("nth", [1, 2], ids=["closing", "obeying"])
@pytest.mark.parametrize("edge", ["before-sign", "sent"])
def test_dying_after_the_ruling_pays_once(
    stage: Stage,
    refused: str,
    agent: Agent,
    bench: Bench,
    monkeypatch: pytest.MonkeyPatch,
    edge: str,
    nth: int,
) -> None:
    bond = _bond(stage, agent, refused)
    ceiling = int(agent("jobs", refused, "--json").json["jobs"][0]["price"]["ceiling"])
    before = stage.market.balance(ADDRESS) + ceiling
    assert agent("challenge", refused, "--no-check", "--no-wait").code == 0
    bench.rule(refused, UP, UP, UP)
    with monkeypatch.context() as broken:
        broken.setattr("agents.market.account.Outbox", partial(Outbox, edge=dying_at(edge, nth)))
        with pytest.raises(_Killed):
            agent("challenge", refused)
    ran = agent("challenge", refused, "--json")
    assert (ran.code, ran.json["outcome"]) == (0, "upheld")
    assert stage.market.balance(ADDRESS) == before - bond + COURT.node_fee + SHARE
    held, owed = stage.ledger()
    assert held == owed


def test_a_killed_appeal_is_funded_once(
    stage: Stage, refused: str, agent: Agent, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert agent("challenge", refused, "--no-check", "--no-wait").code == 0
    bench.vote(refused, DOWN, DOWN, UP)
    before = stage.market.balance(ADDRESS)
    with monkeypatch.context() as broken:
        broken.setattr("agents.market.account.Outbox", partial(Outbox, edge=dying_at("sent", 1)))
        with pytest.raises(_Killed):
            agent("challenge", refused, "--appeal")
    agent("jobs", "--settle")
    agent("jobs", "--settle")
    (found,) = agent("disputes", "--json").json["disputes"]
    assert (found["round"], found["phase"]) == (1, "drawing")
    assert stage.market.balance(ADDRESS) == before - int(found["appealCost"])


def test_a_process_that_is_killed_while_it_follows_leaves_nothing_undone(
    stage: Stage, refused: str, agent: Agent, bench: Bench
) -> None:
    command = [sys.executable, "-m", "agents.cli", "challenge", refused, "--no-check"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if "to be drawn" in line:
            break
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=30)
    bench.rule(refused, UP, UP, UP)
    assert "upheld" in agent("jobs", "--settle").err
    assert disputes(stage) == 1


def test_a_challenge_whose_block_is_gone_is_sent_again_and_not_made_again(
    stage: Stage, refused: str, agent: Agent, bench: Bench
) -> None:
    rpc = stage.market.connection.rpc
    bond = _bond(stage, agent, refused)
    mark = rpc("evm_snapshot")
    before = stage.market.balance(ADDRESS)
    assert agent("challenge", refused, "--no-check", "--no-wait").code == 0
    assert disputes(stage) == 1
    rpc("evm_revert", mark)
    assert stage.market.job_status(bytes.fromhex(refused[2:]))[0] is Status.COMPLETED
    ran = agent("challenge", refused, "--no-check", "--no-wait")
    assert ran.code == 0, ran.err
    assert disputes(stage) == 1
    assert stage.market.balance(ADDRESS) == before - bond
    bench.rule(refused, UP, UP, UP)
    assert agent("challenge", refused).code == 0


def test_a_challenge_that_was_reorganised_before_it_counted(
    stage: Stage, refused: str, agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With three confirmations: its block goes while the command waits for more."""
    monkeypatch.setenv("CAPEK_CONFIRMATIONS", "3")
    rpc = stage.market.connection.rpc
    stage.pass_time(1)
    stage.pass_time(1)
    mark, seen = rpc("evm_snapshot"), []

    def edge(name: str) -> None:
        seen.append(name)
        if name == "recorded" and seen.count("recorded") == 1:
            rpc("evm_revert", mark)
        else:
            rpc("evm_mine")

    before = stage.market.balance(ADDRESS)
    with monkeypatch.context() as shaky:
        shaky.setattr("agents.market.account.Outbox", partial(Outbox, edge=edge))
        ran = agent("challenge", refused, "--no-check", "--no-wait")
    assert ran.code == 0, ran.err
    assert (seen.count("signed"), seen.count("recorded") > 2) == (2, True), "the challenge, and the draw"
    assert disputes(stage) == 1
    assert stage.market.balance(ADDRESS) < before


def test_others_may_close_it_too(stage: Stage, refused: str, agent: Agent, bench: Bench) -> None:
    assert agent("challenge", refused, "--no-check", "--no-wait").code == 0
    bench.rule(refused, UP, UP, DOWN)
    found = Events(stage.market).dispute(bench.dispute(refused), stage.market.start_block)
    assert found is not None
    stage.send(bench.judge, bench.court.contract, "close", found.opener, found.case.as_tuple())
    ran = agent("challenge", refused, "--json")
    assert (ran.code, ran.json["outcome"]) == (0, "upheld")
    assert "close" not in ran.json["transactions"]


def test_a_dispute_that_nobody_looked_after_ends_with_the_price_back(
    stage: Stage, refused: str, agent: Agent
) -> None:
    assert agent("challenge", refused, "--no-check", "--no-wait").code == 0
    stage.pass_time(10_000)
    ran = agent("jobs", "--settle")
    assert ran.code == 0, ran.err
    (job,) = agent("jobs", "--all", "--json").json["jobs"]
    assert (job["status"], job["facts"]["refund"]) == ("undecided", job["price"]["ceiling"])


def _bond(stage: Stage, agent: Agent, job: str) -> int:
    (found,) = agent("jobs", job, "--json").json["jobs"]
    court = stage.market.court
    assert court is not None
    return court.bond(found["promptTokens"] + found["outputTokens"])


def test_others_may_be_a_moment_faster(
    stage: Stage, refused: str, agent: Agent, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between what a step has read and what it sends."""
    assert agent("challenge", refused, "--no-check", "--no-wait").code == 0
    bench.rule(refused, UP, UP, DOWN)
    found = Events(stage.market).dispute(bench.dispute(refused), stage.market.start_block)
    assert found is not None
    send, closed = Sending.send, []

    def late(self: Sending, subject: str, action: str, *rest: Any) -> Any:
        if not closed:
            stage.send(bench.judge, bench.court.contract, "close", found.opener, found.case.as_tuple())
            closed.append(action)
        return send(self, subject, action, *rest)

    monkeypatch.setattr(Sending, "send", late)
    ran = agent("challenge", refused, "--json")
    assert (ran.code, ran.json["outcome"], closed) == (0, "upheld", ["close"]), ran.err
