"""Running open jobs: earliest deadline first, several at once, each answer stored and signed before anything
is sent.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from agents.chain.errors import ChainError
from agents.chain.loop import Loop
from agents.chain.outbox import Outbox
from agents.chain.wallet import Wallet
from agents.engine import Busy, EngineClosed, EngineError, Generation, Output
from agents.market.reads import Market
from agents.node.answering import Answerer
from agents.node.jobs import JobBook, JobRecord, JobState
from agents.node.metrics import Metrics
from agents.node.models import ServedModel
from agents.protocol.messages import Completion, Finish, as_tuple
from agents.protocol.pricing import settle
from agents.protocol.tokens import OUTPUT, masked_hash

log = logging.getLogger(__name__)

MOST_ATTEMPTS = 3
"""A job that was running when the process died this often is suspected of killing it."""

_STEP = 1.0

Models = Mapping[tuple[int, int], ServedModel]


@dataclass(slots=True, eq=False)
class _Running:
    record: JobRecord
    model: ServedModel
    generation: Generation
    started: float
    work_before: float
    written: int = 0
    stopped: bool = False
    thread: threading.Thread | None = field(default=None)


class Serving:
    """Takes open jobs from the book and leaves them done, with `complete` in the outbox."""

    def __init__(
        self,
        book: JobBook,
        models: Models,
        answerer: Answerer,
        market: Market,
        outbox: Outbox,
        wallet: Wallet,
        pay_to: str,
        metrics: Metrics,
        on_dead: Callable[[Exception], None],
    ) -> None:
        self._book = book
        self._models = models
        self._answerer = answerer
        self._market = market
        self._outbox = outbox
        self._wallet = wallet
        self._pay_to = pay_to
        self._metrics = metrics
        self._on_dead = on_dead
        self._running: dict[bytes, _Running] = {}
        self._lock = threading.Lock()
        self._stopping = False
        self._homeless: set[bytes] = set()
        self._work_done = 0.0
        self._loop = Loop("serving", self._step)

    @property
    def trouble(self) -> str | None:
        return self._loop.trouble

    def start(self) -> None:
        self._loop.start()

    def wake(self) -> None:
        """There may be something to do."""
        self._loop.wake()

    def written(self, key: bytes) -> int | None:
        """Tokens that a running job has so far; None when it does not run."""
        with self._lock:
            running = self._running.get(key)
        return None if running is None else running.written

    def stop(self, grace: float) -> None:
        """Start nothing more, wait up to `grace` seconds for what runs, put the rest back in the queue."""
        self._stopping = True
        self._loop.stop()
        until = time.monotonic() + grace
        for running in self._snapshot():
            if running.thread:
                running.thread.join(max(0.0, until - time.monotonic()))
        for running in self._snapshot():
            self._stop(running)
            self._book.interrupted(running.record.hash, own_fault=False)
        for running in self._snapshot():
            if running.thread:
                running.thread.join(5)

    def _snapshot(self) -> list[_Running]:
        with self._lock:
            return list(self._running.values())

    def _step(self) -> float:
        now = self._market.clock.now()
        for running in self._snapshot():
            if now > running.record.job.deadline:
                if not running.stopped:
                    self._learn_from_miss(running)
                self._stop(running)
                self._fail(
                    running.record,
                    "deadline",
                    f"its deadline passed after {running.written} tokens were written",
                )
        for record in self._book.in_state(JobState.RUNNING):
            with self._lock:
                lost = record.hash not in self._running
            if lost:  # the journal could not take what became of it
                self._book.interrupted(record.hash)
        for record in self._book.in_state(JobState.OPEN):
            if self._stopping:
                break
            self._consider(record, now)
        return _STEP

    def _consider(self, record: JobRecord, now: int) -> None:
        job = record.job
        with self._lock:
            if record.hash in self._running:
                return  # a stopped run of it has not ended yet
            model = self._models.get((job.model_id, job.version))
            if model is not None and self._busy(model) >= model.parallel:
                return
        if model is None:
            if record.hash not in self._homeless:
                self._homeless.add(record.hash)
                log.error(
                    "an open job's model is not served: start the node with it before the deadline, or the "
                    "miss penalty is slashed",
                    extra={"job": record.name, "model": job.model_id, "version": job.version},
                )
            return
        needed = model.speed.left(job)
        if now + needed > job.deadline:
            self._fail(
                record,
                "deadline",
                f"not started: it needs some {needed:.0f} s and its deadline is in {job.deadline - now} s",
            )
            return
        if record.attempts >= MOST_ATTEMPTS:
            self._fail(record, "crash", f"the node stopped {record.attempts} times while answering it")
            return
        self._launch(record, model)

    def _busy(self, model: ServedModel) -> int:
        return sum(r.model is model for r in self._running.values())

    def _launch(self, record: JobRecord, model: ServedModel) -> None:
        try:
            _, prompt = self._book.prompt(record.hash)
        except KeyError as error:
            self._fail(record, "journal", str(error))
            return
        if not self._book.started(record.hash):
            return
        try:
            generation = self._answerer.start(model, record.job, prompt)
        except Busy as error:
            self._book.interrupted(record.hash, own_fault=False)
            log.warning("it waits: %s", error, extra={"job": record.name})
            return
        except EngineClosed as error:
            self._engine_died(record, error)
            return
        except EngineError as error:
            self._fail(record, "engine", str(error))
            return
        running = _Running(record, model, generation, time.monotonic(), self._work_done)
        running.thread = threading.Thread(
            target=self._run, args=(running,), name=f"job {record.name[:10]}", daemon=True
        )
        with self._lock:
            self._running[record.hash] = running
        log.info("running", extra={"job": record.name, "model": model.label, "attempt": record.attempts + 1})
        running.thread.start()

    def _stop(self, running: _Running) -> None:
        running.stopped = True
        running.generation.cancel()

    def _run(self, running: _Running) -> None:
        record = running.record
        try:
            output = self._follow(running)
            if not running.stopped:
                self._observe(running)
                self._finish(running, output)
        except EngineClosed as error:
            self._engine_died(record, error)
        except ChainError as error:
            # The answer is not signed yet: it is generated again, and comes out the same.
            self._book.interrupted(record.hash, own_fault=False)
            log.warning("can't complete now: %s", error, extra={"job": record.name})
        except EngineError as error:
            self._fail(record, "engine", str(error))
        except ValueError as error:
            self._fail(record, "model", str(error))
        except Exception:
            log.exception("answering failed", extra={"job": record.name})
            self._book.interrupted(record.hash)
        finally:
            with self._lock:
                self._running.pop(record.hash, None)
            self._loop.wake()

    def _engine_died(self, record: JobRecord, error: EngineClosed) -> None:
        self._book.interrupted(record.hash, own_fault=False)
        if not self._stopping:
            log.critical("the engine died: %s", error, extra={"job": record.name})
            self._on_dead(error)

    def _follow(self, running: _Running) -> Output:
        speed, job = running.model.speed, running.record.job
        for _ in running.generation:
            self._count(speed.token(job, running.written))
            running.written += 1
        return running.generation.result()

    def _count(self, seconds: float) -> None:
        with self._lock:
            self._work_done += seconds

    def _observe(self, running: _Running) -> None:
        took = time.monotonic() - running.started
        work = self._work_done - running.work_before
        if self._market.clock.now() > running.record.job.deadline:
            running.model.speed.missed(work, took)
        else:
            running.model.speed.observe(work, took)
        self._metrics.pace.labels(running.model.label).set(running.model.speed.pace)
        self._metrics.seconds.observe(took)

    def _learn_from_miss(self, running: _Running) -> None:
        work = self._work_done - running.work_before
        if not running.written:  # its prompt was being read: no more than all of it was
            work += running.model.speed.token(running.record.job, 0)
        running.model.speed.missed(work, time.monotonic() - running.started)
        self._metrics.pace.labels(running.model.label).set(running.model.speed.pace)

    def _finish(self, running: _Running, output: Output) -> None:
        record, job = running.record, running.record.job
        now = self._market.clock.now()
        if now > job.deadline:
            self._fail(record, "deadline", f"answered {now - job.deadline} s after its deadline")
            return
        if not output.tokens or output.finish is Finish.CUT:
            self._fail(record, "engine", "the model stopped without an answer")
            return
        secret, _ = self._book.prompt(record.hash)
        completion = Completion(
            job_hash=record.hash,
            node=job.node,
            output_hash=masked_hash(secret, OUTPUT, output.tokens),
            output_tokens=len(output.tokens),
            finish=int(output.finish),
            served_at=now,
            pay_to=self._pay_to,
        )
        signature = self._wallet.sign_message(self._market.domain, completion)
        claim = settle(job, len(output.tokens)).payment
        if self._book.done(record.hash, output.tokens, completion, signature, claim, self._send):
            self._metrics.output_tokens.inc(len(output.tokens))
            log.info("done", extra={"job": record.name, "tokens": len(output.tokens)})

    def _send(self, record: JobRecord) -> None:
        assert record.completion is not None
        data = self._market.escrow.data("complete", as_tuple(record.completion))
        self._outbox.put(record.name, "complete", self._market.escrow.address, data)

    def _fail(self, record: JobRecord, why: str, reason: str) -> None:
        try:
            now = self._market.clock.now()
        except ChainError:
            now = int(time.time())  # for the records alone
        if self._book.failed(record.hash, reason, now):
            self._metrics.failed.labels(why).inc()
            log.error("failed: %s", reason, extra={"job": record.name, "why": why})
