"""The whole measurement, one lane for each way of sampling; killed and started again, it goes on where it
was.

    python -m bench.rastic.campaign greedy [count]
    python -m bench.rastic.campaign t08 [count]

Needs some CPU hours. One thread each, so that two lanes run side by side on two cores.
"""

import multiprocessing
import signal
import sys
from collections.abc import Callable, Sequence

from agents.protocol.messages import Finish
from bench.rastic import generate, prompts, score, speculative, store
from bench.rastic.impostors import WEIGHTS, lora, quantized
from bench.rastic.machine import CANON, Machine

COUNT = 300
LONG, SHORT = 256, 64
"""Most tokens of an answer: of honest nodes and the nearest impostor's first answers, and of the others."""

NEAREST, NEAREST_LONG = "q4_0", 30

EXACT = 30
"""Answers of each impostor that are read in the exact tier. What it says of the others follows from comparing
them with the honest answers, whose margins are 0 throughout: the first token that differs has a margin."""

IMPOSTORS = ("q4_0", "q2_k", "lora", "pruned", "repetition", "q3_k_m", "speculative", "q8_0")
"""In order of interest: a part of the campaign is a result too."""


def impostor(name: str, mode: str, some: "list[prompts.Prompt]") -> None:
    """The answers of one impostor."""

    def length(job: int) -> int:
        return LONG if name == NEAREST and job < NEAREST_LONG else SHORT

    if name == "lora":
        generate.generate(WEIGHTS, Machine(adapter=lora()), name, mode, some, length)
    elif name == "repetition":
        _repeat(name, mode, some)
    elif name == "speculative":
        speculative.speculate(WEIGHTS, quantized("pruned"), name, mode, some, SHORT)
    else:
        generate.generate(quantized(name), CANON, name, mode, some, length)


def _repeat(name: str, mode: str, some: "list[prompts.Prompt]") -> None:
    """The paper's exploit (2.5.7): honest for 16 tokens, whose last 8 are then said again and again."""
    file = store.answers_file(name, mode)
    done, honest = store.load_answers(file), store.load_answers(store.answers_file("honest", mode))
    for prompt in some:
        tokens = honest[prompt.id].tokens[:16]
        if prompt.id not in done and len(tokens) == 16:
            tokens += tokens[8:] * ((SHORT - 16) // 8)
            store.save_answer(file, store.Answer(prompt.id, tokens, Finish.LENGTH))


def run(mode: str, count: int = COUNT) -> None:
    """One lane: a part of everything first."""
    some = prompts.load()[:count]
    third, sixth = some[: count // 3], some[: count // 6]
    generate.generate(WEIGHTS, CANON, "honest", mode, some, lambda _: LONG)
    for tier in score.TIERS:
        _apart(score.score_honest, WEIGHTS, tier, mode, third)
    _against(mode, third, IMPOSTORS[:1])
    _against(mode, sixth, IMPOSTORS[1:5])
    for tier in reversed(score.TIERS):
        _apart(score.score_honest, WEIGHTS, tier, mode, some)
    _against(mode, some, IMPOSTORS[:1])
    _against(mode, third, IMPOSTORS)
    _against(mode, some, IMPOSTORS)


def _against(mode: str, part: "list[prompts.Prompt]", names: Sequence[str]) -> None:
    for name in names:
        impostor(name, mode, part)
        _apart(score.score, WEIGHTS, "tolerant", name, mode, part)
        _apart(score.score, WEIGHTS, "exact", name, mode, part[:EXACT])


def _apart(function: Callable[..., None], *args: object) -> None:
    """In a process of its own, which gives its memory back."""
    process = multiprocessing.get_context("spawn").Process(target=function, args=args, daemon=True)
    process.start()
    process.join()
    if process.exitcode:
        sys.exit(process.exitcode)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the child ends with it
    run(sys.argv[1], *map(int, sys.argv[2:3]))
