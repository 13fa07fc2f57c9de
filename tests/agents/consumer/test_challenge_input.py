"""Challenges that can't be: each says why, and costs nothing."""

import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from consumer_court import COURT, SEATS, UP, Bench, court_of
from consumer_stage import CLIENT, TERMS, NodeDouble, Stage

from agents.chain.devchain import dev_wallet
from agents.consumer.challenge import How, challenge
from agents.consumer.challenges import rules_of
from agents.consumer.client import Client
from agents.consumer.errors import CannotDispute
from agents.consumer.settings import ConsumerSettings
from agents.market.court import Court
from agents.market.events import Events
from agents.market.reads import Status
from agents.rastic import Mode
from agents.terminal.screen import Screen

Nodes = Callable[..., NodeDouble]
Agent = Callable[..., Any]
WITH_COURT = True
ADDRESS = dev_wallet(CLIENT).address


@pytest.fixture
def refused(stage: Stage, node: Nodes, agent: Agent) -> dict[str, Any]:
    """A wrong answer that was not challenged; what `agent ask --json` says of it."""
    double = node()
    double.ways = replace(double.ways, say=lambda said: tuple((t * 31 + 1000) % 40000 for t in said))
    found: dict[str, Any] = agent("ask", "Hello", "--no-challenge", "--json").json
    return found


@pytest.fixture
def refuses(stage: Stage, agent: Agent) -> Callable[..., None]:
    """Runs `agent challenge`, which must say no, and why, and leave the money where it is."""

    def run(job: str, *says: str, code: int = 12, options: tuple[str, ...] = ()) -> None:
        before = stage.market.balance(ADDRESS)
        ran = agent("challenge", job, "--no-check", "--force", *options)
        assert ran.code == code, ran.err
        for part in says:
            assert part in ran.err, ran.err
        assert stage.market.balance(ADDRESS) == before

    return run


Refuses = Callable[..., None]


def test_a_window_that_has_closed(stage: Stage, refused: dict[str, Any], refuses: Refuses) -> None:
    until = stage.market.job_status(bytes.fromhex(refused["job"][2:]))[1]
    stage.pass_time(TERMS.challenge_window + 1)
    refuses(refused["job"], f"closed at chain time {until}", "s ago")


def test_a_job_that_has_ended_and_one_that_nobody_knows(
    stage: Stage, node: Nodes, agent: Agent, refuses: Refuses
) -> None:
    node()
    job = agent("ask", "Hello", "--json").json["job"]
    refuses(job, "has ended (paid)")
    refuses("0x1234567890", "no job 0x1234567890", code=2)
    refuses("0x" + "12" * 32, "no job 0x1212", code=2)
    refuses("what", "no job what", code=2)


def test_a_job_without_an_answer_yet(
    stage: Stage, node: Nodes, agent: Agent, refuses: Refuses, monkeypatch: pytest.MonkeyPatch
) -> None:
    double = node()
    double.ways = replace(double.ways, completes=False)
    monkeypatch.setattr("agents.consumer.ask.sleep", _interrupt)
    assert agent("ask", "Hello").code == 9
    refuses(next(iter(double._jobs)), "no answer yet")


def test_an_answer_that_was_never_had(stage: Stage, node: Nodes, agent: Agent, refuses: Refuses) -> None:
    double = node()
    double.ways = replace(double.ways, hand_out=False)
    assert agent("ask", "Hello", "--no-demand").code == 9
    job = next(iter(double._jobs))
    refuses(job, "not in the journal", "--settle")
    agent("jobs", job, "--settle", "--demand")
    refuses(job, "demanded on chain")


def _interrupt(_: float) -> None:
    raise KeyboardInterrupt


def test_somebody_elses_job(stage: Stage, refused: dict[str, Any], agent: Agent) -> None:
    ran = agent("challenge", refused["job"], "--account", "trainer")
    assert ran.code == 12
    assert f"{ADDRESS}'s" in ran.err
    assert "only a job's client" in ran.err


