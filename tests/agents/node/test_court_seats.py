"""`agent node seat …` as a user types it, and the seats that a running node keeps, on a real court."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import CliRunner, Result
from court_stage import BEA, COURT, COURT_TERMS, PERIOD, CourtStage
from market_stage import MILLION, TRAINER, until

from agents.chain.devchain import dev_wallet
from agents.chain.wallet import Wallet
from agents.node.commands import node
from agents.node.court import keeping
from agents.node.court.timing import Longest
from agents.node.speed import Costs

Typed = Callable[..., Any]
PASSWORD = "correct horse"
MODEL = f"{dev_wallet(TRAINER).address}/smollm2"


@pytest.fixture
def typed(court: CourtStage, monkeypatch: pytest.MonkeyPatch) -> Typed:
    """Types a verb of `agent node` for a registered owner without money; JSON comes back read."""
    stage = court.stage
    monkeypatch.setenv("CAPEK_PASSWORD", PASSWORD)
    monkeypatch.setenv("CAPEK_RPC_URL", stage.url)
    monkeypatch.setenv("CAPEK_DEPLOYMENT", str(stage.deployment))
    monkeypatch.setenv("CAPEK_NODE_POLL_SECONDS", "0.02")
    wallet = Wallet.create("mynode", password=PASSWORD, rounds=2)
    stage.connection.rpc("anvil_setBalance", wallet.address, hex(10**19))

    def run(*words: str, fails: bool = False) -> Any:
        result: Result = CliRunner(mix_stderr=False).invoke(node, [*words, "--account", "mynode"])
        if fails:
            assert result.exception is not None
            return str(result.exception)
        assert result.exception is None, result.exception
        return json.loads(result.stdout) if "--json" in words else result.stdout

    run("register", "--endpoint", "http://127.0.0.1:9")
    return run


def test_a_seat_from_its_taking_to_its_last_coin(court: CourtStage, typed: Typed) -> None:
    stage = court.stage
    owner = typed("status", "--json")["node"]
    assert "20 DevUSD short: stake for 2 seats" in typed(
        "seat", "take", "--model", MODEL, "--seats", "2", fails=True
    )
    stage.fund(owner, 20 * MILLION)
    taken = typed("seat", "take", "--model", MODEL, "--seats", "2", "--json")
    first, second = taken["seats"]
    assert [seat["state"] for seat in (first, second)] == ["waiting"] * 2
    assert first["countsAt"] % PERIOD == 0
    assert first["countsAt"] <= taken["time"] + PERIOD
    assert first["drawnFrom"] == first["countsAt"] + PERIOD
    assert int(first["bitClass"], 16) == 0  # the node does not run
    status = typed("status", "--model", MODEL)
    assert "2 seats in the court, 20 DevUSD staked for them, 20 DevUSD bound" in status

    stage.pass_time(2 * PERIOD)
    assert "can be drawn; if left now its stake is bound until" in typed("seat", "list")
    assert "has not been left" in typed("seat", "release", str(first["seat"]), fails=True)
    (left,) = typed("seat", "leave", str(first["seat"]), "--json")["seats"]
    assert left["state"] == "left"
    assert "was left already" in typed("seat", "leave", str(first["seat"]), fails=True)
    assert "owes its duty, and its stake, until" in typed("seat", "release", str(first["seat"]), fails=True)
    assert "is not one of" in typed("seat", "leave", "77", fails=True)
    assert typed("seat", "release", "--json")["seats"] == []

    stage.pass_time(COURT.longest + 4 * PERIOD)
    (ripe,) = typed("seat", "release", "--json")["seats"]
    assert (ripe["seat"], ripe["state"]) == (first["seat"], "released")
    assert len(typed("seat", "list", "--json")["seats"]) == 1
    assert len(typed("seat", "list", "--all", "--json")["seats"]) == 2
    typed("unstake", "--model", MODEL, "--court", "--thaw")
    stage.pass_time(COURT_TERMS.thaw_period + 1)
    typed("unstake", "--model", MODEL, "--court", "--deprovision")
    typed("unstake")
    assert stage.market.balance(owner) == 10 * MILLION


def test_a_node_that_is_too_slow_takes_no_seat_unasked(court: CourtStage, typed: Typed) -> None:
    """A job as long as the model's context may be disputed, whatever this node sells."""
    runner = court.run(BEA, verify_only=True)
    (model,) = runner.models.values()
    model.speed.costs = Costs(read=1.0, write=1.0)
    tokens = model.manifest.context_length
    assert runner.verifier is not None
    runner.verifier.keep_seats()
    typed("register", "--endpoint", runner.endpoint)
    court.stage.fund(typed("status", "--json")["node"], 20 * MILLION)
    take = "seat", "take", "--model", MODEL
    text = typed(*take, fails=True)
    assert f"evidence of {tokens} tokens takes its machine {tokens} s to check" in text
    assert "--slow" in text
    assert len(typed(*take, "--slow", "--json")["seats"]) == 1
    model.speed.costs = Costs(read=1e-6, write=1e-6)
    runner.verifier.keep_seats()
    assert len(typed(*take, "--json")["seats"]) == 1


def test_a_running_node_warns_of_seats_that_it_is_too_slow_for(
    court: CourtStage, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "longest", lambda *_: Longest(8192, 700.0, 95.0))
    court.run(BEA, seats=1, verify_only=True)
    until(lambda: "8192 tokens takes its machine 700 s to check when idle, and there are 95 s" in caplog.text)
    assert caplog.text.count("may be fined") == 1


def test_wrong_words_are_refused(typed: Typed) -> None:
    assert "0x and 64 hex digits" in typed(
        "seat", "take", "--model", MODEL, "--bit-class", "0x12", fails=True
    )
    typed("seat", "take", "--model", MODEL, "--bit-class", "0x12", "--tolerant", fails=True)
    assert "no seats" in typed("seat", "list")
    assert "has a node run with it?" in typed("jobs", fails=True)


def test_seats_for_two_models_are_staked_for_one_after_the_other(court: CourtStage) -> None:
    """Both at once would be reckoned from the same balances, and approve each other's deposits away."""
    both = court.stage.model_id, court.second_model()
    runner = court.run(BEA, models=",".join(map(str, both)), seats=1, verify_only=True)
    verifier = runner.verifier
    assert verifier is not None
    until(lambda: verifier.report()["seats"] == {str(model_id): 1 for model_id in both})
    assert runner.journal.row("SELECT 1 FROM outbox_intent WHERE state = 'failed'") is None


def test_an_operator_says_what_only_the_owner_can_mend(
    court: CourtStage, caplog: pytest.LogCaptureFixture
) -> None:
    owner, operator = dev_wallet(BEA), dev_wallet(9)
    court.register(BEA)
    court.stage.send(owner, court.stage.market.nodes, "setNode", operator.address, bytes(32), "")
    runner = court.operate(BEA, 9, seats=2, verify_only=True)

    def said() -> bool:
        return "only the owner's key can provide them" in caplog.text

    until(said)
    assert f"agent node seat take --model {court.stage.model_id} --seats 2" in caplog.text
    stake = 2 * COURT.seat_stake
    nodes, court_address = court.stage.market.nodes, court.court.address
    court.stake(owner, stake)
    court.stage.send(owner, nodes, "provision", court_address, court.stage.model_id, stake)
    verifier = runner.verifier
    assert verifier is not None
    verifier.look_at_seats()
    until(lambda: verifier.report()["seats"] == {str(court.stage.model_id): 2})
    (model,) = runner.models.values()
    taken = court.events.seats(owner.address)
    assert {seat.bit_class for seat in taken} == {model.bit_class}
