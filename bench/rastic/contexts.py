"""Exactness far into the context, beyond what the tests have time for; minutes.

python -m bench.rastic.contexts [tokens …]
"""

import sys

import numpy as np

from agents.engine.jobs import Writing
from agents.engine.native import Model
from agents.engine.scheduler import Scheduler
from agents.engine.tokenizer import LlamaTokenizer
from bench.rastic import prompts
from bench.rastic.impostors import WEIGHTS
from bench.rastic.machine import CANON, Machine
from bench.rastic.score import Judge
from bench.results import Result, record

LENGTHS = (512, 1_024, 2_048, 4_096, 8_168)
_ANSWER = 24  # 8,168 + 24 is the limit of the model


def differing(tokens: int, mode: str) -> int:
    """Positions with a margin, of an answer after a prompt of `tokens`."""
    tokenizer = LlamaTokenizer.open(WEIGHTS)
    text: list[int] = []
    for prompt in prompts.load() * 20:
        text += prompt.tokens(tokenizer)
    text = text[:tokens]
    model, length = Model(WEIGHTS), tokens + _ANSWER
    scheduler = Scheduler(
        lambda: Machine(batch=256).context(model, sequences=1, length=length),
        sequences=1,
        queue=1,
        batch=256,
        interleave=32,
    )
    how = prompts.sampling(mode, tokens)
    job = Writing(np.array(text, dtype=np.int32), _ANSWER, how, frozenset())
    scheduler.submit(job)
    output = job.handle.result().tokens
    scheduler.close()
    judge = Judge(WEIGHTS, CANON, 0, length)
    return int((judge.margins(judge.read(text, output), output, how, len(text)) > 0).sum())


def result(tokens: int, found: int, positions: int, modes: str) -> Result:
    """For bench/results.json."""
    note = f"{found} of {positions} positions after {tokens} prompt tokens ({modes})"
    return Result(f"rastic.exact.differing.context.{tokens}", found / positions, "share", "0", note)


def main() -> None:
    """Record and print one line a length; the exit code is 1 when any position differs."""
    worst = 0
    for tokens in [int(word) for word in sys.argv[1:]] or LENGTHS:
        found = sum(differing(tokens, mode) for mode in prompts.MODES)
        record([result(tokens, found, len(prompts.MODES) * _ANSWER, " and ".join(prompts.MODES))])
        worst = max(worst, found)
    sys.exit(worst > 0)


if __name__ == "__main__":
    main()
