"""Whole disputes, judged by nodes that run the model: who is right is paid, whoever it is."""

from collections.abc import Sequence
from dataclasses import replace

import httpx
from court_stage import ADA, BEA, CYD, LIAR, CourtStage, close_dispute
from market_stage import Asked, until

from agents.chain.devchain import dev_wallet
from agents.engine import Generation, Output
from agents.market.court import Opened, Ruling, Vote
from agents.market.reads import Status
from agents.node.answering import Answerer
from agents.node.court.examiner import Examiner, Finding
from agents.node.listing import jobs_in
from agents.node.models import ServedModel
from agents.node.run import NodeRunner
from agents.protocol.messages import Job


class _Wrong:
    """Says something else in the middle."""

    def __init__(self, honest: Answerer) -> None:
        self._honest = honest

    def start(self, model: ServedModel, job: Job, prompt: Sequence[int]) -> Generation:
        return _Altered(self._honest.start(model, job, prompt))  # type: ignore[return-value]


class _Altered:
    def __init__(self, generation: Generation) -> None:
        self._generation = generation
        self.cancel = generation.cancel

    def __iter__(self):  # type: ignore[no-untyped-def]
        return iter(self._generation)

    def result(self, timeout: float | None = None) -> Output:
        found = self._generation.result(timeout)
        return replace(found, tokens=(*found.tokens[:3], found.tokens[3] ^ 1, *found.tokens[4:]))


class _Liar:
    """Runs the model and says the opposite."""

    def __init__(self, honest: Examiner) -> None:
        self._honest = honest

    def examine(self, opened: Opened, positions: Sequence[int]) -> Finding:
        found = self._honest.examine(opened, positions)
        other = {Vote.UPHELD: Vote.DISMISSED, Vote.DISMISSED: Vote.UPHELD}
        return replace(found, vote=other.get(found.vote, found.vote))


def standing(node: NodeRunner, asked: Asked) -> str:
    """As `agent node jobs` shows it, beside the node that runs."""
    found = {job.job: job.standing for job in jobs_in(node.journal.path, everything=True, most=10)}
    return found[asked.name]


def test_wrong_and_right_answers_are_told_apart_and_the_judges_paid(court: CourtStage) -> None:
    stage, model_id = court.stage, court.stage.model_id
    ada = court.run(ADA, wrap_answerer=_Wrong)
    judges = [court.run(account, seats=2, verify_only=True) for account in (BEA, CYD)]
    bea = judges[0]
    right = court.run(LIAR, seats=1, finalize_patience=600)  # a ruled claim waits for no batch
    court.seats(model_id, 5)

    client = court.client(ada.endpoint)
    asked = client.ask()
    completion, output = court.answer(client, asked)
    dispute = court.challenge(client, asked, completion, output)
    assert court.opened(dispute).exact  # the class has enough seats
    assert court.closed(dispute) is Ruling.UPHELD
    assert court.votes(dispute) == ["UPHELD"] * 3
    assert client.chain_status(asked) is Status.RULED_UPHELD
    until(lambda: standing(ada, asked) == "ruled wrong")
    close_dispute(stage, client, asked, completion)
    client.wait(asked, "failed")
    assert standing(ada, asked) == "lost"
    record = ada.book.find(asked.hash)
    assert record is not None
    assert "10 DevUSD of stake were slashed" in (record.reason or "")

    honest = court.client(right.endpoint)
    asked = honest.ask(max_tokens=12, temperature=700_000, top_p=950_000)
    completion, output = court.answer(honest, asked)
    before = stage.market.balance(right.identity.node)
    frivolous = court.challenge(honest, asked, completion, output)
    assert court.closed(frivolous) is Ruling.DISMISSED
    honest.wait(asked, "final")  # the node has the ruling carried out itself
    assert standing(right, asked) == "paid"
    gained = stage.market.balance(right.identity.node) - before
    assert gained >= court.court.terms.node_fee

    fees = sum(court.court.fee(court.opened(d).case.tokens) * 3 for d in (dispute, frivolous))
    reports = [node.verifier.report() for node in (*judges, right) if node.verifier]

    def earned() -> bool:
        nonlocal reports
        reports = [node.verifier.report() for node in (*judges, right) if node.verifier]
        return sum(int(r["earned"]) for r in reports) == fees + court.court.terms.node_fee

    until(earned)
    assert sum(r["silent"] for r in reports) == 0
    assert bea.verifier is not None
    health = httpx.get(f"{bea.endpoint}/health").json()
    assert health["status"] == "ok"
    assert health["court"]["seats"] == {str(model_id): 2}
    assert httpx.get(f"{bea.endpoint}/v1/offer").json()["models"] == []
    assert "capek_node_court_earned_base_units" in httpx.get(f"{bea.endpoint}/metrics").text


def test_a_wrong_ruling_over_a_right_answer_is_appealed_by_its_node(court: CourtStage) -> None:
    second = court.second_model()
    court.run(BEA, seats=4, verify_only=True)
    court.run(LIAR, models=f"{second}", seats=2, verify_only=True, wrap_examiner=_Liar)
    court.provide(ADA, second)
    ada = court.run(ADA, models=f"{second}", seats=1)
    court.seats(second, 3)

    client = court.client(ada.endpoint)
    asked = client.ask()
    completion, output = court.answer(client, asked)
    cost = court.court.appeal_cost(len(asked.prompt) + len(output))
    court.stage.deposit(dev_wallet(ADA), cost)
    dispute = court.challenge(client, asked, completion, output)
    until(lambda: court.standing(dispute).round == 1)
    assert court.events.appeals(ada.identity.node, 0) == [(dispute, cost)]
    court.mine()
    assert court.ended(dispute) is Ruling.DISMISSED
    assert sorted(court.votes(dispute)[:3]) == ["DISMISSED", "UPHELD", "UPHELD"]
    client.wait(asked, "final")
