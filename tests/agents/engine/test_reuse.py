"""Texts that begin alike are read once, and stay exact."""

import pytest

from agents.engine.llama import EngineConfig, LlamaEngine
from agents.engine.native import Context
from agents.protocol.sampling import Sampling

GREEDY, SAMPLED = Sampling(), Sampling(4, bytes(range(20)), 800_000, 950_000)
OTHER = Sampling(5, bytes(range(20)), 800_000, 950_000)
END = [2]


def started(weights, sequences=2, **more):
    return LlamaEngine(EngineConfig(weights, context=512, sequences=sequences, threads=1, reuse=True, **more))


@pytest.fixture(scope="module")
def siblings(engine, chat):
    """Answers to one prompt, written by an engine that keeps nothing."""
    prompt = chat("Name three rivers, and say where they begin.")
    jobs = [engine.generate(prompt, 30, how, END) for how in (GREEDY, SAMPLED, OTHER)]
    return prompt, [
        (job.result(300).tokens, how) for job, how in zip(jobs, (GREEDY, SAMPLED, OTHER), strict=True)
    ]


def test_a_siblings_prompt_is_not_read_again(weights, siblings):
    prompt, answers = siblings
    with started(weights, sequences=1) as judge:
        for number, (output, how) in enumerate(answers):
            before = judge.stats().read_tokens
            assert not judge.score(prompt, output, how).result(300).any()
            read = judge.stats().read_tokens - before
            again = 1 if number else len(prompt)  # its last token's logits are wanted
            assert read == again + len(output) - 1


def test_what_was_generated_is_checked_without_its_prompt(weights, siblings):
    prompt, answers = siblings
    with started(weights, sequences=1) as node:
        for output, how in answers:
            assert node.generate(prompt, 30, how, END).result(300).tokens == output
            before = node.stats().read_tokens
            assert not node.score(prompt, output, how).result(300).any()
            assert node.stats().read_tokens - before == len(output)


def test_an_examination_reads_from_its_first_position(weights, engine, siblings):
    prompt, answers = siblings
    output, how = answers[1]
    positions = [len(prompt) + len(output) - 1, 5, len(prompt)]
    expected = engine.examine(prompt, output, how, positions).result(300)
    with started(weights, sequences=1) as judge:
        judge.score(prompt, output, how).result(300)
        before = judge.stats().read_tokens
        found = judge.examine(prompt, output, how, positions).result(300)
        assert found.second_best == expected.second_best
        assert not found.margins.any()
        assert judge.stats().read_tokens - before == len(prompt) + len(output)  # 5 are too few to keep


def test_a_changed_answer_is_seen_as_without_reuse(weights, engine, siblings):
    prompt, answers = siblings
    output, how = answers[0]
    wrong = (*output[:9], output[9] ^ 1, *output[10:])
    expected = engine.score(prompt, wrong, how).result(300)
    with started(weights, sequences=1) as judge:
        judge.score(prompt, output, how).result(300)
        found = judge.score(prompt, wrong, how).result(300)
    assert (found == expected).all()
    assert found[9] > 0


def test_exact_among_neighbours_that_come_go_and_are_moved(weights, chat, siblings):
    """Conversations that go on, answers that are cancelled, gaps that are closed over kept texts."""
    prompt, answers = siblings
    moves = []
    move = Context.move
    with (
        pytest.MonkeyPatch.context() as patch,
        started(weights, sequences=4, batch=50, interleave=13) as node,
    ):
        patch.setattr(Context, "move", lambda self, s, t: (moves.append((s, t)), move(self, s, t)))
        talk = chat("Tell me a story.")
        written = []
        for turn in range(5):
            doomed = node.generate(talk, 200, OTHER, END)
            short = node.generate(chat("Hi!"), 4 + turn, SAMPLED, END)
            long = node.generate(talk, 20, SAMPLED, END)
            next(iter(doomed))
            doomed.cancel()
            for output, how in answers:
                assert not node.score(prompt, output, how).result(300).any()
            said = long.result(300).tokens
            written.append((talk, said))
            short.result(300)
            talk = [*talk, *said, *chat("Go on.")[-9:]]
        for text, said in written:
            assert not node.score(text, said, SAMPLED).result(300).any()
        total = sum(len(text) + len(said) for text, said in written)
        assert node.stats().read_tokens < 3 * total
    assert moves, "no gap was closed"
    with LlamaEngine(EngineConfig(weights, context=512, sequences=1, threads=1)) as judge:
        for text, said in written:
            assert not judge.score(text, said, SAMPLED).result(300).any()
