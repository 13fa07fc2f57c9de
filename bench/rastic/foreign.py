"""Is the canonical profile exact for any weights file? Minutes.

python -m bench.rastic.foreign NAME FILE

Answers are written three at once in chunks of 100 and read alone in chunks of 7, 64 and 128 with one and two
threads, greedy and at three temperatures; the count of positions with a margin goes to bench/results.json as
rastic.exact.differing.NAME.
"""

import sys
from pathlib import Path

import numpy as np

from agents.engine.jobs import Writing
from agents.engine.native import Model
from agents.engine.scheduler import Scheduler
from agents.engine.tokenizer import LlamaTokenizer
from agents.protocol.sampling import Sampling
from bench.rastic import prompts
from bench.rastic.machine import Machine
from bench.rastic.score import Judge
from bench.results import Result, record

HOW = (
    Sampling(),
    Sampling(4, bytes(range(20)), 800_000, 950_000),
    Sampling(5, bytes(20), 1_300_000),
    Sampling(6, bytes(20), 300_000, 500_000),
)
JUDGES = (Machine(batch=7), Machine(batch=64, threads=2), Machine(batch=128))
_PROMPTS, _ANSWER, _LENGTH = 12, 48, 1_536
_LONG = 1_100
"""One prompt goes beyond the sliding window of such models as have one."""


def differing(path: Path) -> tuple[int, int]:
    """How many of how many positions have a margin."""
    model = Model(path)
    tokenizer = LlamaTokenizer(model)
    texts = [tokenizer.tokenize(prompt.messages[-1]["content"]) for prompt in prompts.load()]
    short = [text for text in texts if 8 <= len(text) < 300][:_PROMPTS]
    texts = [*short, [token for text in texts for token in text][:_LONG]]
    scheduler = Scheduler(
        lambda: Machine(batch=100).context(model, sequences=3, length=_LENGTH),
        sequences=3,
        queue=len(texts),
        batch=100,
        interleave=13,
    )
    jobs = [
        Writing(np.array(text, dtype=np.int32), _ANSWER, HOW[i % len(HOW)], tokenizer.end_tokens)
        for i, text in enumerate(texts)
    ]
    for job in jobs:
        scheduler.submit(job)
    outputs = [job.handle.result().tokens for job in jobs]
    scheduler.close()
    judges = [Judge(path, machine, 0, _LENGTH) for machine in JUDGES]
    found = positions = 0
    for i, (text, output, job) in enumerate(zip(texts, outputs, jobs, strict=True)):
        judge = judges[i % len(judges)]
        margins = judge.margins(judge.read(text, output), output, job.sampling, len(text))
        found += int((margins > 0).sum())
        positions += len(output)
    return found, positions


def main() -> None:
    """Record the figure; the exit code is 1 when any position differs."""
    name, path = sys.argv[1], Path(sys.argv[2])
    found, positions = differing(path)
    note = f"{found} of {positions} positions, written and read in other batches and thread counts"
    record([Result(f"rastic.exact.differing.{name}", found / positions, "share", "0", note)])
    sys.exit(found > 0)


if __name__ == "__main__":
    main()
