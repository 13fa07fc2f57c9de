"""Cheats on real weights, and what RASTiC says of them."""

import ctypes

import pytest

from agents.engine.llama import EngineConfig, LlamaEngine
from agents.engine.native import NATIVE, lib
from agents.protocol.manifest import Verification
from agents.protocol.messages import Finish
from agents.protocol.sampling import TOLERANCE, Sampling
from agents.rastic import Action, Claim, Condition, Mode, judge

END = 2
Q4_0 = 2  # llama_ftype
GREEDY = Sampling()
SAMPLED = Sampling(3, bytes(range(20)), 800_000, 950_000)
QUESTIONS = ["Why is the sky blue?", "Write three sentences about bread.", "What does a volcano do?"]
VERIFICATION = Verification.model_validate_json("""
{"exact":{"slash_max":20000},
 "tolerant":{"greedy":{"refuse_max":600000,"refuse_mean":50000,"slash_max":1500000,"slash_mean":250000},
             "sampled":{"refuse_max":1200000,"refuse_mean":50000,"slash_max":2600000,"slash_mean":250000}}}
""")


def check(engine, prompt, tokens, finish, how, mode=Mode.EXACT, max_tokens=40):
    claim = Claim(tuple(tokens), finish, max_tokens, frozenset({END}), how.greedy)
    margins = engine.score(prompt, tokens, how, TOLERANCE if mode is Mode.TOLERANT else 0).result(300)
    return judge(claim, margins, VERIFICATION, mode)


@pytest.fixture(scope="module", params=[GREEDY, SAMPLED], ids=["greedy", "sampled"])
def honest(request, engine, chat):
    """(prompt, output, sampling) of an honest node; the output is longer than 30 tokens."""
    prompt = chat(QUESTIONS[0])
    output = engine.generate(prompt, 40, request.param, [END]).result(300)
    assert len(output.tokens) > 30
    return prompt, output, request.param


@pytest.fixture(scope="module")
def cheaper(weights, tmp_path_factory):
    """An engine on the same model in a cheaper quantization."""
    path = tmp_path_factory.mktemp("cheaper") / "q4_0.gguf"
    params = lib.llama_model_quantize_default_params()
    params.nthread, params.ftype, params.allow_requantize = 1, Q4_0, True
    assert lib.llama_model_quantize(bytes(weights), bytes(path), ctypes.byref(params)) == 0
    with LlamaEngine(EngineConfig(path, context=512, sequences=3, threads=1)) as engine:
        yield engine


def test_the_honest_answer_is_accepted(engine, honest):
    prompt, output, how = honest
    for mode in Mode:
        verdict = check(engine, prompt, output.tokens, output.finish, how, mode)
        assert verdict.accepted, verdict.explain()
        assert verdict.max_margin == verdict.mean_margin == 0


@pytest.mark.parametrize("position", [0, 1, 17, -1])
def test_one_changed_token_is_found_where_it_is(engine, honest, position):
    prompt, output, how = honest
    tokens = list(output.tokens)
    tokens[position] = 5371 if tokens[position] != 5371 else 5372
    verdict = check(engine, prompt, tokens, Finish.CUT, how)
    at = position % len(tokens)
    assert verdict.action is Action.SLASH
    assert verdict.failure.position == at
    assert verdict.failure.condition is (Condition.INTEGRITY if at else Condition.CONTINUITY)


def test_a_forged_end_is_found(engine, honest):
    prompt, output, how = honest
    verdict = check(engine, prompt, [*output.tokens[:12], END], Finish.END, how)
    assert (verdict.action, verdict.failure.condition, verdict.failure.position) == (
        Action.SLASH,
        Condition.TRUNCATION,
        12,
    )


def test_a_cut_tail_is_found(engine, honest):
    prompt, output, how = honest
    for finish in (Finish.END, Finish.LENGTH):
        verdict = check(engine, prompt, output.tokens[:20], finish, how)
        assert (verdict.action, verdict.failure.condition) == (Action.SLASH, Condition.TRUNCATION)
    # a client may stop an answer, and what there is then is right
    assert check(engine, prompt, output.tokens[:20], Finish.CUT, how).accepted


def test_another_prompt_seed_or_node_is_found(engine, honest, chat):
    prompt, output, how = honest
    assert check(engine, chat(QUESTIONS[1]), output.tokens, Finish.CUT, how).action is Action.SLASH
    if not how.greedy:
        for other in (
            Sampling(4, how.node, how.temperature, how.top_p),
            Sampling(3, bytes(20), how.temperature, how.top_p),
        ):
            assert check(engine, prompt, output.tokens, Finish.CUT, other).action is Action.SLASH


@pytest.mark.parametrize("how", [GREEDY, SAMPLED], ids=["greedy", "sampled"])
def test_a_cheaper_quantization_is_found(engine, cheaper, chat, how):
    for question in QUESTIONS:
        prompt = chat(question)
        fake = cheaper.generate(prompt, 40, how, [END]).result(300)
        verdict = check(engine, prompt, fake.tokens, fake.finish, how)
        assert verdict.action is Action.SLASH, verdict.explain()
        loose = check(engine, prompt, fake.tokens, fake.finish, how, Mode.TOLERANT)
        assert not loose.accepted, loose.explain()


def test_an_honest_node_of_another_class_passes_the_tolerant_rule_alone(weights, engine, chat):
    refused = 0
    with LlamaEngine(EngineConfig(weights, context=512, sequences=3, threads=1, profile=NATIVE)) as other:
        for how in (GREEDY, SAMPLED):
            for question in QUESTIONS:
                prompt = chat(question)
                output = other.generate(prompt, 40, how, [END]).result(300)
                loose = check(engine, prompt, output.tokens, output.finish, how, Mode.TOLERANT)
                assert loose.accepted, loose.explain()
                refused += not check(engine, prompt, output.tokens, output.finish, how).accepted
    assert refused > 0
