"""What everything rests on: reading an answer gives the bits that writing it gave, margin 0 everywhere."""

import pytest

from agents.engine.llama import EngineConfig, LlamaEngine
from agents.engine.native import Context
from agents.protocol.sampling import Sampling

QUESTIONS = [
    "What is the capital of France?",
    "Write a poem about the sea.",
    "Explain gravity to a child.",
    "Count from 1 to 30.",
    "Why is the sky blue? " * 12,
    "List ten animals.",
]
END = [2]


def sampling(i):
    if i % 2 == 0:
        return Sampling()
    return Sampling(i, bytes([i] * 20), 800_000, 950_000 if i % 4 == 1 else 1_000_000)


def misses(engine, prompt, output, how):
    return int((engine.score(prompt, output.tokens, how).result(300) != 0).sum())


@pytest.fixture(scope="module")
def answers(weights, chat):
    """Answers written side by side, in odd chunks, with neighbours that come, end, and are cancelled."""
    moves = []
    move = Context.move
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Context, "move", lambda self, s, t: (moves.append((s, t)), move(self, s, t)))
        config = EngineConfig(weights, context=512, sequences=4, threads=1, batch=100, interleave=13)
        with LlamaEngine(config) as engine:
            prompts = [chat(question) for question in QUESTIONS * 2]
            jobs = []
            for i, prompt in enumerate(prompts):
                jobs.append(engine.generate(prompt, 6 + 37 * i % 50, sampling(i), END))
                if i % 3 == 0:
                    doomed = engine.generate(prompt, 300, sampling(i), END)
                    first = iter(doomed)
                    next(first)
                    doomed.cancel()
            outputs = [job.result(300) for job in jobs]
    assert moves, "the gaps that cancelled neighbours leave were never closed"
    return list(zip(prompts, outputs, map(sampling, range(len(prompts))), strict=True))


@pytest.mark.parametrize(
    ("sequences", "batch", "threads", "some"),
    [
        (3, 128, 1, slice(None)),
        (1, 128, 2, slice(1, None, 4)),
        (2, 7, 1, slice(2, None, 4)),
        (1, 33, 1, slice(3, None, 4)),
    ],
)
def test_margins_are_exactly_zero_whatever_the_batch_and_threads(
    weights, answers, sequences, batch, threads, some
):
    config = EngineConfig(weights, context=512, sequences=sequences, threads=threads, batch=batch)
    with LlamaEngine(config) as judge:
        assert [misses(judge, *answer) for answer in answers[some]] == [0] * len(answers[some])


def test_margins_are_exactly_zero_while_others_write(engine, answers, chat):
    noise = [engine.generate(chat("Tell me a story."), 60, sampling(5), END) for _ in range(4)]
    assert [misses(engine, *answer) for answer in answers[:3]] == [0, 0, 0]
    assert all(job.result(300).tokens == noise[0].result().tokens for job in noise)


def test_a_long_context_is_exact(engine, chat):
    """Beyond 512 positions, where llama.cpp's other kernels change how they split the work."""
    prompt = chat("The quick brown fox jumps over the lazy dog. " * 56)
    assert 520 < len(prompt) < 700
    neighbours = [engine.generate(chat(q), 40, Sampling(), END) for q in QUESTIONS[:2]]
    how = Sampling(8, bytes(20), 800_000, 950_000)
    output = engine.generate(prompt, 24, how, END).result(300)
    assert misses(engine, prompt, output, how) == 0
    assert all(job.result(300).tokens for job in neighbours)


def test_an_answer_does_not_depend_on_how_it_was_written(weights, answers):
    with LlamaEngine(EngineConfig(weights, context=512, sequences=1, threads=1, batch=31)) as alone:
        for prompt, output, how in answers[2:5]:
            again = alone.generate(prompt, len(output.tokens), how, END).result(300)
            assert again.tokens == output.tokens
