"""A cheat, a consumer, and a court whose seats really run the model."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from consumer_court import COURT, JUDGE, court_of
from consumer_stage import CLIENT, TERMS, NodeDouble, Stage

from agents.chain.devchain import dev_wallet
from agents.market.court import Phase
from agents.market.events import Events
from agents.node.run import NodeRunner
from agents.node.settings import NodeSettings

Nodes = Callable[..., NodeDouble]
Agent = Callable[..., Any]
WITH_COURT = True


def test_a_cheat_is_slashed_by_those_who_repeat_the_check_and_a_frivolous_challenge_loses_its_bond(
    stage: Stage, node: Nodes, agent: Agent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    court, events = court_of(stage), Events(stage.market)

    def while_it_waits(_: float) -> None:
        """Blocks come, and when all have voted the time for an appeal passes."""
        stage.market.connection.rpc("evm_mine")
        time.sleep(0.05)
        last = list(events.disputes(stage.market.start_block))[-1]
        if court.standing(last.id).phase is Phase.APPEALABLE:
            stage.pass_time(COURT.appeal_window + 1)

    monkeypatch.setattr("agents.consumer.challenge.sleep", while_it_waits)
    settings = NodeSettings(
        rpc_url=stage.chain.url, deployment=stage.deployment, port=0, threads=1, parallel=1, context=512,
        models=str(stage.model_id), data_dir=tmp_path / "judge", store_dir=stage.store, verify_only=True,
        poll_seconds=0.03, sweep_seconds=0.2,
    )  # fmt: skip
    before = stage.market.balance(dev_wallet(CLIENT).address)
    cheat, honest = node(), node()
    cheat.ways = replace(cheat.ways, say=lambda said: (*said[:3], said[3] + 1, *said[4:]))
    with NodeRunner(settings, dev_wallet(JUDGE)):
        ran = agent("ask", "Tell me a story.", "--node", cheat.wallet.address, "--wait", "--json")
        assert ran.code == 5, ran.err
        found = ran.json["challenge"]
        assert (found["outcome"], found["rounds"][0]["upheld"]) == ("upheld", 3)
        assert int(found["money"]["slashed"]) == TERMS.penalty
        fee = court.fee(ran.json["promptTokens"] + ran.json["outputTokens"])
        assert stage.market.balance(dev_wallet(JUDGE).address) == 3 * fee, "each had the right witness"
        assert stage.market.balance(dev_wallet(CLIENT).address) == before + int(found["money"]["net"])
        job = agent("ask", "Hello", "--node", honest.wallet.address, "--no-approve", "--json").json["job"]
        ran = agent("challenge", job, "--force", "--json")
        assert ran.code == 10, ran.err
        assert ran.json["rounds"][0]["dismissed"] == 3
    held, owed = stage.ledger()
    assert held == owed
