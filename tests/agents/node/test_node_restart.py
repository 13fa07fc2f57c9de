"""A node stopped or killed anywhere carries on where it was: nothing is lost, nothing is done twice."""

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import httpx
import pytest
from market_stage import CLIENT, MILLION, TERMS, Client, Stage, until
from node_process import NodeProcess, staked_operator

from agents.chain.devchain import dev_wallet
from agents.engine import Generation, Output
from agents.market.reads import Status
from agents.node.answering import Answerer
from agents.node.jobs import JobState
from agents.node.models import ServedModel
from agents.node.run import NodeRunner
from agents.protocol.messages import Finish, Job, as_tuple
from agents.protocol.sampling import Sampling

Start = Callable[..., NodeRunner]
LONG = tuple(range(100, 120))  # greedy, it goes round in circles and never ends


@pytest.fixture
def processes(stage: Stage, tmp_path: Path) -> Iterator[Callable[..., NodeProcess]]:
    running: list[NodeProcess] = []

    def begin(*flags: str, model: bool = True) -> NodeProcess:
        running.append(NodeProcess(stage, tmp_path / "process", *flags, model=model))
        return running[-1]

    yield begin
    for process in running:
        process.kill()


def test_sigkill_in_the_middle_of_an_answer(stage: Stage, processes: Callable[..., NodeProcess]) -> None:
    wallet = staked_operator(stage)
    stage.deposit(dev_wallet(CLIENT), 100 * MILLION)
    first = processes()
    client = Client(stage, dev_wallet(CLIENT), first.url())
    asked = client.ask(LONG, max_tokens=80)
    client.submit(asked)

    def some_tokens() -> bool:
        found = client.http.get(f"/v1/jobs/{asked.name}").json()
        return found["status"] == "running" and found["outputTokens"] >= 5

    until(some_tokens)
    first.kill()
    assert stage.market.job_status(asked.hash)[0] is Status.OPEN

    second = processes()
    again = Client(stage, dev_wallet(CLIENT), second.url())
    again.wait(asked, "completed", seconds=60)
    assert len(again.output(asked)[1]) == 80
    (running,) = [e for e in second.logs if e["message"] == "running"]
    assert running["attempt"] == 2
    stage.pass_time(TERMS.challenge_window + 1)
    again.wait(asked, "final")
    assert again.paid_times(asked) == 1
    assert stage.market.balance(wallet.address) > 0
    assert second.interrupt() == 0
    for process in (first, second):
        assert asked.secret.hex() not in process.raw
        assert str(asked.prompt[:5])[1:-1] not in process.raw
        assert "Traceback" not in process.raw


def test_opened_while_the_node_was_down(stage: Stage, start: Start) -> None:
    node = start()
    client = Client(stage, dev_wallet(CLIENT), node.endpoint)
    asked = client.ask()
    reply = client.accepted(asked)
    node.stop()
    client.open(asked, reply)
    client = Client(stage, dev_wallet(CLIENT), start().endpoint)
    client.wait(asked, "completed")
    client.output(asked)


def test_promises_are_kept_when_the_model_is_sold_no_more(stage: Stage, start: Start) -> None:
    node = start()
    client = Client(stage, dev_wallet(CLIENT), node.endpoint)
    asked = client.ask()
    reply = client.accepted(asked)
    node.stop()
    client.open(asked, reply)
    node = start(drain=True, models=())
    client = Client(stage, dev_wallet(CLIENT), node.endpoint)
    client.wait(asked, "completed")
    assert client.http.get("/v1/offer").json()["models"] == []


