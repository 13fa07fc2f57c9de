"""Nodes that don't do what they should: how the command ends, and where the money goes."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from consumer_stage import CLIENT, MILLION, TERMS, NodeDouble, Stage
from fastapi import Response
from fastapi.responses import JSONResponse, RedirectResponse, StreamingResponse

from agents.chain.devchain import dev_wallet
from agents.consumer.book import Record
from agents.consumer.settle import Settler, Standing
from agents.market.reads import Status

Nodes = Callable[..., NodeDouble]
Agent = Callable[..., Any]


def balance(stage: Stage) -> int:
    return stage.market.balance(dev_wallet(CLIENT).address)


def endless() -> Response:
    def pieces() -> Iterator[bytes]:
        while True:
            yield b"0" * 65536

    return StreamingResponse(pieces(), media_type="application/json")


def not_json() -> Response:
    return Response(b"<html>")


def elsewhere() -> Response:
    return RedirectResponse("http://127.0.0.1:9/")


def junk_box() -> Response:
    return JSONResponse({"completion": {}, "signature": "0x00", "output": "0x" + "ab" * 100})


@pytest.mark.parametrize(
    "how",
    [None, endless, not_json, elsewhere, junk_box],
    ids=["not found", "endless", "no JSON", "elsewhere", "junk"],
)
def test_an_answer_that_is_withheld_costs_the_node_its_penalty(
    stage: Stage, node: Nodes, agent: Agent, how: Callable[[], Response] | None
) -> None:
    double, before = node(), balance(stage)

    def later() -> None:
        # Once it is demanded, time passes.
        (key,) = double._jobs
        if stage.market.job_status(bytes.fromhex(key[2:]))[0] is Status.DEMANDED:
            stage.pass_time(TERMS.delivery_window + 1)

    double.ways = replace(double.ways, hand_out=False, on_output=later)
    if how is not None:
        double.ways = replace(double.ways, raw_output=how)
    ran = agent("ask", "Hello", "--json")
    assert ran.code == 6, ran.err
    assert "kept its answer back" in ran.json["error"]
    (job,) = agent("jobs", "--all", "--json").json["jobs"]
    assert job["status"] == "withheld"
    facts = {key: int(job["facts"][key]) for key in ("refund", "taken", "paid", "burned")}
    price = int(job["price"]["payment"])
    assert facts["taken"] == TERMS.penalty == facts["paid"] + facts["burned"]
    assert facts["paid"] == price, "the share is capped by the answer's price"
    cost = stage.market.delivery_cost(job["outputTokens"])
    assert facts["refund"] == int(job["price"]["ceiling"]) + cost
    assert balance(stage) == before + facts["paid"]
    held, owed = stage.ledger()
    assert held == owed


def test_an_answer_handed_out_wrongly_is_taken_from_the_chain(
    stage: Stage, node: Nodes, agent: Agent
) -> None:
    double, before = node(), balance(stage)

    def deliver() -> None:
        (key,) = double._jobs
        if stage.market.job_status(bytes.fromhex(key[2:]))[0] is Status.DEMANDED:
            double.deliver(key)

    double.ways = replace(double.ways, hand_out_other=True, on_output=deliver)
    ran = agent("ask", "Hello", "--json")
    assert ran.code == 0, ran.err
    found = ran.json
    assert found["outcome"] == "paid"
    assert "demand" in found["transactions"]
    cost = stage.market.delivery_cost(found["outputTokens"])
    assert int(found["facts"]["delivery_cost"]) == cost
    assert balance(stage) == before - int(found["price"]["payment"]) - cost


@pytest.mark.parametrize("ours", [True, False], ids=["exact", "tolerant"])
def test_a_made_up_answer_is_refused_and_not_approved(
    stage: Stage, node: Nodes, agent: Agent, ours: bool
) -> None:
    double = node(**({} if ours else {"bit_class": bytes(32)}))
    double.ways = replace(double.ways, say=lambda tokens: tuple((t * 31 + 1000) % 40000 for t in tokens))
    ran = agent("ask", "Hello", "--json")
    assert ran.code == 5
    found = ran.json
    failure = found["verdict"]["failure"]
    assert not found["accepted"]
    assert found["verdict"]["mode"] == ("exact" if ours else "tolerant")
    assert (failure["condition"], failure["position"]) == ("continuity", 0)
    assert failure["value"] > failure["threshold"]
    assert found["outcome"] is None
    assert "no court" in found["note"]
    assert "paid" in found["note"]
    job = bytes.fromhex(found["job"][2:])
    assert stage.market.job_status(job)[0] is Status.COMPLETED
    assert agent("verify", found["job"]).code == 5
    stage.pass_time(TERMS.challenge_window + 1)
    assert agent("ask", "Hello").code == 5, "the next question leaves what nothing can change to the node"
    assert stage.market.job_status(job)[0] is Status.COMPLETED
    agent("jobs", "--settle")
    assert stage.market.job_status(job)[0] is Status.FINAL
    assert stage.market.balance(double.wallet.address) == int(found["price"]["node"])


@pytest.mark.parametrize("other", [None, 2**32 - 1], ids=["another token", "no token at all"])
def test_one_changed_token_in_the_middle_is_found(
    stage: Stage, node: Nodes, agent: Agent, other: int | None
) -> None:
    double = node()
    double.ways = replace(double.ways, say=lambda said: (*said[:4], other or said[4] + 1, *said[5:]))
    ran = agent("ask", "Tell me a story.")
    assert ran.code == 5
    assert "REFUSED" in ran.out
    assert "integrity failed" in ran.out
    assert "at token 4" in ran.out


@pytest.mark.parametrize("shift", [-100_000, 100_000])
def test_a_wrong_time_of_service_is_refused(stage: Stage, node: Nodes, agent: Agent, shift: int) -> None:
    double = node()
    double.ways = replace(double.ways, served_at=lambda now: now + shift)
    ran = agent("ask", "Hello", "--json")
    assert ran.code == 5
    assert ran.json["verdict"]["failure"]["condition"] == "completion"


def test_a_node_that_goes_silent_pays_for_its_missed_deadline(
    stage: Stage, node: Nodes, agent: Agent
) -> None:
    double, before = node(), balance(stage)
    double.ways = replace(double.ways, completes=False, on_status=lambda: stage.pass_time(700))
    ran = agent("ask", "Hello", "--job-time", "500")
    assert ran.code == 6
    assert "missed its deadline" in ran.err
    (job,) = agent("jobs", "--all", "--json").json["jobs"]
    assert (job["status"], int(job["facts"]["taken"])) == ("missed", TERMS.miss_penalty)
    assert balance(stage) == before + int(job["facts"]["paid"]) > before


def test_bad_acceptances_are_passed_over_and_the_next_node_is_asked(
    stage: Stage, node: Nodes, agent: Agent
) -> None:
    good = node()
    cheap: list[NodeDouble] = []

    def bad(**ways: Any) -> NodeDouble:
        double = node(jobs=1, output_price=good.output_price - 10 * MILLION * (len(cheap) + 1))
        double.ways = replace(double.ways, **ways)
        cheap.append(double)
        return double

    bad(accept=lambda reply: reply | {"jobHash": "0x" + "11" * 32})
    bad(accept=lambda reply: reply | {"signature": "0x" + "11" * 65})
    bad(accept=lambda reply: reply | {"expires": str(1 << 64)})
    bad(expires_in=1)
    unsealable = bad()
    unsealable.key = bytes(32)
    market = stage.market
    own, url = unsealable.wallet, unsealable.url
    stage.send(own, market.nodes, "setEndpoint", own.address, bytes(32), url)
    busy = {"error": {"code": "busy", "message": "try \x1b[31m again"}}
    bad(accept=lambda reply: JSONResponse(busy, 429))
    ran = agent("ask", "Hello", "--json")
    assert ran.code == 0, ran.err
    assert ran.json["node"] == good.wallet.address
    assert all(double.asked.count("job") == 1 for double in cheap if double is not unsealable)
    jobs = agent("jobs", "--all", "--json").json["jobs"]
    assert [job["status"] for job in jobs] == ["not opened"] * 6 + ["paid"]
    reasons = " ".join(job["facts"].get("reason", "") for job in jobs)
    told = ("another job", "is not signed", "impossible date", "expired", "not fit to seal to", "busy")
    for reason in told:
        assert reason in reasons
    assert "\x1b" not in reasons
    for double in cheap:
        double.ways = replace(double.ways, accept=lambda reply: JSONResponse(busy, 429))
    good.stop()
    ran = agent("ask", "Hello")
    assert ran.code == 3
    assert ran.err.count("busy") == 5
    assert "can't be reached" in ran.err


def test_a_node_that_signs_with_another_key_gets_nothing(stage: Stage, node: Nodes, agent: Agent) -> None:
    double, before = node(), balance(stage)
    double.ways = replace(double.ways, signer=dev_wallet(8))
    ran = agent("ask", "Hello")
    assert ran.code == 3
    assert dev_wallet(8).address in ran.err
    assert double.wallet.address in ran.err
    assert balance(stage) == before
    assert "job" not in double.asked


def test_a_withheld_answer_is_demanded_only_with_leave(stage: Stage, node: Nodes, agent: Agent) -> None:
    double = node()
    double.ways = replace(double.ways, hand_out=False)
    ran = agent("ask", "Hello", "--no-demand")
    assert ran.code == 9, ran.err
    assert "--settle --demand" in ran.err
    (name,) = double._jobs
    status = lambda: stage.market.job_status(bytes.fromhex(name[2:]))[0]  # noqa: E731
    before = balance(stage)
    for again in (("jobs", "--settle"), ("ask", "Hello", "--node", dev_wallet(7).address)):
        assert "--no-demand forbids" in agent(*again).err
    assert (status(), balance(stage)) == (Status.COMPLETED, before)
    assert agent("jobs", "--demand").code == 2
    assert agent("jobs", name, "--settle", "--demand").code == 0
    (job,) = agent("jobs", "--json").json["jobs"]
    cost = stage.market.delivery_cost(job["outputTokens"])
    assert (status(), balance(stage)) == (Status.DEMANDED, before - cost)


def test_one_jobs_trouble_does_not_keep_the_others_money(
    stage: Stage, node: Nodes, agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    node()
    first, second = (agent("ask", "Hello", "--no-approve", "--json").json["job"] for _ in range(2))
    stage.pass_time(TERMS.challenge_window + 1)
    step = Settler.step

    def broken(settler: Settler, record: Record) -> Standing:
        if record.name == first:
            raise ValueError("Invalid \x1b[2J URL")
        return step(settler, record)

    monkeypatch.setattr(Settler, "step", broken)
    ran = agent("jobs", "--settle")
    assert ran.code == 9
    assert f"{first[:14]}…: unexpected ValueError: Invalid" in ran.err
    assert "\x1b" not in ran.err
    found = {job["job"]: job["status"] for job in agent("jobs", "--all", "--json").json["jobs"]}
    assert found == {first: "completed", second: "paid"}
