"""What anybody can see of disputes, and appeals by those who are no party to them."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from consumer_court import (
    COURT,
    DOWN,
    JUDGE,
    SEATS,
    SILENT,
    UP,
    Acts,
    Bench,
    court_of,
    leaving_once_challenged,
)
from consumer_stage import CLIENT, MILLION, TRAINER, NodeDouble, Stage
from eth_abi.abi import encode

from agents.chain.contracts import Contract
from agents.chain.devchain import dev_wallet
from agents.consumer.sending import Sending
from agents.market.court import Case
from agents.market.events import Events
from agents.protocol.messages import abi_type
from agents.protocol.tokens import OUTPUT, PROMPT, mask

Nodes = Callable[..., NodeDouble]
Agent = Callable[..., Any]
WITH_COURT = True


@pytest.fixture
def challenged(stage: Stage, node: Nodes, agent: Agent, monkeypatch: pytest.MonkeyPatch) -> str:
    """The job of a wrong answer that is before the court, and whose panel is not drawn."""
    double = node()
    double.ways = replace(double.ways, say=lambda said: tuple((t * 31 + 1000) % 40000 for t in said))
    with monkeypatch.context() as impatient:
        impatient.setattr("agents.consumer.ask.sleep", leaving_once_challenged(stage))
        assert agent("ask", "Hello").code == 9
    return str(agent("jobs", "--json").json["jobs"][0]["job"])


def test_disputes_shows_every_phase_and_what_is_next(
    stage: Stage, challenged: str, agent: Agent, bench: Bench
) -> None:
    id, seen = bench.dispute(challenged), []

    def look() -> dict[str, Any]:
        (found,) = agent("disputes", "--json").json["disputes"]
        seen.append((found["phase"], found["round"], found["ruling"]))
        assert (found["until"] is None) == (found["phase"] in ("final", "closed"))
        assert found["next"]
        assert found["phase"] in agent("disputes").out
        return found  # type: ignore[no-any-return]

    found = look()
    assert (found["dispute"], found["job"]) == ("0x" + id.hex(), challenged)
    assert found["client"] == dev_wallet(CLIENT).address
    assert found["exact"]
    assert found["appealable"]
    bench.commit(id, (DOWN, DOWN))
    found = look()
    assert (found["rounds"][0]["committed"], found["rounds"][0]["revealed"]) == (2, 0)
    one = agent("disputes", challenged[:12]).out
    for part in ("committed", "nothing yet", "2 of 3 seats committed", "exact rule", "until    chain time"):
        assert part in one, part
    stage.pass_time(COURT.commit_window + 1)
    look()
    bench.reveal(id, (DOWN, DOWN))
    look()
    assert "agent appeal" in agent("disputes").out
    stage.pass_time(COURT.appeal_window + 1)
    look()
    assert agent("challenge", challenged).code == 10
    found = look()
    assert seen == [
        ("drawing", 0, "none"), ("committing", 0, "none"), ("revealing", 0, "none"),
        ("appealable", 0, "dismissed"), ("final", 0, "dismissed"), ("closed", 0, "dismissed"),
    ]  # fmt: skip
    (panel,) = agent("disputes", found["dispute"], "--json").json["disputes"][0]["panels"]
    assert [member["vote"] for member in panel] == ["dismissed", "dismissed", None]
    assert {member["node"] for member in panel} == {dev_wallet(JUDGE).address}
    assert "it is over" in agent("disputes", found["dispute"][:10]).out


def test_mine_are_those_i_am_a_party_to(stage: Stage, challenged: str, agent: Agent, bench: Bench) -> None:
    def whose(*options: str) -> int:
        return len(agent("disputes", *options, "--json").json["disputes"])

    (found,) = agent("disputes", "--json").json["disputes"]
    assert whose("--mine") == 1
    assert whose("--mine", "--account", "trainer") == 0
    assert whose("--mine", "--address", found["node"]) == 1
    assert "no disputes" in agent("disputes", "--mine", "--account", "trainer").err
    assert agent("disputes", "0x" + "99" * 16).code == 2
    assert agent("disputes", "--address", "0x12").code == 2


def test_anybody_may_appeal_and_shares_in_what_is_won(
    stage: Stage, challenged: str, agent: Agent, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = dev_wallet(TRAINER)
    stage.deposit(trainer, 20 * MILLION)
    before = stage.market.balance(trainer.address)
    bench.vote(challenged, DOWN, DOWN, UP)
    ran = agent("money", "--json").json["lines"]
    (bond,) = [line for line in ran if line["what"].startswith("bond")]
    assert (bond["own"], bond["until"] is not None) == (False, True)
    during: list[Any] = []

    def second_round() -> None:
        during.append(agent("money", "--address", trainer.address, "--json").json["lines"])
        bench.vote(challenged, UP, UP, UP, UP, DOWN)

    monkeypatch.setattr("agents.consumer.appeal.sleep", Acts(second_round))
    ran = agent("appeal", challenged[:12], "--account", "trainer", "--json")
    assert ran.code == 0, ran.err
    assert "worth a dispute" in ran.err
    assert (ran.json["ruling"], ran.json["phase"]) == ("upheld", "closed")
    cost, back = (int(ran.json["appeal"][name]) for name in ("cost", "back"))
    fee = court_of(stage).fee(ran.json["tokens"])
    assert (cost, back) == (5 * fee, fee + COURT.seat_stake)
    assert stage.market.balance(trainer.address) == before - cost + back
    (line,) = [line for line in during[0] if line["what"].startswith("appeal")]
    assert (int(line["amount"]), line["where"]) == (cost, "court")
    assert agent("disputes", "--mine", "--account", "trainer", "--json").json["disputes"]
    again = agent("appeal", challenged, "--account", "trainer", "--json")
    assert (again.code, again.json["appeal"]) == (0, ran.json["appeal"])
    assert agent("challenge", challenged, "--json").json["money"]["appealCost"] == "0"
    held, owed = stage.ledger()
    assert held == owed


def test_a_strangers_case_about_the_same_job_is_not_taken_for_the_escrows(
    stage: Stage, challenged: str, agent: Agent, bench: Bench
) -> None:
    """Anybody can open one with the Vault, with whatever subject they like."""
    trainer, start = dev_wallet(TRAINER), stage.market.start_block
    stage.deposit(trainer, 20 * MILLION)
    opened = Events(stage.market).dispute(bench.dispute(challenged), start)
    assert opened is not None
    case = replace(opened.case, challenger=trainer.address)
    masked = [
        mask(case.secret, kind, said) for kind, said in ((PROMPT, opened.prompt), (OUTPUT, opened.output))
    ]
    data = encode([abi_type(Case), "bytes", "bytes"], [case.as_tuple(), *masked])
    bond = bench.court.bond(case.tokens)
    stage.send(trainer, stage.market.vault, "payAndCall", bench.court.address, bond, data)
    strange, ours = bench.court.dispute_id(trainer.address, case), "0x" + opened.id.hex()
    for name in (challenged, challenged[:14], ours, ours[:14]):
        assert agent("disputes", name, "--json").json["disputes"][0]["dispute"] == ours
    (found,) = agent("disputes", "0x" + strange.hex(), "--json").json["disputes"]
    assert found["opener"] == trainer.address
    ran = agent("appeal", "0x" + strange.hex())
    assert (ran.code, "was not opened by this market's escrow" in ran.err) == (12, True)


def test_an_appeal_that_could_not_win_is_not_made(
    stage: Stage, challenged: str, agent: Agent, bench: Bench
) -> None:
    before = stage.market.balance(dev_wallet(CLIENT).address)
    ran = agent("appeal", challenged)
    assert (ran.code, "not drawn yet" in ran.err) == (12, True)
    bench.vote(challenged, UP, UP, UP)
    ran = agent("appeal", challenged)
    assert (ran.code, "first panel was right" in ran.err) == (12, True)
    poor = agent("appeal", challenged, "--no-check", "--account", "trainer")
    assert poor.code == 4
    assert "agent deposit" in poor.err
    assert agent("appeal", challenged, "--force", "--no-wait").code == 0
    cost = court_of(stage).appeal_cost(agent("disputes", "--json").json["disputes"][0]["tokens"])
    assert stage.market.balance(dev_wallet(CLIENT).address) == before - cost
    stage.deposit(dev_wallet(TRAINER), 20 * MILLION)
    ran = agent("appeal", challenged, "--account", "trainer")
    assert (ran.code, "already" in ran.err) == (12, True)
    bench.vote(challenged, UP, UP, UP, SILENT, SILENT)
    stage.pass_time(COURT.reveal_window + 1)
    ran = agent("challenge", challenged, "--json")
    assert (ran.code, ran.json["money"]["appealCost"], ran.json["money"]["appealBack"]) == (0, str(cost), "0")
    assert agent("appeal", challenged, "--account", "trainer").code == 12


def test_two_who_appeal_at_once_pay_once(
    stage: Stage, challenged: str, agent: Agent, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = dev_wallet(TRAINER)
    stage.deposit(trainer, 20 * MILLION)
    bench.vote(challenged, DOWN, DOWN, UP)
    found = Events(stage.market).dispute(bench.dispute(challenged), stage.market.start_block)
    assert found is not None
    cost = bench.court.appeal_cost(found.case.tokens)
    before, send, done = stage.market.balance(dev_wallet(CLIENT).address), Sending.send, []

    def late(self: Sending, *args: Any) -> Any:
        if not done:
            done.append(True)
            payments = Contract(stage.market.connection, "IDisputeCourtPayments", bench.court.address)
            data = payments.data("appeal", found.opener, found.case.as_tuple())
            stage.send(trainer, stage.market.vault, "payAndCall", bench.court.address, cost, data)
        return send(self, *args)

    monkeypatch.setattr(Sending, "send", late)
    ran = agent("appeal", challenged, "--no-check")
    assert (ran.code, "somebody else" in ran.err) == (12, True), ran.err
    assert stage.market.balance(dev_wallet(CLIENT).address) == before


def test_the_time_for_an_appeal_ends(stage: Stage, challenged: str, agent: Agent, bench: Bench) -> None:
    bench.rule(challenged, DOWN, DOWN, DOWN)
    ran = agent("appeal", challenged)
    assert (ran.code, "time for an appeal is over" in ran.err) == (12, True)


def test_where_the_network_is_too_small_there_is_no_appeal(
    stage: Stage, node: Nodes, agent: Agent, bench: Bench
) -> None:
    for seat in range(1, SEATS - COURT.first_seats + 1):
        stage.send(bench.judge, bench.court.contract, "leaveSeat", seat)
    stage.pass_time(2 * COURT.period)
    node()
    job = agent("ask", "Hello", "--no-approve", "--json").json["job"]
    assert agent("challenge", job, "--force", "--no-check", "--no-wait").code == 0
    ran = agent("appeal", job)
    assert (ran.code, "fewer than the 5 seats" in ran.err) == (12, True)
    bench.vote(job, DOWN, DOWN, DOWN)
    assert agent("challenge", job).code == 10, "the first round is final at once"


def test_money_shows_a_verifiers_stake(stage: Stage, agent: Agent, bench: Bench) -> None:
    stage.send(bench.judge, bench.court.contract, "leaveSeat", 2)
    found = agent("money", "--address", dev_wallet(JUDGE).address, "--json").json
    lines = {line["what"]: line for line in found["lines"]}
    assert int(lines[f"stake, behind {SEATS - 1} seats"]["amount"]) == (SEATS - 1) * COURT.seat_stake
    left = lines["stake, behind seat 2, left"]
    assert (int(left["amount"]), left["until"]) == (COURT.seat_stake, bench.court.seat(2).leaves_at)
    assert left["where"].startswith("court")
    assert int(found["total"]) == SEATS * COURT.seat_stake


def test_check_says_what_a_challenge_takes(stage: Stage, agent: Agent) -> None:
    found = {f["what"]: f for f in agent("check", "--json").json["findings"]}
    assert found["court"]["ok"]
    assert f"{SEATS} seats" in found["court"]["found"]
    assert stage.market.money(court_of(stage).bond(512)) in found["court"]["found"]
