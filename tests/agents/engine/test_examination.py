"""One reading gives the margins of `score` and the second-best tokens, the same in every setting."""

import numpy as np
import pytest

from agents.engine.errors import ContextOverflow, InvalidTokens
from agents.engine.examination import second_best
from agents.engine.interface import NO_LOGITS
from agents.engine.llama import EngineConfig, LlamaEngine
from agents.engine.native import NATIVE, Context, Model
from agents.protocol.sampling import Sampling

HOW = Sampling(8, bytes(range(20)), 800_000, 950_000)
END = [2]


@pytest.fixture(scope="module")
def case(engine, chat):
    """A prompt, a sampled output, and positions in both, the first and the last among them."""
    prompt = chat("Name three rivers, and say where they begin.")
    output = engine.generate(prompt, 40, HOW, END).result(300).tokens
    total = len(prompt) + len(output)
    return prompt, output, [total - 1, 0, 3, len(prompt) - 1, len(prompt), total - 1, 11, total - 7]


def directly(weights, text):
    """Second-best ids after every token, by sorting all logits; one token a decode."""
    model = Model(weights)
    context = Context(
        model, sequences=1, length=512, batch=1, threads=1, profile="canonical/1", gpu=False
    )  # fmt: skip
    ranked = []
    for at, token in enumerate(text):
        logits = context.decode([token], [at], 0, True)[0]
        ranked.append(int(np.lexsort((np.arange(logits.size), -logits))[1]))
    context.close()
    return ranked


def test_second_best_is_what_sorting_gives_whatever_batch_threads_and_neighbours(weights, engine, case, chat):
    prompt, output, positions = case
    expected = tuple(directly(weights, [*prompt, *output])[position] for position in positions)
    noise = [engine.generate(chat("Tell me a story."), 60, HOW, END) for _ in range(2)]
    beside = engine.examine(prompt, output, HOW, positions).result(300)
    assert beside.second_best == expected
    assert not beside.margins.any()
    for job in noise:
        job.result(300)
    for batch, threads in [(7, 1), (64, 2)]:
        config = EngineConfig(weights, context=512, sequences=1, threads=threads, batch=batch)
        with LlamaEngine(config) as judge:
            found = judge.examine(prompt, output, HOW, positions).result(300)
        assert found.second_best == expected
        assert not found.margins.any()


@pytest.mark.parametrize("profile", ["canonical/1", NATIVE])
def test_margins_are_those_of_score(weights, case, profile):
    prompt, output, positions = case
    wrong = [*output[:5], (output[5] + 1) % 1_000, *output[6:]]
    config = EngineConfig(weights, context=512, sequences=2, threads=1, profile=profile)
    with LlamaEngine(config) as judge:
        scored = judge.score(prompt, wrong, HOW, 20_000).result(300)
        found = judge.examine(prompt, wrong, HOW, positions, 20_000).result(300)
        assert (scored == found.margins).all()
        assert (scored > 0).any()
        assert len(found.second_best) == len(positions)
        assert judge.examine(prompt, wrong, HOW, (), 20_000).result(300).second_best == ()


def test_from_an_unknown_id_on_there_are_no_logits(engine, case):
    prompt, output, _ = case
    size = engine.tokenizer.vocab_size
    at = len(prompt) + 3  # the unknown id's place
    good = engine.examine(prompt, output[:3], HOW, [2, at - 1]).result(300)
    for text in ([*output[:3], size, *output[4:]], [*output[:3], -1, 5]):
        found = engine.examine(prompt, text, HOW, [2, at - 1, at, at + 1]).result(300)
        assert found.second_best == (*good.second_best, NO_LOGITS, NO_LOGITS)
        assert (found.margins[:3] == good.margins).all()
        assert np.isinf(found.margins[3:]).all()
    nothing = engine.examine(prompt, [size], HOW, [len(prompt)]).result(300)
    assert nothing.second_best == (NO_LOGITS,)
    early = engine.examine(prompt, [size], HOW, [2, len(prompt) - 1]).result(300)
    assert early.second_best[0] == good.second_best[0]
    assert early.second_best[1] < size


def test_what_cannot_be_examined_says_so(engine, case):
    prompt, output, _ = case
    total = len(prompt) + len(output)
    for position in (-1, total):
        with pytest.raises(ValueError, match="position"):
            engine.examine(prompt, output, HOW, [position])
    with pytest.raises(InvalidTokens):
        engine.examine([*prompt, 10**6], output, HOW, [0])
    with pytest.raises(ContextOverflow):
        engine.examine(prompt, [5] * 1_024, HOW, [0])


def test_ties_go_to_the_lower_id_and_damage_is_told():
    assert second_best(np.array([1, 5, 5, 2], dtype=np.float32)) == 2
    assert second_best(np.array([5, 1, 4, 4], dtype=np.float32)) == 2
    assert second_best(np.array([3, 3, 3], dtype=np.float32)) == 1
    with pytest.raises(ValueError, match="damaged"):
        second_best(np.array([1, np.nan, 2], dtype=np.float32))
