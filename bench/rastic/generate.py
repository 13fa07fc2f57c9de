"""Answers of honest nodes and of impostors, by continuous batching as a node runs it."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from agents.engine.jobs import Writing
from agents.engine.native import Model
from agents.engine.scheduler import Scheduler
from agents.engine.tokenizer import LlamaTokenizer
from bench.rastic import store
from bench.rastic.machine import Machine
from bench.rastic.prompts import Prompt, sampling

CONTEXT, SEQUENCES = 1024, 8


def generate(
    path: Path,
    machine: Machine,
    name: str,
    mode: str,
    prompts: Sequence[Prompt],
    max_tokens: Callable[[int], int],
) -> None:
    """Write the answers of one node to all prompts that have none yet; `max_tokens` of a prompt's number."""
    file = store.answers_file(name, mode)
    done = store.load_answers(file)
    todo = [prompt for prompt in prompts if prompt.id not in done]
    if not todo:
        return
    model = Model(path)
    tokenizer = LlamaTokenizer(model)
    scheduler = Scheduler(
        lambda: machine.context(model, sequences=SEQUENCES, length=CONTEXT),
        sequences=SEQUENCES,
        queue=len(todo),
        batch=machine.batch,
        interleave=32,
    )
    jobs = []
    for prompt in todo:
        text = np.array(prompt.tokens(tokenizer), dtype=np.int32)
        job = Writing(text, max_tokens(prompt.id), sampling(mode, prompt.id), tokenizer.end_tokens)
        scheduler.submit(job)
        jobs.append((prompt.id, job))
    for number, (id_, job) in enumerate(jobs, 1):
        output = job.handle.result()
        store.save_answer(file, store.Answer(id_, output.tokens, output.finish))
        if number % 25 == 0 or number == len(jobs):
            print(f"{name}.{mode}: {len(done) + number} of {len(prompts)}", flush=True)
    scheduler.close()