def test_stopped_while_answering_gives_the_same_answer_later(stage: Stage, start: Start) -> None:
    node = start()
    (model,) = node.models.values()
    client = Client(stage, dev_wallet(CLIENT), node.endpoint)
    asked = client.ask(LONG, max_tokens=60, temperature=MILLION // 2)
    client.submit(asked)
    until(lambda: (node.serving.written(asked.hash) or 0) >= 3)
    node.stop(0)
    node = start()
    client = Client(stage, dev_wallet(CLIENT), node.endpoint)
    client.wait(asked, "completed", seconds=60)
    _, tokens = client.output(asked)
    (model,) = node.models.values()
    margins = model.engine.score(asked.prompt, tokens, Sampling.of(asked.job)).result()
    assert not margins.any()
    record = node.book.find(asked.hash)
    assert record is not None
    assert record.attempts == 1  # a stop in good order is no failure of the job


def test_a_completion_signed_before_the_stop_is_sent_once_after_it(stage: Stage, start: Start) -> None:
    node = start(wrap_answerer=_Gated)
    client = Client(stage, dev_wallet(CLIENT), node.endpoint)
    asked = client.ask()
    client.submit(asked)
    client.wait(asked, "running")
    stage.connection.rpc("evm_setAutomine", False)
    _Gated.open.set()
    client.wait(asked, "done")  # signed, stored, sent, and in no block
    before = node.book.find(asked.hash)
    assert before is not None
    assert before.completion is not None
    node.stop()
    stage.connection.rpc("anvil_dropAllTransactions")
    stage.connection.rpc("evm_setAutomine", True)
    node = start()
    client = Client(stage, dev_wallet(CLIENT), node.endpoint)
    client.wait(asked, "completed")
    after = node.book.find(asked.hash)
    assert after is not None
    assert after.completion == before.completion
    assert client.output(asked)[0] == before.completion
    assert _completions(stage, asked.hash) == 1


class _Gated:
    """The model's answers, once the gate is open."""

    open = threading.Event()

    def __init__(self, answerer: Answerer) -> None:
        self.open.clear()
        self._answerer = answerer

    def start(self, model: ServedModel, job: Job, prompt: Sequence[int]) -> Generation:
        generation = self._answerer.start(model, job, prompt)
        return _Behind(self.open, generation)  # type: ignore[return-value]


class _Behind:
    def __init__(self, gate: threading.Event, generation: Generation) -> None:
        self._gate = gate
        self._generation = generation
        self.cancel, self.result = generation.cancel, generation.result

    def __iter__(self) -> Iterator[int]:
        assert self._gate.wait(30)
        return iter(self._generation)


def _completions(stage: Stage, key: bytes) -> int:
    escrow = stage.market.escrow
    logs = stage.connection.logs([escrow.address], 0, stage.connection.latest().number)
    events = [escrow.decode(log) for log in logs]
    return sum(e is not None and e.name == "JobCompleted" and e.args["jobHash"] == key for e in events)


def test_a_reorganisation_is_followed_and_everything_done_again(stage: Stage, start: Start) -> None:
    node = start()
    client = Client(stage, dev_wallet(CLIENT), node.endpoint)
    asked = client.ask()
    reply = client.accepted(asked)
    before = stage.connection.rpc("evm_snapshot")
    client.open(asked, reply)
    client.wait(asked, "completed")
    completion, _ = client.output(asked)
    stage.connection.rpc("evm_revert", before)
    for _ in range(6):
        stage.connection.rpc("evm_mine")
    client.wait(asked, "accepted")
    client.open(asked, reply)
    client.wait(asked, "completed")
    assert client.output(asked)[0] == completion  # never made a second time
    stage.pass_time(TERMS.challenge_window + 1)
    client.wait(asked, "final")
    assert client.paid_times(asked) == 1


class _Stuck:
    """Never says anything."""

    def __init__(self, answerer: Answerer) -> None:
        pass

    def start(self, model: ServedModel, job: Job, prompt: Sequence[int]) -> Generation:
        return _Silence()  # type: ignore[return-value]


class _Silence:
    def __init__(self) -> None:
        self._cancelled = threading.Event()

    def __iter__(self) -> Iterator[int]:
        self._cancelled.wait()
        return iter(())

    def cancel(self) -> None:
        self._cancelled.set()

    def result(self, timeout: float | None = None) -> Output:
        return Output((), Finish.CUT)


def test_a_missed_deadline_is_recorded_with_its_cost(stage: Stage, start: Start) -> None:
    node = start(wrap_answerer=_Stuck)
    client = Client(stage, dev_wallet(CLIENT), node.endpoint)
    running = client.ask()
    client.submit(running)
    client.wait(running, "running")
    late = client.ask(seed=2, deadline=stage.market.clock.now() + 60)
    reply = client.accepted(late)
    node.stop(0)
    client.open(late, reply)
    stage.pass_time(60)
    node = start(wrap_answerer=_Stuck)
    client = Client(stage, dev_wallet(CLIENT), node.endpoint)
    client.wait(late, "failed")
    client.wait(running, "running")
    stage.pass_time(300)
    client.wait(running, "failed")
    record = node.book.find(running.hash)
    assert record is not None
    assert "deadline passed" in (record.reason or "")
    (model,) = node.models.values()
    until(lambda: model.speed.pace < 1)  # less is promised from now on
    stage.send(client.wallet, stage.market.escrow, "expire", as_tuple(running.job))

    def lost() -> bool:
        found = node.book.find(running.hash)
        return found is not None and "2 DevUSD of stake were slashed" in (found.reason or "")

    until(lost)
    response = client.post(running)
    assert (response.status_code, response.json()["error"]["code"]) == (409, "failed")
    assert node.book.counts()[JobState.FAILED] == 2


def test_a_job_that_kills_the_node_is_not_tried_for_ever(stage: Stage, start: Start) -> None:
    node = start(wrap_answerer=_Stuck)
    client = Client(stage, dev_wallet(CLIENT), node.endpoint)
    asked = client.ask()
    client.submit(asked)
    client.wait(asked, "running")
    with node.journal.transaction() as db:
        db.execute("UPDATE node_job SET attempts = 4 WHERE hash = ?", (asked.hash,))
    node.stop(0)
    node = start(wrap_answerer=_Stuck)
    Client(stage, dev_wallet(CLIENT), node.endpoint).wait(asked, "failed")
    record = node.book.find(asked.hash)
    assert record is not None
    assert "stopped 3 times" in (record.reason or "")


def test_one_key_one_process_and_a_signal_ends_it_well(
    stage: Stage, processes: Callable[..., NodeProcess]
) -> None:
    staked_operator(stage)
    process = processes("--drain", model=False)
    url = process.url()
    assert httpx.get(f"{url}/health").json()["status"] == "draining"
    assert httpx.get(f"{url}/v1/offer").json()["models"] == []
    second = processes()
    assert second.end() == 1
    assert "in use by another process" in second.raw
    process.process.send_signal(signal.SIGTERM)
    assert process.end() == 0
    for each in (process, second):
        assert "Traceback" not in each.raw
