"""Hidden states of an answer: the same bits however they are read, and a fingerprint tells weights apart."""

import numpy as np
import pytest

from agents.engine.errors import ContextOverflow, InvalidTokens
from agents.engine.llama import EngineConfig, LlamaEngine
from agents.protocol.sampling import Sampling
from agents.rastic.fingerprint import distance, encode
from bench.rastic.impostors import quantized

SEED = bytes(range(32))


@pytest.fixture(scope="module")
def case(engine, chat):
    prompt = chat("Name three rivers, and say where they begin.")
    output = engine.generate(prompt, 40, Sampling(), [2]).result(300).tokens
    return prompt, output


def started(path, **more):
    return LlamaEngine(EngineConfig(path, context=512, sequences=1, threads=1, **more))


def test_states_do_not_depend_on_the_batch_and_tell_weights_apart(weights, engine, case, tmp_path_factory):
    prompt, output = case
    own = engine.states(prompt, output)
    assert own.shape == (len(output), 576)
    assert own.dtype == np.float32
    with started(weights, batch=7) as judge:
        assert (judge.states(prompt, output) == own).all()
        assert not judge.score(prompt, output, Sampling()).result(300).any()  # jobs go on
    fingerprint = encode(own, SEED)
    assert len(fingerprint) == 8 * len(output)
    with started(quantized("q4_0", folder=tmp_path_factory.mktemp("weights"))) as impostor:
        cheap = encode(impostor.states(prompt, output), SEED)
    assert distance(fingerprint, own, SEED) < 0.02 < 0.05 < distance(cheap, own, SEED)


def test_what_has_no_states_is_refused(engine, case):
    prompt, _ = case
    with pytest.raises(InvalidTokens):
        engine.states(prompt, [])
    with pytest.raises(InvalidTokens):
        engine.states(prompt, [engine.tokenizer.vocab_size])
    with pytest.raises(ContextOverflow):
        engine.states(prompt, [5] * 1_024)
