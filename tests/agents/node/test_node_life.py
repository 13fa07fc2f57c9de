"""A job's whole life, on a real chain with a real model."""

from collections.abc import Callable
from pathlib import Path

import httpx
import numpy as np
import pytest
from conftest import settings_for
from market_stage import (
    CLIENT,
    FEE,
    MILLION,
    OPERATOR,
    OTHER,
    TERMS,
    Client,
    Stage,
    store_with_manifest,
    until,
)

from agents.chain.devchain import dev_wallet
from agents.chain.lock import AlreadyRunning
from agents.market.errors import NoModel
from agents.market.reads import Market, Status
from agents.node import models
from agents.node.errors import ModelError, Refusal
from agents.node.handout import Handout
from agents.node.jobs import JobRecord
from agents.node.run import NodeRunner
from agents.protocol.manifest import manifest_cid
from agents.protocol.messages import Finish, as_tuple
from agents.protocol.pricing import settle
from agents.protocol.sampling import Sampling
from agents.protocol.tokens import OUTPUT, unmask
from agents.protocol.wire import OutputReply

Start = Callable[..., NodeRunner]


def test_jobs_are_answered_completed_finalized_and_paid_once(stage: Stage, start: Start) -> None:
    node = start(push_fees_minimum=1, lend=False)
    client = Client(stage, dev_wallet(CLIENT), node.endpoint)
    greedy = client.ask(max_tokens=12)
    sampled = client.ask(prompt=tuple(range(900, 960)), max_tokens=20, temperature=MILLION, top_p=900_000)
    for asked in (greedy, sampled):
        client.submit(asked)
    settlements = []
    (model,) = node.models.values()
    for asked in (greedy, sampled):
        client.wait(asked, "completed")
        completion, tokens = client.output(asked)
        assert completion.finish == (Finish.END if tokens[-1] == 2 else Finish.LENGTH)
        margins = model.engine.score(asked.prompt, tokens, Sampling.of(asked.job)).result()
        assert np.all(margins == 0)
        assert client.chain_status(asked) is Status.COMPLETED
        settlements.append(settle(asked.job, len(tokens)))
    before = stage.market.balance(node.identity.node)
    stage.pass_time(TERMS.challenge_window + 1)
    for asked in (greedy, sampled):
        client.wait(asked, "final")
        assert client.paid_times(asked) == 1
    assert stage.market.balance(node.identity.node) - before == sum(s.node_share for s in settlements)
    fees = sum(s.model_fee for s in settlements)
    assert fees >= (20 + 12) * FEE // MILLION
    until(lambda: stage.market.governor.call("treasuryOf", stage.model_id) == fees)
    assert stage.market.provision(node.identity.node, stage.model_id).reserved == 0


def test_an_approved_job_is_final_without_waiting(stage: Stage, start: Start) -> None:
    node = start()
    client = Client(stage, dev_wallet(CLIENT), node.endpoint)
    asked = client.ask()
    client.submit(asked)
    client.wait(asked, "completed")
    completion, _ = client.output(asked)
    stage.send(client.wallet, stage.market.escrow, "approve", as_tuple(asked.job), as_tuple(completion))
    client.wait(asked, "final")
    assert client.paid_times(asked) == 1


def test_a_demanded_delivery_is_answered_on_chain(stage: Stage, start: Start) -> None:
    node = start()
    client = Client(stage, dev_wallet(CLIENT), node.endpoint)
    asked = client.ask()
    client.submit(asked)
    client.wait(asked, "completed")
    completion, tokens = client.output(asked)
    client.demand(asked, completion)
    until(lambda: client.chain_status(asked) is Status.DELIVERED)
    escrow = stage.market.escrow
    logs = stage.connection.logs([escrow.address], 0, stage.connection.latest().number)
    (delivered,) = [e for log in logs if (e := escrow.decode(log)) and e.name == "OutputDelivered"]
    assert unmask(asked.secret, OUTPUT, delivered.args["maskedOutput"]) == tokens
    stage.pass_time(TERMS.challenge_window + 1)
    client.wait(asked, "final")
    assert client.paid_times(asked) == 1


class _Withholding:
    """Gives nothing away."""

    def __init__(self, honest: Handout) -> None:
        self.asked_to_deliver = 0

    def output(self, record: JobRecord) -> OutputReply:
        raise Refusal(404, "not_ready", "later")

    def deliver(self, record: JobRecord) -> None:
        self.asked_to_deliver += 1


def test_a_withheld_output_is_recorded_as_lost_with_the_stake_it_cost(stage: Stage, start: Start) -> None:
    node = start(wrap_handout=_Withholding)
    client = Client(stage, dev_wallet(CLIENT), node.endpoint)
    asked = client.ask()
    client.submit(asked)
    client.wait(asked, "completed")
    record = node.book.find(asked.hash)
    assert record is not None
    assert record.completion is not None
    client.demand(asked, record.completion)
    until(lambda: node.handout.asked_to_deliver)  # type: ignore[attr-defined]
    stage.pass_time(TERMS.delivery_window + 1)
    args = (as_tuple(asked.job), as_tuple(record.completion))
    stage.send(client.wallet, stage.market.escrow, "closeWithheld", *args)
    client.wait(asked, "failed")
    lost = node.book.find(asked.hash)
    assert lost is not None
    assert lost.reason is not None
    assert "refunded" in lost.reason
    assert "10 DevUSD" in lost.reason