def test_evidence_that_was_lost_with_the_journal(
    stage: Stage, refused: dict[str, Any], refuses: Refuses, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CAPEK_HOME", str(tmp_path / "new"))
    journal = f"{ADDRESS.lower()}.sqlite"
    refuses(refused["job"], "is yours", journal, "Bring back a copy")


@pytest.mark.parametrize("column", ["secret", "prompt", "output"])
def test_evidence_that_is_not_what_was_signed(
    stage: Stage, refused: dict[str, Any], refuses: Refuses, home: Path, column: str
) -> None:
    (journal,) = (home / str(stage.market.chain_id) / "accounts").glob("*.sqlite")
    with sqlite3.connect(journal) as db:
        (old,) = db.execute(f"SELECT {column} FROM consumer_job").fetchone()
        db.execute(f"UPDATE consumer_job SET {column} = ?", (bytes([old[0] ^ 1]) + old[1:],))
    refuses(refused["job"], "the evidence in the journal is not what was signed")


def test_too_little_money_for_the_bond(
    stage: Stage, refused: dict[str, Any], refuses: Refuses, agent: Agent, bench: Bench
) -> None:
    bond = bench.court.bond(refused["promptTokens"] + refused["outputTokens"])
    assert agent("withdraw", "all").code == 0
    stage.fund(ADDRESS, 1)
    assert agent("deposit", "0.1").code == 0
    short = stage.market.money(bond - 100_000)
    refuses(refused["job"], short, "agent deposit", ADDRESS, stage.market.vault.address, code=4)
    assert agent("deposit", f"{(bond - 100_000) / 1e6:f}").code == 0
    assert agent("challenge", refused["job"], "--no-wait").code == 0


def test_a_question_says_beforehand_that_its_bond_is_missing_and_afterwards_what_that_meant(
    stage: Stage, node: Nodes, agent: Agent
) -> None:
    double = node()
    double.ways = replace(double.ways, say=lambda said: tuple((t * 31 + 1000) % 40000 for t in said))
    assert agent("withdraw", "all").code == 0
    assert agent("deposit", "0.5").code == 0
    ran = agent("ask", "Hello", "--json")
    assert ran.code == 5, ran.err
    assert "--no-challenge" in ran.err
    assert "are missing" in ran.json["note"]
    assert ran.json["challenge"] is None
    settled = agent("jobs", "--settle")
    assert settled.code == 9
    assert "agent deposit" in settled.err
    stage.fund(ADDRESS, 10_000_000)
    assert agent("deposit", "10").code == 0
    agent("jobs", "--settle")
    assert stage.market.job_status(bytes.fromhex(ran.json["job"][2:]))[0] is Status.DISPUTED


def test_too_few_seats(
    stage: Stage, refused: dict[str, Any], refuses: Refuses, agent: Agent, bench: Bench
) -> None:
    for seat in range(1, SEATS + 1):
        stage.send(bench.judge, bench.court.contract, "leaveSeat", seat)
    stage.pass_time(2 * COURT.period)
    refuses(refused["job"], "0 seats", "needs 3")


def test_a_job_is_challenged_once_however_often_it_is_asked_for(
    stage: Stage, refused: dict[str, Any], agent: Agent, bench: Bench
) -> None:
    assert agent("challenge", refused["job"], "--no-wait").code == 0
    before = stage.market.balance(ADDRESS)
    ran = agent("challenge", refused["job"], "--no-wait", "--force")
    assert ran.code == 0
    assert "already" in ran.err
    assert stage.market.balance(ADDRESS) == before
    assert len(list(Events(stage.market).disputes(stage.market.start_block))) == 1


def test_a_person_is_asked_when_the_check_finds_nothing(stage: Stage, node: Nodes, agent: Agent) -> None:
    node()
    job = agent("ask", "Hello", "--no-approve", "--json").json["job"]
    asked: list[str] = []

    def answer(yes: bool) -> Callable[[str], bool]:
        return lambda question: asked.append(question) is None and yes

    with Client.open(ConsumerSettings.load()) as client:
        with pytest.raises(CannotDispute, match="not challenged"):
            challenge(client, job, How(wait=False), Screen(quiet=True), answer(False))
        challenge(client, job, How(wait=False), Screen(quiet=True), answer(True))
    assert len(asked) == 2
    assert "likely to dismiss" in asked[0]
    assert stage.market.job_status(bytes.fromhex(job[2:]))[0] is Status.DISPUTED


def test_the_rule_is_the_one_that_the_court_takes(
    stage: Stage, node: Nodes, agent: Agent, bench: Bench
) -> None:
    court: Court = court_of(stage)
    for name, options in (("ours", {}), ("none", {"bit_class": bytes(32)})):
        double = node(**options)
        job = agent("ask", name, "--no-approve", "--node", double.wallet.address, "--json").json["job"]
        (wanted,) = rules_of(stage.market, court, double._jobs[job][0])
        assert agent("challenge", job, "--force", "--no-check", "--no-wait").code == 0
        found = Events(stage.market).dispute(bench.dispute(job), stage.market.start_block)
        assert found is not None
        assert found.exact is (wanted is Mode.EXACT)
        assert found.exact is (name == "ours")


def test_a_rule_that_can_change_before_a_block_takes_the_challenge_counts_too(
    stage: Stage, node: Nodes, agent: Agent, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agents.market.clock._FRESH", 0.0)
    double = node()
    job = agent("ask", "Hello", "--no-approve", "--json").json["job"]
    for seat in (1, 2):
        stage.send(bench.judge, bench.court.contract, "leaveSeat", seat)
    seen = []
    for _ in range(3):
        seen.append(rules_of(stage.market, bench.court, double._jobs[job][0]))
        stage.pass_time(COURT.period)
    assert seen == [{Mode.EXACT}, {Mode.EXACT, Mode.TOLERANT}, {Mode.TOLERANT}]


def test_an_answer_that_nobody_can_read_is_challenged_too(
    stage: Stage, node: Nodes, agent: Agent, bench: Bench
) -> None:
    double = node()
    double.ways = replace(double.ways, say=lambda said: (2**32 - 1, *said[1:]))
    ran = agent("ask", "Hello", "--json")
    assert (ran.code, ran.json["verdict"]["action"]) == (5, "slash")
    bench.rule(ran.json["job"], UP, UP, UP)
    assert agent("challenge", ran.json["job"]).code == 0


def test_a_challenge_that_the_contracts_refuse_after_all_ends_the_command(
    stage: Stage, refused: dict[str, Any], agent: Agent, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seat in range(1, SEATS + 1):
        stage.send(bench.judge, bench.court.contract, "leaveSeat", seat)
    stage.pass_time(2 * COURT.period)
    monkeypatch.setattr("agents.consumer.challenges._rehearse", lambda *_: None)
    for _ in range(2):
        ran = agent("challenge", refused["job"], "--no-check")
        assert ran.code == 9, ran.err
        assert "NotEnoughSeats" in ran.err
    stage.pass_time(TERMS.challenge_window)
    assert agent("jobs", "--settle").code == 0
    assert agent("jobs", "--all", "--json").json["jobs"][0]["status"] == "paid"


def test_without_gas_a_challenge_waits_and_the_answer_is_shown_all_the_same(
    stage: Stage, node: Nodes, agent: Agent
) -> None:
    double, rpc = node(), stage.market.connection.rpc

    def broke(said: tuple[int, ...]) -> tuple[int, ...]:
        rpc("anvil_setBalance", ADDRESS, "0x0")
        return tuple((t * 31 + 1000) % 40000 for t in said)

    double.ways = replace(double.ways, say=broke)
    ran = agent("ask", "Hello", "--json")
    assert ran.code == 5, ran.err
    assert ADDRESS in ran.json["note"]
    rpc("anvil_setBalance", ADDRESS, hex(10**18))
    assert agent("challenge", ran.json["job"], "--no-wait").code == 0
    assert stage.market.job_status(bytes.fromhex(ran.json["job"][2:]))[0] is Status.DISPUTED
