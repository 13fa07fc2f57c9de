"""Money in, out, and missing."""

from collections.abc import Callable
from typing import Any

import pytest
from consumer_stage import CLIENT, FIRST_NODE, MILLION, TERMS, TRAINER, NodeDouble, Stage
from hypothesis import given
from hypothesis import strategies as st

from agents.chain.devchain import dev_wallet
from agents.market.amounts import parse_amount, plain
from agents.market.errors import BadAmount

Nodes = Callable[..., NodeDouble]
Agent = Callable[..., Any]
CLIENT_ADDRESS = dev_wallet(CLIENT).address


@given(st.integers(1, 10**30), st.integers(0, 18))
def test_an_amount_reads_as_it_is_written(units: int, decimals: int) -> None:
    assert parse_amount(plain(units, decimals), decimals) == units


NO_AMOUNTS = ["", "-1", "1e6", "0x10", "1,5", ".5", "5.", "٣", "0", "0.0000001", "nan", " 1"]


@pytest.mark.parametrize("text", NO_AMOUNTS)
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(BadAmount):
        parse_amount(text, 6)


def test_deposit_and_withdraw_move_what_they_say(stage: Stage, agent: Agent) -> None:
    market = stage.market
    before = market.balance(CLIENT_ADDRESS)
    stage.fund(CLIENT_ADDRESS, 7 * MILLION)
    ran = agent("deposit", "5.25", "--json")
    assert (ran.code, ran.json["deposited"]) == (0, "5250000")
    assert market.balance(CLIENT_ADDRESS) == before + 5_250_000 == int(ran.json["balance"])
    ran = agent("deposit", "2")
    assert ran.code == 4
    assert "1.75 DevUSD" in ran.err
    assert "0.25 DevUSD" in ran.err
    assert agent("deposit", "1000", "--faucet").code == 0
    other = dev_wallet(8).address
    assert agent("withdraw", "3", "--to", other).code == 0
    assert market.tokens(other) == 3 * MILLION
    assert agent("withdraw", "100000").code == 4
    assert agent("withdraw", "all").code == 0
    assert market.balance(CLIENT_ADDRESS) == 0
    assert agent("withdraw", "all").code == 2
    for wrong in ("0", "1.0000001", "-5", "five"):
        assert agent("deposit", "--", wrong).code == 2
    held, owed = stage.ledger()
    assert held == owed


def test_a_deposit_that_was_interrupted_is_finished_and_not_repeated(
    stage: Stage, agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.fund(CLIENT_ADDRESS, 10 * MILLION)
    before = stage.market.balance(CLIENT_ADDRESS)
    with monkeypatch.context() as broken:
        broken.setattr("agents.market.account.Account.wait", _die)
        with pytest.raises(_Killed):
            agent("deposit", "4")
    ran = agent("deposit", "4")
    assert ran.code == 9
    assert "interrupted" in ran.err
    assert stage.market.balance(CLIENT_ADDRESS) == before + 4 * MILLION
    assert agent("deposit", "4").code == 0
    assert stage.market.balance(CLIENT_ADDRESS) == before + 8 * MILLION


class _Killed(Exception):
    pass


def _die(*_: object) -> None:
    raise _Killed


def test_too_little_in_the_vault_is_said_before_anybody_gets_the_prompt(
    stage: Stage, node: Nodes, agent: Agent
) -> None:
    double = node()
    assert agent("withdraw", "all").code == 0
    ran = agent("ask", "Hello")
    assert ran.code == 4
    for part in ("DevUSD", "agent deposit 0.", CLIENT_ADDRESS, stage.market.vault.address):
        assert part in ran.err
    assert "job" not in double.asked
    assert agent("ask", "Hello", "--deposit").code == 0


def test_the_fee_of_a_demand_is_kept_ready(stage: Stage, node: Nodes, agent: Agent) -> None:
    double = node()
    assert agent("withdraw", "all").code == 0
    assert agent("deposit", "0.1").code == 0
    ran = agent("ask", "Hello")
    assert ran.code == 4
    assert "kept ready to demand a withheld answer" in ran.err
    assert "job" not in double.asked
    assert agent("ask", "Hello", "--no-demand").code == 0
    assert agent("deposit", "5").code == 0
    ran = agent("ask", "Hello", "--max-price", "0.1")
    assert ran.code == 3
    assert "above your limit of 0.1 DevUSD" in ran.err
    assert agent("ask", "Hello", "--max-price", "0.1", "--no-demand").code == 0


def test_a_question_that_was_interrupted_does_not_deposit_twice(
    stage: Stage, node: Nodes, agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    node()
    market = stage.market
    assert agent("withdraw", "all").code == 0
    before = market.tokens(CLIENT_ADDRESS)
    with monkeypatch.context() as broken:
        broken.setattr("agents.market.account.Account.wait", _die)
        with pytest.raises(_Killed):
            agent("ask", "Hello", "--deposit")
    ran = agent("ask", "Hello", "--deposit", "--json")
    assert ran.code == 0, ran.err
    needed = int(ran.json["price"]["ceiling"]) + market.delivery_cost(8)
    assert before - market.tokens(CLIENT_ADDRESS) == needed


def test_without_gas_nothing_is_opened_and_nothing_is_lost(stage: Stage, node: Nodes, agent: Agent) -> None:
    node()
    before = stage.market.balance(CLIENT_ADDRESS)
    stage.market.connection.rpc("anvil_setBalance", CLIENT_ADDRESS, "0x0")
    ran = agent("ask", "Hello")
    assert ran.code == 4
    assert CLIENT_ADDRESS in ran.err
    stage.market.connection.rpc("anvil_setBalance", CLIENT_ADDRESS, hex(10**18))
    assert [job["status"] for job in agent("jobs", "--all", "--json").json["jobs"]] == ["not opened"]
    assert agent("jobs", "--settle", "--wait").code == 0
    assert stage.market.balance(CLIENT_ADDRESS) == before


def test_money_shows_a_nodes_stake_and_a_models_fees(stage: Stage, node: Nodes, agent: Agent) -> None:
    double = node(jobs=3)
    assert agent("ask", "Hello", "--no-approve").code == 0
    market = stage.market
    stage.send(double.wallet, market.nodes, "thaw", market.escrow.address, stage.model_id, 4 * MILLION)
    found = agent("money", "--address", dev_wallet(FIRST_NODE).address, "--json").json
    lines = {line["what"]: line for line in found["lines"]}
    assert int(lines["stake, bound by jobs"]["amount"]) == TERMS.penalty
    assert int(lines["stake, for new jobs"]["amount"]) == 2 * TERMS.penalty - 4 * MILLION
    assert int(lines["stake, thawing"]["amount"]) == 4 * MILLION
    assert lines["stake, thawing"]["until"] > found["chainTime"]
    assert int(found["total"]) == 3 * TERMS.penalty
    stage.pass_time(TERMS.challenge_window + 1)
    assert agent("jobs", "--settle").code == 0
    fees = market.model_fees(stage.model_id)
    assert fees > 0
    trainer = agent("money", "--account", "trainer")
    assert "agent trainer collect smollm2" in trainer.out
    assert agent("trainer", "collect", "smollm2", "--account", "trainer").code == 0
    lines = agent("money", "--address", dev_wallet(TRAINER).address, "--json").json["lines"]
    (treasury,) = [line for line in lines if line["what"].startswith("treasury")]
    assert (int(treasury["amount"]), treasury["own"]) == (fees, False)
    assert "all of yours" in agent("money").out
