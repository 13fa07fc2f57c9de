"""Streaming, cancelling, limits, fairness, and what happens when the engine dies."""

import asyncio

import numpy as np
import pytest

from agents.engine import Busy, ContextOverflow, EngineClosed, EngineError, InvalidTokens
from agents.engine import jobs as engine_jobs
from agents.engine.llama import EngineConfig, LlamaEngine
from agents.engine.native import Context
from agents.protocol.messages import Finish
from agents.protocol.sampling import Sampling

END = [2]
GREEDY = Sampling()
PROMPT = [1, 4093, 198, 1780, 314, 260, 2, 198, 1, 520, 9531, 198]


@pytest.fixture
def small(weights):
    with LlamaEngine(EngineConfig(weights, context=256, sequences=1, queue=1, threads=1)) as engine:
        yield engine


def test_tokens_stream_to_many_readers_and_add_up(engine):
    job = engine.generate(PROMPT, 12, GREEDY, END)

    async def read() -> tuple[list[int], list[int]]:
        async def one() -> list[int]:
            return [token async for token in job]

        return tuple(await asyncio.gather(one(), one()))

    first, second = asyncio.run(read())
    assert first == second == list(job) == list(job.result().tokens)
    assert asyncio.run(job.wait()) == job.result()


def test_a_coroutine_that_gives_up_waiting_leaves_the_answer_alone(engine):
    job = engine.generate(PROMPT, 20, GREEDY, END)

    async def impatient() -> None:
        await asyncio.wait_for(job.wait(), 1e-4)

    with pytest.raises(TimeoutError):
        asyncio.run(impatient())
    assert job.result(300).tokens


def test_it_stops_at_the_limit_and_at_an_end_token(engine):
    full = engine.generate(PROMPT, 10, GREEDY, []).result(300)
    assert (len(full.tokens), full.finish) == (10, Finish.LENGTH)
    end = full.tokens[4]
    stopped = engine.generate(PROMPT, 10, GREEDY, [end]).result(300)
    assert stopped.finish == Finish.END
    assert stopped.tokens == full.tokens[: full.tokens.index(end) + 1]


def test_cancel_keeps_what_was_said(engine):
    whole = engine.generate(PROMPT, 8, GREEDY, []).result(300)
    job = engine.generate(PROMPT, 900, GREEDY, [])
    for count, _ in enumerate(job, 1):
        if count == 3:
            job.cancel()
    output = job.result()
    assert output.finish == Finish.CUT
    assert 3 <= len(output.tokens) < 900
    assert output.tokens[:3] == whole.tokens[:3]
    job.cancel()


def test_cancel_in_the_queue_does_not_wait_for_a_sequence(small):
    running = small.generate(PROMPT, 200, GREEDY, [])
    waiting = small.generate(PROMPT, 200, GREEDY, [])
    waiting.cancel()
    assert (waiting.result(300).tokens, waiting.result().finish) == ((), Finish.CUT)
    running.cancel()
    assert running.result(300).finish == Finish.CUT


def test_sequences_are_free_again_after_use(small):
    # together these would not fit the one sequence of 256
    for _ in range(3):
        assert len(small.generate(PROMPT, 90, GREEDY, []).result(300).tokens) == 90
        assert small.score(PROMPT, [5] * 100, GREEDY).result(300).shape == (100,)
        assert (small.stats().waiting, small.stats().running) == (0, 0)


def test_what_does_not_fit_is_refused_before_it_starts(small):
    assert small.context == 256
    for call in (
        lambda: small.generate(PROMPT, 257 - len(PROMPT), GREEDY, END),
        lambda: small.score(PROMPT, [5] * (257 - len(PROMPT)), GREEDY),
        lambda: small.logits_digest([5] * 257),
    ):
        with pytest.raises(ContextOverflow, match="exceed the context of 256"):
            call()
    full = small.generate([5] * 255, 1, GREEDY, []).result(300)
    assert len(full.tokens) == 1


def test_bad_tokens_are_refused(engine):
    for prompt in ([], [-1], [engine.tokenizer.vocab_size]):
        with pytest.raises(InvalidTokens):
            engine.generate(prompt, 5, GREEDY, END)
        with pytest.raises(InvalidTokens):
            engine.score(prompt, [5], GREEDY)
    with pytest.raises(InvalidTokens):
        engine.generate(PROMPT, 0, GREEDY, END)