def test_blocks_are_served_while_models_are_loaded(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nodes that start together fetch from each other: one that is announced and silent holds them up."""
    owner = dev_wallet(OTHER)
    stage.staked_node(owner)
    seen: dict[str, int] = {}
    digest = manifest_cid(stage.manifest.digest())

    def loading(
        market: Market, store: object, spec: object, settings: object, endpoint: str, *_: object, **__: object
    ) -> None:
        assert market.node(owner.address).endpoint == endpoint
        for path in (f"/ipfs/{digest}?format=raw", "/v1/offer", "/health"):
            seen[path.split("/")[1]] = httpx.get(endpoint + path).status_code
        raise NoModel("that will do")

    monkeypatch.setattr(models, "serve", loading)
    with pytest.raises(NoModel, match="that will do"):
        NodeRunner(settings_for(stage, tmp_path), owner).start()
    assert seen == {"ipfs": 200, "v1": 503, "health": 503}


def test_a_node_without_the_model_gets_it_from_another_node(
    stage: Stage, start: Start, tmp_path: Path
) -> None:
    first = start(lend=False)
    owner = dev_wallet(OTHER)
    stage.staked_node(owner)
    nothing = tmp_path / "nothing"
    settings = settings_for(stage, tmp_path / "second", store_dir=nothing / "store", weights=(nothing,))
    seen: list[tuple[int, int]] = []
    runner = NodeRunner(settings, owner, progress=lambda _, here, of: seen.append((here, of)))
    with runner:
        assert seen[-1] == (stage.manifest.weights.size, stage.manifest.weights.size)
        (model,) = runner.models.values()
        (other,) = first.models.values()
        assert model.bit_class == other.bit_class != bytes(32)
        client = Client(stage, dev_wallet(CLIENT), runner.endpoint)
        asked = client.ask()
        client.submit(asked)
        client.wait(asked, "completed")
        assert client.output(asked)[0].node == owner.address


def test_claims_are_collected_in_batches_the_largest_first(stage: Stage, start: Start) -> None:
    node = start(finalize_batch=2, finalize_patience=100)
    client = Client(stage, dev_wallet(CLIENT), node.endpoint)
    jobs = [client.ask(prompt=tuple(range(100, 100 + length)), seed=length) for length in (10, 40, 20)]
    for asked in jobs:
        client.submit(asked)
    for asked in jobs:
        client.wait(asked, "completed")
    stage.pass_time(TERMS.challenge_window + 1)
    for asked in jobs[1:]:
        client.wait(asked, "final")
    # The last one waits for company, but not for ever.
    assert client.chain_status(jobs[0]) is Status.COMPLETED
    stage.pass_time(100)
    client.wait(jobs[0], "final")
    escrow = stage.market.escrow
    logs = stage.connection.logs([escrow.address], 0, stage.connection.latest().number)
    paid = [e.tx_hash for log in logs if (e := escrow.decode(log)) and e.name == "JobPaid"]
    assert len(paid) == 3
    assert len(set(paid)) == 2


def test_what_lies_on_disk_is_for_the_owner_alone(start: Start, tmp_path: Path) -> None:
    start()
    files = [path for path in (tmp_path / "data").iterdir() if path.suffix in (".sqlite", ".key")]
    assert len(files) == 2
    for path in [*files, *(tmp_path / "data").glob("*.sqlite-wal")]:
        assert path.stat().st_mode & 0o077 == 0, path


def test_only_the_model_named_is_served(stage: Stage, start: Start, tmp_path: Path) -> None:
    with pytest.raises(NoModel, match="has no version 3"):
        start(models=f"{stage.model_id}@3", lend=False)
    with pytest.raises(NoModel, match="no model 12"):
        start(models="12", lend=False)
    wrong = tmp_path / "wrong.gguf"
    with wrong.open("wb") as file:
        file.truncate(stage.manifest.weights.size)
    store_with_manifest(tmp_path / "fresh", stage.manifest)
    with pytest.raises(NoModel, match="no weights of"):
        start(weights=(wrong,), lend=False, store_dir=tmp_path / "fresh")


def test_prices_below_the_model_fee_are_refused_at_the_start(start: Start) -> None:
    with pytest.raises(ModelError, match="--input-price"):
        start(input_price=FEE - 1, lend=False)


def test_another_process_or_runner_with_the_same_key_is_refused(start: Start) -> None:
    node = start()
    with pytest.raises(AlreadyRunning, match="in use by another process"):
        start()
    assert node.is_open()
    assert dev_wallet(OPERATOR).address == node.identity.node
