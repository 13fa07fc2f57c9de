"""The exact tier's claim on every quantization the market sells, with and without a LoRA: margins are 0.

Written in one setting (three at once, chunks of 100), read in others (1 or 2 threads, chunks of 7 to 128).
"""

import numpy as np
import pytest

from agents.engine.jobs import Writing
from agents.engine.native import Model
from agents.engine.scheduler import Scheduler
from agents.engine.tokenizer import LlamaTokenizer
from agents.protocol.sampling import Sampling
from bench.rastic.impostors import WEIGHTS, lora, quantized
from bench.rastic.machine import CANON, F16, Machine
from bench.rastic.score import Judge

QUESTIONS = ["Why is the sea salty?", "Write a line of Python that sorts a list, and explain it.", "Hi!"]
HOW = [Sampling(), Sampling(4, bytes(range(20)), 800_000, 950_000), Sampling(5, bytes(20), 1_300_000)]
SETTINGS = [Machine(batch=7), Machine(batch=64, threads=2), Machine(batch=128)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("weights")


def write(path, machine, prompts, count):
    """Answers written side by side."""
    model = Model(path)
    ends = LlamaTokenizer(model).end_tokens
    scheduler = Scheduler(
        lambda: machine.context(model, sequences=3, length=512),
        sequences=3,
        queue=9,
        batch=100,
        interleave=13,
    )
    jobs = [
        Writing(np.array(prompt, dtype=np.int32), count, how, ends)
        for prompt, how in zip(prompts, HOW, strict=True)
    ]
    for job in jobs:
        scheduler.submit(job)
    outputs = [job.handle.result(300).tokens for job in jobs]
    scheduler.close()
    return outputs


def margins(path, machine, prompt, output, how, length=512):
    judge = Judge(path, machine, 0, length)
    return judge.margins(judge.read(prompt, output), output, how, len(prompt))


def prompts_of(path):
    tokenizer = LlamaTokenizer.open(path)
    return [tokenizer.tokenize_chat([{"role": "user", "content": question}]) for question in QUESTIONS]


@pytest.mark.parametrize("name", ["q4_1", "q4_0", "q4_k_m", "q8_0", "f16"])
def test_every_quantization_is_exact(name, folder):
    path = WEIGHTS if name == "q4_1" else quantized(name, folder=folder)
    prompts = prompts_of(path)
    outputs = write(path, Machine(batch=100), prompts, 20)
    assert sum(map(len, outputs)) > 30
    for prompt, output, how, machine in zip(prompts, outputs, HOW, SETTINGS, strict=True):
        assert not margins(path, machine, prompt, output, how).any()


def test_a_lora_is_exact_and_leaving_it_out_is_seen(folder):
    adapter = lora(folder)
    prompts = prompts_of(WEIGHTS)
    outputs = write(WEIGHTS, Machine(batch=100, adapter=adapter), prompts, 20)
    seen = 0
    for prompt, output, how, machine in zip(prompts, outputs, HOW, SETTINGS, strict=True):
        with_it = Machine(batch=machine.batch, threads=machine.threads, adapter=adapter)
        assert not margins(WEIGHTS, with_it, prompt, output, how).any()
        seen += bool(margins(WEIGHTS, machine, prompt, output, how).any())
    assert seen >= 2


def test_another_machine_is_not_exact(folder):
    """What the tests above would look like if the profile were not what makes them pass."""
    prompts = prompts_of(WEIGHTS)
    outputs = write(WEIGHTS, Machine(batch=100), prompts, 80)
    other = Machine(cache=F16, flash=False)
    off = [
        (margins(WEIGHTS, other, prompt, output, how) > 0).sum()
        for prompt, output, how in zip(prompts, outputs, HOW, strict=True)
    ]
    assert 0 < sum(off) < 0.2 * sum(map(len, outputs))


def test_a_context_of_a_thousand_tokens_is_exact():
    """Longer ones: `python -m bench.rastic.contexts`."""
    tokenizer = LlamaTokenizer.open(WEIGHTS)
    text = " ".join(f"Line {i}: the lighthouse keeper wrote down the wind and the tide." for i in range(62))
    prompt = tokenizer.tokenize_chat([{"role": "user", "content": text + " Which line was the calmest?"}])
    assert 1_000 < len(prompt) < 1_100
    model = Model(WEIGHTS)
    scheduler = Scheduler(
        lambda: Machine(batch=256).context(model, sequences=1, length=1_200),
        sequences=1, queue=1, batch=256, interleave=32,
    )  # fmt: skip
    job = Writing(np.array(prompt, dtype=np.int32), 16, HOW[1], frozenset())
    scheduler.submit(job)
    output = job.handle.result(600).tokens
    scheduler.close()
    assert not margins(WEIGHTS, CANON, prompt, output, HOW[1], 1_200).any()
