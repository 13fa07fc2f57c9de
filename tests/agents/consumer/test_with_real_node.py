"""Everybody's own code: a trainer publishes, a node serves, a consumer fetches, asks, checks and pays."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from consumer_stage import FIRST_NODE, INPUT_PRICE, OUTPUT_PRICE, TRAINER, Stage, weights_file

from agents.chain.devchain import dev_wallet
from agents.market.account import Account
from agents.market.settings import AccountSettings
from agents.node.run import NodeRunner
from agents.node.settings import NodeSettings
from agents.protocol.messages import model_id

Agent = Callable[..., Any]


def test_from_a_file_to_a_paid_answer(
    stage: Stage, agent: Agent, tmp_path: Path, own_model: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, terms = tmp_path / "node" / "store", ("--name", "tiny", "--licence", "Apache-2.0", "--fee", "50")
    place = ("--account", "trainer", "--store-dir", str(store))
    ran = agent("trainer", "publish", str(weights_file()), *terms, *place, "--json")
    assert ran.code == 0, ran.err
    number = int(ran.json["modelId"])
    assert number == model_id(dev_wallet(TRAINER).address, "tiny")
    operator = dev_wallet(FIRST_NODE)
    stage_with = Stage(stage.chain, stage.deployment, stage.market, stage.manifest, number, stage.store)
    stage_with.stake(operator, "", bytes(32), 2)
    # The consumer has nothing, and no file of its own: all of it comes from the node.
    monkeypatch.setenv("CAPEK_STORE_DIR", str(tmp_path / "consumer"))
    monkeypatch.setenv("CAPEK_WEIGHTS", str(tmp_path / "nowhere"))
    settings = NodeSettings(
        rpc_url=stage.chain.url, deployment=stage.deployment, port=0, threads=1, parallel=1, context=512,
        models=str(number), input_price=INPUT_PRICE, output_price=OUTPUT_PRICE, data_dir=tmp_path / "node",
        store_dir=store, poll_seconds=0.03, sweep_seconds=0.2,
    )  # fmt: skip
    with NodeRunner(settings, operator):
        how = ("--model", "tiny", "--temperature", "0.7", "--top-p", "0.9")
        ran = agent("ask", "What is 2+2?", *how, "--json")
        assert ran.code == 0, ran.err
        found = ran.json
        assert "of 93 MiB" in ran.err
        assert (found["accepted"], found["outcome"]) == (True, "paid")
        assert found["verdict"]["mode"] == "exact"
        assert stage.market.balance(operator.address) == int(found["price"]["node"])
        again = agent("ask", "Hello", "--model", "tiny", "-q")
        assert again.code == 0
        assert "MiB" not in again.err
        monkeypatch.setenv("CAPEK_PEERS", "http://127.0.0.1:9")
        assert agent("verify", found["job"][:20]).code == 0
    assert agent("ask", "Hello", "--model", "tiny").code == 3, "the node is gone"
    held, owed = stage.ledger()
    assert held == owed


def test_an_account_can_be_used_by_one_process_at_a_time(stage: Stage, agent: Agent) -> None:
    with Account.open(AccountSettings.load()):
        ran = agent("ask", "Hello")
        assert ran.code == 1
        assert "in use by another process" in ran.err
        assert agent("money").code == 0
