"""Challenging answers: who gets what when the court rules this way, the other way, and not at all."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from consumer_court import COURT, DOWN, SILENT, UNABLE, UP, Acts, Bench, court_of, leaving_once_challenged
from consumer_stage import CLIENT, MILLION, TERMS, NodeDouble, Stage

from agents.chain.devchain import dev_wallet
from agents.consumer.running import Examined, RunningModel
from agents.market.court import Phase
from agents.market.reads import Status
from agents.protocol.sampling import Sampling
from agents.rastic import Action

Nodes = Callable[..., NodeDouble]
Agent = Callable[..., Any]
WITH_COURT = True
SHARE = TERMS.penalty * TERMS.winner_share // 10_000


def balance(stage: Stage, index: int = CLIENT) -> int:
    return stage.market.balance(dev_wallet(index).address)


def status(stage: Stage, job: str) -> Status:
    return stage.market.job_status(bytes.fromhex(job[2:]))[0]


def fee_and_bond(stage: Stage, found: dict[str, Any]) -> tuple[int, int]:
    court, tokens = court_of(stage), found["promptTokens"] + found["outputTokens"]
    return court.fee(tokens), court.bond(tokens)


def wrong(double: NodeDouble) -> NodeDouble:
    double.ways = replace(double.ways, say=lambda tokens: tuple((t * 31 + 1000) % 40000 for t in tokens))
    return double


def waiting(monkeypatch: pytest.MonkeyPatch, *acts: Callable[[], object]) -> Acts:
    """Commands that follow a dispute do these acts in the place of sleeping."""
    found = Acts(*acts)
    monkeypatch.setattr("agents.consumer.challenge.sleep", found)
    return found


def balanced(stage: Stage) -> bool:
    held, owed = stage.ledger()
    return held == owed


def test_a_question_challenges_a_wrong_answer_by_itself_and_later_commands_fetch_the_money(
    stage: Stage, node: Nodes, agent: Agent, bench: Bench
) -> None:
    wrong(node())
    before = balance(stage)
    ran = agent("ask", "Hello", "--json")
    assert ran.code == 5, ran.err
    found = ran.json
    _fee, bond = fee_and_bond(stage, found)
    assert "agent challenge" in found["note"]
    assert (found["challenge"]["ruling"], found["challenge"]["outcome"]) == ("none", None)
    assert found["challenge"]["exact"]
    assert status(stage, found["job"]) is Status.DISPUTED
    assert balance(stage) == before - int(found["price"]["ceiling"]) - bond
    assert agent("jobs", "--settle").code == 0
    assert status(stage, found["job"]) is Status.DISPUTED, "before the ruling nothing is done"
    bench.rule(found["job"], UP, UP, UP)
    agent("jobs", "--settle")
    (job,) = agent("jobs", "--all", "--json").json["jobs"]
    assert job["status"] == "upheld"
    assert balance(stage) == before - bond + COURT.node_fee + SHARE
    assert {"open", "challenge", "draw", "close", "closeDispute"} == set(job["transactions"])
    assert balanced(stage)


def test_a_challenge_is_followed_to_its_ruling(
    stage: Stage, node: Nodes, agent: Agent, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    double, before = wrong(node()), balance(stage)
    asked = agent("ask", "Hello", "--no-challenge", "--json")
    assert (asked.code, asked.json["challenge"]) == (5, None)
    assert "--no-challenge" in asked.json["note"]
    job, votes = asked.json["job"], (UP, UP, DOWN)
    _fee, bond = fee_and_bond(stage, asked.json)
    waiting(
        monkeypatch,
        bench.mine,
        lambda: bench.commit(bench.dispute(job), votes),
        lambda: bench.reveal(bench.dispute(job), votes),
        lambda: stage.pass_time(COURT.appeal_window + 1),
    )
    ran = agent("challenge", job[:12], "--json")
    assert ran.code == 0, ran.err
    for part in (
        "bond of",
        "to be drawn",
        "0 revealed",
        "2 upheld, 1 dismissed",
        "an appeal",
        "ruling: upheld",
    ):
        assert part in ran.err, part
    found = ran.json
    assert (found["outcome"], found["ruling"], found["round"]) == ("upheld", "upheld", 0)
    assert found["rounds"][0] == {
        "drawn": True, "seats": 3, "committed": 3, "revealed": 3, "upheld": 2, "dismissed": 1, "unable": 0,
    }  # fmt: skip
    money = {name: int(amount) for name, amount in found["money"].items()}
    assert (money["bond"], money["bondBack"], money["won"]) == (bond, COURT.node_fee, SHARE)
    assert money["slashed"] == TERMS.penalty == money["won"] + money["burned"]
    assert money["refund"] == int(asked.json["price"]["ceiling"])
    assert balance(stage) == before + money["net"] == before + SHARE + COURT.node_fee - bond
    assert stage.market.balance(double.wallet.address) == 0
    assert found["seconds"] >= COURT.appeal_window
    assert balanced(stage)
    again = agent("challenge", job, "--json")
    assert (again.code, again.json["money"]) == (0, found["money"])
    shown = agent("challenge", job)
    assert "upheld: the answer was wrong" in shown.out
    assert balance(stage) == before + money["net"]


def test_a_frivolous_challenge_needs_force_and_loses_its_bond(
    stage: Stage, node: Nodes, agent: Agent, bench: Bench
) -> None:
    double, before = node(), balance(stage)
    found = agent("ask", "Hello", "--no-approve", "--json").json
    _fee, bond = fee_and_bond(stage, found)
    ran = agent("challenge", found["job"])
    assert ran.code == 12
    assert "--force" in ran.err
    assert status(stage, found["job"]) is Status.COMPLETED
    assert agent("challenge", found["job"], "--no-check").code == 12
    assert balance(stage) == before - int(found["price"]["ceiling"])
    assert agent("challenge", found["job"], "--force", "--no-wait", "--json").code == 0
    bench.rule(found["job"], DOWN, DOWN, SILENT)
    ran = agent("challenge", found["job"], "--json")
    assert ran.code == 10, ran.err
    money = {name: int(amount) for name, amount in ran.json["money"].items()}
    payment = int(found["price"]["payment"])
    assert (money["bond"], money["bondBack"], money["payment"]) == (bond, 0, payment)
    assert balance(stage) == before + money["net"] == before - bond - payment
    assert stage.market.balance(double.wallet.address) == int(found["price"]["node"]) + COURT.node_fee
    assert "dismissed" in agent("jobs", "--all").out
    assert balanced(stage)


@pytest.mark.parametrize("votes", [(UP, SILENT, SILENT), (UP, DOWN, UNABLE)])
def test_an_undecided_dispute_gives_the_price_back(
    stage: Stage, node: Nodes, agent: Agent, bench: Bench, votes: tuple[Any, ...]
) -> None:
    wrong(node())
    before = balance(stage)
    found = agent("ask", "Hello", "--json").json
    _, bond = fee_and_bond(stage, found)
    bench.rule(found["job"], *votes)
    ran = agent("challenge", found["job"], "--json")
    assert ran.code == 11, ran.err
    assert int(ran.json["money"]["bondBack"]) == COURT.node_fee
    assert balance(stage) == before - bond + COURT.node_fee
    assert balance(stage) == before + int(ran.json["money"]["net"])
    assert balanced(stage)


def test_a_silent_seats_fee_comes_back_to_who_was_right(
    stage: Stage, node: Nodes, agent: Agent, bench: Bench
) -> None:
    wrong(node())
    before = balance(stage)
    found = agent("ask", "Hello", "--json").json
    fee, bond = fee_and_bond(stage, found)
    bench.rule(found["job"], UP, UP, SILENT)
    ran = agent("challenge", found["job"], "--json")
    assert (ran.code, int(ran.json["money"]["bondBack"])) == (0, COURT.node_fee + fee)
    assert balance(stage) == before + SHARE - bond + COURT.node_fee + fee


def test_a_wrong_answer_that_is_barely_wrong_is_left_to_its_client(
    stage: Stage, node: Nodes, agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other machines may find it just below the threshold, by the tolerant rule."""
    wrong(node(bit_class=bytes(32)))
    examine = RunningModel.examine

    def barely(*args: Any) -> Examined:
        found = examine(*args)
        failure = found.verdict.failure
        assert failure is not None
        assert failure.threshold is not None
        return replace(found, verdict=replace(found.verdict, max_margin=failure.threshold * 1.05))

    with monkeypatch.context() as patch:
        patch.setattr(RunningModel, "examine", barely)
        ran = agent("ask", "Hello", "--json")
        assert (ran.json["verdict"]["action"], ran.json["challenge"]) == ("slash", None)
        assert "not clearly by what the court calls wrong" in ran.json["note"]
    assert agent("challenge", ran.json["job"], "--no-wait").code == 0


