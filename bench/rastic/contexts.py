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

LENGTHS = (512, 1_024, 2_048, 4_096, 8_100)
_ANSWER = 24


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


def main() -> None:
    """Print one line a length; the exit code is 1 when any position differs."""
    worst = 0
    for tokens in [int(word) for word in sys.argv[1:]] or LENGTHS:
        for mode in prompts.MODES:
            found = differing(tokens, mode)
            print(f"{tokens} prompt tokens, {mode}: {found} of {_ANSWER} positions differ", flush=True)
            worst = max(worst, found)
    sys.exit(worst > 0)


if __name__ == "__main__":
    main()
