"""What tuning costs: a step against plain PyTorch and PEFT, a repeated segment against the run, bytes."""

import os
import random
import struct
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["GGML_CPU_TILED_MM"] = "0"  # read when llama.cpp loads

from agents.chain.paths import cache_home
from agents.engine.native import Model
from agents.engine.tokenizer import LlamaTokenizer
from agents.storage.local import LocalStore
from agents.tuning.abi import Task
from agents.tuning.build import shipped
from agents.tuning.calls import Tokens
from agents.tuning.host import Pair
from agents.tuning.module import Module
from agents.tuning.runner import MAX_STATE, Job, read, run
from agents.tuning.sandbox import Sandbox
from agents.tuning.trace import Trace
from agents.tuning.training import TorchHost, Training
from agents.tuning.verify import repeat
from bench.results import Result

FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
PAIRS, EACH, SEGMENTS = 8, 2, 4
TEXT = (
    "the lighthouse keeper walked slowly down to the harbour where a small boat was waiting for him in the "
    "grey morning light and he thought about the long winter that had just ended while gulls cried"
)
WORDS = TEXT.split(" ")


def measure() -> list[Result]:
    """DPO on 8 pairs, 2 a step, one thread. Processor time, so that busy neighbours don't count."""
    weights = cache_home() / "models" / FILE
    pairs = _pairs(weights)
    with tempfile.TemporaryDirectory() as folder:
        store = LocalStore(Path(folder))
        sandbox = Sandbox(Module(shipped("dpo")))
        host = TorchHost(Training(weights, seed=1), pairs)
        shape = host.shape
        task = Task(0, 1, 1, PAIRS, shape.vocabulary, shape.context)
        params = struct.pack("<iff", EACH, 1e-4, 0.1)
        job = Job(task, params, "dpo", "weights", None, bytes(32), segments=SEGMENTS)
        first = host.state()
        plain = _Plain(weights, pairs)
        plain.step(pairs[:EACH])  # both have done one step before they are measured
        found: list[Trace] = []
        run(sandbox, host, job, store)
        host.restore(first)
        host._reference.clear()
        ours = _seconds(lambda: found.append(run(sandbox, host, job, store).trace))
        theirs = _seconds(lambda: [plain.step(pairs[i : i + EACH]) for i in range(0, PAIRS, EACH)])
        trace = found[0]
        adapter = host.adapter().to_bytes()
        host._reference.clear()
        segment = _seconds(lambda: repeat(sandbox, host, job, trace, 2, store))
        state = len(read(store, trace.final.state, MAX_STATE))
    steps = PAIRS // EACH
    return [
        Result(
            "tuning.step_over_peft",
            round(ours / theirs, 4),
            "ratio",
            f"a plain loop of PyTorch and PEFT, {theirs / steps:.2f} s a step; aim: 1.1",
            f"{ours / steps:.2f} s a step with sandbox, trace and checkpoints; DPO, {EACH} pairs a step, "
            "1 thread, processor time",
        ),
        Result(
            "tuning.segment_over_run",
            round(segment / ours, 4),
            "share",
            f"1 of {SEGMENTS} segments",
            f"{segment:.2f} s to repeat a segment of one step, {ours:.2f} s the run",
        ),
        Result(
            "tuning.bytes.adapter", len(adapter), "bytes", "rank 8 on all linear layers", "GGUF LoRA, float16"
        ),
        Result(
            "tuning.bytes.trace",
            len(trace.to_bytes()),
            "bytes",
            f"{steps} steps of {EACH} pairs",
            f"a checkpoint's state is {state} bytes, its linear memory {trace.records[-1].pages << 16}",
        ),
    ]


class _Plain:
    """What one writes who knows PEFT's manual: transformers' own GGUF loader, PEFT's own LoRA, AdamW."""

    def __init__(self, weights: Path, pairs: list[Pair]) -> None:
        import torch
        from peft import LoraConfig, get_peft_model
        from transformers import AutoModelForCausalLM

        self.torch = torch
        model = AutoModelForCausalLM.from_pretrained(
            weights.parent, gguf_file=weights.name, dtype=torch.float32
        )
        del model.config.quantization_config
        model.config.use_cache = False
        targets = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
        self.model: Any = get_peft_model(model, LoraConfig(r=8, lora_alpha=16, target_modules=targets))
        trainable = [p for p in self.model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(trainable, lr=1e-4, weight_decay=0.0)
        self.trainable = trainable

    def step(self, pairs: list[Pair]) -> None:
        torch = self.torch
        self.optimizer.zero_grad()
        for pair in pairs:
            with torch.no_grad(), self.model.disable_adapter():
                reference = self.score(pair.prompt, pair.better) - self.score(pair.prompt, pair.worse)
            moved = self.score(pair.prompt, pair.better) - self.score(pair.prompt, pair.worse) - reference
            (-torch.nn.functional.logsigmoid(0.1 * moved) / len(pairs)).backward()
        torch.nn.utils.clip_grad_norm_(self.trainable, 1.0)
        self.optimizer.step()

    def score(self, prompt: Tokens, answer: Tokens) -> Any:
        ids = self.torch.tensor([prompt + answer])
        logits = self.model(input_ids=ids).logits[0, len(prompt) - 1 : -1]
        return logits.log_softmax(-1).gather(1, ids[0, len(prompt) :, None]).sum()


def _pairs(weights: Path) -> list[Pair]:
    tokenizer = LlamaTokenizer(Model(weights, vocab_only=True))
    draw = random.Random(1)

    def text(words: int) -> Tokens:
        return tuple(tokenizer.tokenize(" ".join(draw.choices(WORDS, k=words))))

    def prompt() -> Tokens:
        asked = " ".join(draw.choices(WORDS, k=12))
        return tuple(tokenizer.tokenize_chat([{"role": "user", "content": asked}]))

    return [Pair(prompt(), text(40), text(56)) for _ in range(PAIRS)]


def _seconds(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began
