"""kill -9 anywhere between question and answer: one command then finishes the job, or has it refunded."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from consumer_stage import CLIENT, ROOT, TERMS, NodeDouble, Stage

from agents.chain.devchain import dev_wallet
from agents.chain.outbox import Outbox
from agents.market.events import Events
from agents.market.reads import Status

Nodes = Callable[..., NodeDouble]
Agent = Callable[..., Any]


class Asking:
    """`agent ask` in a process of its own; `kill` may be called from the double's thread."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[str] | None = None

    def start(self, *args: str) -> None:
        command = [sys.executable, "-m", "agents.cli", "ask", "Hello", *args]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        self.process = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def kill(self) -> None:
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGKILL)

    def finish(self) -> str:
        assert self.process is not None
        said, _ = self.process.communicate(timeout=60)
        assert self.process.returncode == -signal.SIGKILL, said
        return said


def opened(stage: Stage) -> list[Any]:
    market = stage.market
    logs = market.connection.logs([market.escrow.address], 0, market.connection.latest().number)
    events = [market.escrow.decode(log) for log in logs]
    return [event for event in events if event and event.name == "JobOpened"]


@pytest.mark.parametrize(
    ("where", "ends"),
    [("on_job", "not opened"), ("on_status", "paid"), ("on_output", "paid")],
    ids=["while the node accepts", "after it was opened", "while the answer is fetched"],
)
def test_a_killed_question_is_finished_or_refunded_once(
    stage: Stage, node: Nodes, agent: Agent, where: str, ends: str
) -> None:
    double, asking = node(), Asking()
    before = stage.market.balance(dev_wallet(CLIENT).address)
    honest = double.ways
    double.ways = replace(honest, **{where: asking.kill})
    asking.start()
    asking.finish()
    double.ways = honest
    ran = agent("jobs", "--settle", "--wait")
    assert ran.code == 0, ran.err
    (job,) = agent("jobs", "--all", "--json").json["jobs"]
    assert job["status"] == ends
    assert len(opened(stage)) == (ends == "paid")
    paid = int(job["facts"].get("payment", 0))
    assert stage.market.balance(dev_wallet(CLIENT).address) == before - paid
    held, owed = stage.ledger()
    assert held == owed


class _Killed(BaseException):
    """As sudden as SIGKILL for everything above the journal: nothing catches it."""


@pytest.mark.parametrize(
    ("edge", "nth", "ends"),
    [
        ("before-sign", 1, "not opened"),
        ("signed", 1, "paid"),
        ("sent", 1, "paid"),
        ("before-sign", 2, "paid"),
        ("sent", 2, "paid"),
    ],
)
def test_dying_at_any_edge_of_a_transaction_opens_and_pays_once(
    stage: Stage, node: Nodes, agent: Agent, monkeypatch: pytest.MonkeyPatch, edge: str, nth: int, ends: str
) -> None:
    """The first transaction opens the job, the second approves it."""
    double, seen = node(), []

    def die(name: str) -> None:
        seen.append(name)
        if seen.count(edge) == nth and name == edge:
            raise _Killed

    before = stage.market.balance(dev_wallet(CLIENT).address)
    with monkeypatch.context() as broken:
        broken.setattr("agents.market.account.Outbox", partial(Outbox, edge=die))
        with pytest.raises(_Killed):
            agent("ask", "Hello")
    name = next(iter(double._jobs))
    for _ in range(3):
        agent("jobs", "--settle")
        if name not in double._done and stage.market.job_status(bytes.fromhex(name[2:]))[0] == Status.OPEN:
            double._complete(name)
    (job,) = agent("jobs", "--all", "--json").json["jobs"]
    assert job["status"] == ends
    assert len(opened(stage)) == (ends == "paid")
    paid = int(job["facts"].get("payment", 0))
    assert stage.market.balance(dev_wallet(CLIENT).address) == before - paid


def test_the_next_question_takes_back_what_a_killed_one_had_locked(
    stage: Stage, node: Nodes, agent: Agent
) -> None:
    double, asking = node(), Asking()
    honest = double.ways
    double.ways = replace(honest, completes=False, on_status=asking.kill)
    asking.start("--job-time", "100")
    asking.finish()
    double.ways = honest
    stage.pass_time(101)
    assert agent("ask", "Hello").code == 0
    jobs = agent("jobs", "--all", "--json").json["jobs"]
    assert [job["status"] for job in jobs] == ["missed", "paid"]
    assert len(opened(stage)) == 2
    since = stage.market.start_block
    ending = Events(stage.market).ending(bytes.fromhex(jobs[0]["job"][2:]), since)
    assert ending["NodePunished"].args["taken"] == TERMS.miss_penalty


def test_jobs_can_be_looked_at_while_a_question_is_asked(stage: Stage, node: Nodes, agent: Agent) -> None:
    double, asking = node(), Asking()
    seen: list[Any] = []

    def look() -> None:
        if not seen:
            seen.append(agent("jobs", "--json").json["jobs"])
            seen.append(agent("deposit", "1"))
        asking.kill()

    double.ways = replace(double.ways, on_status=look)
    asking.start()
    asking.finish()
    assert [job["status"] for job in seen[0]] == ["open"]
    assert seen[1].code == 1
    assert "in use by another process" in seen[1].err