@pytest.fixture
def left_undrawn(
    stage: Stage, node: Nodes, agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], str]:
    """Asks for a wrong answer, and leaves as soon as it is challenged; the job."""

    def ask() -> str:
        wrong(node())
        with monkeypatch.context() as impatient:
            impatient.setattr("agents.consumer.ask.sleep", leaving_once_challenged(stage))
            assert agent("ask", "Hello").code == 9
        return str(agent("jobs", "--json").json["jobs"][0]["job"])

    return ask


def test_nobody_leaves_before_the_panel_is_drawn(
    stage: Stage, node: Nodes, agent: Agent, bench: Bench
) -> None:
    wrong(node())
    job = agent("ask", "Hello", "--json").json["job"]
    assert bench.court.standing(bench.dispute(job)).phase is Phase.COMMITTING
    other = agent("ask", "Hello", "--no-challenge", "--json").json["job"]
    assert agent("challenge", other, "--no-wait").code == 0
    assert bench.court.standing(bench.dispute(other)).phase is Phase.COMMITTING


def test_later_commands_draw_what_was_left_undrawn(
    stage: Stage, left_undrawn: Callable[[], str], agent: Agent, bench: Bench
) -> None:
    job = left_undrawn()
    assert bench.court.standing(bench.dispute(job)).phase is Phase.DRAWING
    agent("jobs", "--settle")
    assert bench.court.standing(bench.dispute(job)).phase is Phase.DRAWING, "there is nothing to draw by yet"
    bench.mine()
    assert "drawing the panel" in agent("jobs", "--settle").err
    bench.rule(job, UP, UP, UP)
    ran = agent("challenge", job, "--json")
    assert (ran.code, "draw" in ran.json["transactions"]) == (0, True)