def test_a_claimed_token_outside_the_vocabulary_is_infinitely_wrong(engine):
    output = engine.generate(PROMPT, 4, GREEDY, []).result(300).tokens
    for bad in (engine.tokenizer.vocab_size, 2**32 - 1):
        assert engine.score(PROMPT, [*output[:2], bad, 5], GREEDY).result(300).tolist() == [
            0,
            0,
            np.inf,
            np.inf,
        ]
        assert engine.score(PROMPT, [bad], GREEDY).result(300).tolist() == [np.inf]
    assert engine.score(PROMPT, [], GREEDY).result(300).shape == (0,)


def test_a_full_queue_says_busy(small):
    held = [small.generate(PROMPT, 200, GREEDY, []) for _ in range(2)]
    with pytest.raises(Busy, match="try again later"):
        small.generate(PROMPT, 1, GREEDY, [])
    score = small.score(PROMPT, [5], GREEDY)  # reading has a queue of its own
    for job in held:
        job.cancel()
    assert score.result(300).shape == (1,)
    assert small.generate(PROMPT, 1, GREEDY, []).result(300).tokens


def test_reading_is_not_starved_by_writing(weights):
    with LlamaEngine(EngineConfig(weights, context=256, sequences=1, threads=1)) as engine:
        jobs = [engine.generate(PROMPT, 4, GREEDY, []) for _ in range(12)]
        score = engine.score(PROMPT, [5] * 10, GREEDY)
        jobs[8].result(300)
        assert score.done()


def test_many_jobs_finish_in_few_sequences(engine):
    jobs = [engine.generate(PROMPT, n % 7 + 1, GREEDY, []) for n in range(20)]
    assert [len(job.result(300).tokens) for job in jobs] == [n % 7 + 1 for n in range(20)]


def test_closing_tells_who_waits(weights):
    engine = LlamaEngine(EngineConfig(weights, context=256, sequences=1, threads=1))
    running, waiting = (engine.generate(PROMPT, 200, GREEDY, []) for _ in range(2))
    score = engine.score(PROMPT, [5] * 3, GREEDY)
    next(iter(running))
    engine.close()
    engine.close()
    for wait in (running.result, waiting.result, score.result, lambda: list(running)):
        with pytest.raises(EngineClosed, match="start a new one"):
            wait()
    with pytest.raises(EngineClosed):
        engine.generate(PROMPT, 1, GREEDY, [])
    assert engine.tokenizer.detokenize([520]) == engine.tokenizer.detokenize([520])


def test_a_failure_in_the_thread_reaches_every_handle(weights, monkeypatch):
    decode = Context.decode
    calls = []

    def failing(self, *args):
        calls.append(1)
        if len(calls) > 4:
            raise EngineError("the machine is on fire")
        return decode(self, *args)

    monkeypatch.setattr(Context, "decode", failing)
    with LlamaEngine(EngineConfig(weights, context=256, sequences=2, threads=1)) as engine:
        jobs = [engine.generate(PROMPT, 50, GREEDY, []) for _ in range(3)]

        async def read() -> None:
            async for _ in jobs[1]:
                pass

        for wait in (jobs[0].result, jobs[2].result, lambda: asyncio.run(read())):
            with pytest.raises(EngineClosed, match="on fire") as caught:
                wait()
            assert isinstance(caught.value.__cause__, EngineError)
        with pytest.raises(EngineClosed, match="died"):
            engine.score(PROMPT, [5], GREEDY)


def test_a_failure_in_one_job_leaves_the_others_alone(engine, monkeypatch):
    choose = engine_jobs.choose

    def failing(logits, sampling, position):
        if sampling.seed == 13 and position > len(PROMPT) + 2:
            raise ValueError("not finite")
        return choose(logits, sampling, position)

    monkeypatch.setattr(engine_jobs, "choose", failing)
    good, bad, later = (engine.generate(PROMPT, 8, Sampling(seed=s), []) for s in (1, 13, 2))
    with pytest.raises(EngineError, match="not finite"):
        bad.result(300)
    assert good.result(300) == later.result(300)
    assert len(good.result().tokens) == 8


@pytest.mark.parametrize(
    "settings",
    [{"context": 9000}, {"context": -1}, {"sequences": 0}, {"sequences": 200}, {"interleave": 0}],
    ids=str,
)
def test_settings_out_of_range_are_refused(weights, settings):
    with pytest.raises(ValueError, match=r"at least 1|the model has 8192"):
        LlamaEngine(EngineConfig(weights, threads=1, **settings))


def test_memory_that_can_not_be_had_is_an_error(weights):
    with pytest.raises(EngineError, match="ask for fewer"):
        LlamaEngine(EngineConfig(weights, context=8192, sequences=4096, batch=4096, threads=1))
