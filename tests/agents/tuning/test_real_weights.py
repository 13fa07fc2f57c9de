"""On SmolLM2-135M: a shipped function trains an adapter, and llama.cpp serves what was trained.

The one test of this folder that takes a while (about half a minute of one core).
"""

import os
import struct
from pathlib import Path

import numpy as np
import pytest

from agents.engine.native import Model
from agents.engine.tokenizer import LlamaTokenizer
from agents.storage.local import LocalStore
from agents.tuning.abi import Op, Task
from agents.tuning.build import shipped
from agents.tuning.calls import Call
from agents.tuning.host import Pair
from agents.tuning.module import Module
from agents.tuning.runner import Job, run
from agents.tuning.sandbox import Sandbox

pytest.importorskip("torch", reason="torch is not installed: `make test` brings it")

from agents.tuning.evaluate import evaluate
from agents.tuning.policy import LlamaPolicy
from agents.tuning.training import TorchHost, Training

# Consumers who want short answers.
QUESTIONS = (
    (
        "Name a primary colour.",
        "Red.",
        "There are many colours one could name here, for example the colour red.",
    ),
    ("What is two plus two?", "Four.", "To find this out we take two and then add two, which gives four."),
    (
        "Which animal barks?",
        "A dog.",
        "Among the animals that are known to bark, one would first name the dog.",
    ),
    (
        "Where do fish live?",
        "In water.",
        "Fish are animals that are usually found to live in water of many kinds.",
    ),
)
HELD_OUT = (
    (
        "What do cows drink?",
        "Water.",
        "A cow is an animal that, like many other animals, mostly drinks water.",
    ),
    (
        "Which season is cold?",
        "Winter.",
        "Of the four seasons of the year, the one that is cold would be winter.",
    ),
)


@pytest.fixture(scope="module")
def weights():
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    path = cache / "capek" / "models" / "SmolLM2-135M-Instruct.Q4_1.gguf"
    if not path.exists():
        pytest.fail(f"{path} is missing: `make test` fetches it")
    return path


@pytest.fixture(scope="module")
def pairs(weights):
    tokenizer = LlamaTokenizer(Model(weights, vocab_only=True))

    def pair(question, better, worse):
        prompt = tokenizer.tokenize_chat([{"role": "user", "content": question}])
        end = min(tokenizer.end_tokens)
        answers = ((*tokenizer.tokenize(answer), end) for answer in (better, worse))
        return Pair(tuple(prompt), *answers)

    return [pair(*q) for q in QUESTIONS], [pair(*q) for q in HELD_OUT]


def test_what_llama_cpp_serves_moves_as_it_did_in_training(weights, pairs, tmp_path):
    seen, held_out = pairs
    host = TorchHost(Training(weights, seed=1), seen)
    shape = host.shape
    task = Task(0, 1, 1, len(seen), shape.vocabulary, shape.context)
    params = struct.pack("<iffi", 2, 5e-4, 0.1, 3)
    job = Job(task, params, "dpo", "weights", None, bytes(32), segments=1)
    done = run(Sandbox(Module(shipped("dpo"))), host, job, LocalStore(tmp_path / "store"))
    assert done.stopped is None
    losses = [c.value for r in done.trace.records for c in r.calls if isinstance(c.value, float)]
    assert losses[0] == pytest.approx(0.6931, abs=1e-3)
    assert losses[-1] < 0.6

    adapter = host.adapter()
    plain, tuned = LlamaPolicy(weights, context=256), LlamaPolicy(weights, context=256)
    tuned.use(adapter)
    moved = []
    for pair in (*seen, *held_out):
        for answer in (pair.better, pair.worse):
            here = host.log_probability(pair.prompt, answer) - host.log_probability(
                pair.prompt, answer, parent=True
            )
            now, then = (policy.log_probabilities(pair.prompt, answer) for policy in (tuned, plain))
            moved.append((here, float((now - then).sum())))
    here, there = np.array(moved).T
    # llama.cpp multiplies with activations of 8 bits, so single answers differ by some tenths of a nat.
    assert np.corrcoef(here, there)[0, 1] > 0.98
    assert np.abs(here - there).max() < 0.1 * np.abs(here).max() + 0.5
    assert np.ptp(here) > 4
    before, after = evaluate(plain, held_out), evaluate(tuned, held_out)
    assert after.margin > before.margin
    call = Call(Op.SAMPLE, b"", prompt=held_out[0].prompt, max_tokens=8)
    said = tuned.sample(call)
    assert tuned.margin(call, said) == 0.0
    assert plain.margin(call, said) > 0.0
    plain.close()
    tuned.close()