def test_a_draw_that_nobody_makes_costs_the_bond(
    stage: Stage, left_undrawn: Callable[[], str], agent: Agent
) -> None:
    before = balance(stage)
    job = left_undrawn()
    stage.pass_time(COURT.draw_window + 1)
    ran = agent("challenge", job, "--json")
    assert ran.code == 11
    assert (ran.json["rounds"][0]["drawn"], ran.json["money"]["bondBack"]) == (False, "0")
    assert balance(stage) == before - int(ran.json["money"]["bond"])
    assert balanced(stage)


def test_an_appeal_overturns_two_liars(
    stage: Stage, node: Nodes, agent: Agent, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong(node())
    before = balance(stage)
    found = agent("ask", "Hello", "--json").json
    fee, _bond = fee_and_bond(stage, found)
    bench.vote(found["job"], DOWN, DOWN, UP)
    waiting(monkeypatch, lambda: bench.vote(found["job"], UP, UP, UP, DOWN, UP))
    ran = agent("challenge", found["job"], "--appeal", "--json")
    assert ran.code == 0, ran.err
    assert "appealing for" in ran.err
    money = {name: int(amount) for name, amount in ran.json["money"].items()}
    assert (ran.json["round"], ran.json["ruling"]) == (1, "upheld")
    assert money["appealCost"] == 5 * fee
    assert money["appealBack"] == fee + COURT.seat_stake, "one seat's fee, and half of two seats' stake"
    assert balance(stage) == before + money["net"] > before + SHARE
    assert {"appeal", "close", "closeDispute"} <= set(ran.json["transactions"])
    assert balanced(stage)


def test_without_leave_nothing_is_appealed(stage: Stage, node: Nodes, agent: Agent, bench: Bench) -> None:
    wrong(node())
    found = agent("ask", "Hello", "--json").json
    bench.vote(found["job"], DOWN, DOWN, UP)
    assert agent("challenge", found["job"], "--no-wait", "--json").json["phase"] == "appealable"
    stage.pass_time(COURT.appeal_window + 1)
    assert agent("challenge", found["job"]).code == 10


def test_a_question_can_wait_for_the_ruling_and_appeal(
    stage: Stage, node: Nodes, agent: Agent, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    double = wrong(node())
    waiting(
        monkeypatch,
        lambda: bench.vote(next(iter(double._jobs)), DOWN, DOWN, UP),
        lambda: bench.vote(next(iter(double._jobs)), UP, UP, UP, SILENT, SILENT),
        lambda: stage.pass_time(COURT.reveal_window),
    )
    ran = agent("ask", "Hello", "--wait", "--appeal", "--json")
    assert ran.code == 5, ran.err
    assert (ran.json["outcome"], ran.json["challenge"]["outcome"]) == ("upheld", "upheld")
    assert ran.json["challenge"]["round"] == 1


def test_between_the_thresholds_it_is_only_not_approved(
    stage: Stage, node: Nodes, agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong(node())
    examine = RunningModel.examine

    def mild(*args: Any) -> Examined:
        found = examine(*args)
        return replace(found, verdict=replace(found.verdict, action=Action.REFUSE))

    monkeypatch.setattr(RunningModel, "examine", mild)
    ran = agent("ask", "Hello", "--json")
    assert (ran.code, ran.json["challenge"]) == (5, None)
    assert "not clearly by what the court calls wrong" in ran.json["note"]
    assert status(stage, ran.json["job"]) is Status.COMPLETED
    agent("jobs", "--settle")
    assert status(stage, ran.json["job"]) is Status.COMPLETED


def test_what_only_the_exact_rule_finds_is_not_brought_before_seats_that_judge_by_the_tolerant_one(
    stage: Stage, node: Nodes, agent: Agent, bench: Bench
) -> None:
    double = node()
    # Four seats of the class are left, fewer than an appeal draws.
    for seat in range(1, 3):
        stage.send(bench.judge, bench.court.contract, "leaveSeat", seat)
    stage.pass_time(2 * COURT.period)

    def second_best(said: tuple[int, ...]) -> tuple[int, ...]:
        (prompt,) = [prompt for _, _, prompt in double._jobs.values()]
        at = len(prompt) + len(said) - 2
        found = double.engine.examine(prompt, said, Sampling(0, bytes(20), 0, MILLION), [at]).result(60)
        return (*said[:-1], found.second_best[0])

    double.ways = replace(double.ways, say=second_best)
    ran = agent("ask", "Why is the sky blue?", "--json")
    assert ran.json["verdict"]["action"] == "slash"
    assert ran.json["verdict"]["mode"] == "exact"
    assert ran.json["challenge"] is None
    assert "court's rule (tolerant)" in ran.err
