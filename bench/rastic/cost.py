"""What a check costs beside generating, beside the floor, and beside the paper's way of checking.

Everything runs with one thread in the canonical profile, measured in CPU time of this process, in turns,
so that neighbours on the machine cost little; the figure is the median of the ratios of rounds.
"""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np

from agents.engine.native import Model
from agents.engine.tokenizer import LlamaTokenizer
from agents.protocol.sampling import Sampling, choose, margins
from agents.rastic.sampled import indices
from bench.rastic.impostors import WEIGHTS
from bench.rastic.machine import CANON, Machine
from bench.rastic.prompts import MODES, load, sampling
from bench.rastic.table import write
from bench.results import Result, record

LENGTHS = (5, 10, 16, 64, 256, 512)
SAMPLED = (16, 64, 256)
"""Fewer where sampled: noise and nucleus add little."""

SIBLINGS = (5, 16, 64, 256)
TOGETHER = ((4, 10), (4, 32), (4, 64))
"""How many texts of how many tokens in one batch."""

PAPER_K = 3

_CONTEXT = 1024


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds of CPU time, and the medians of the ratios of rounds."""

    mode: str
    tokens: int
    generate: float
    verify: float
    floor: float
    paper: float
    verify_over_generate: float
    verify_over_floor: float
    paper_over_generate: float


@dataclass(frozen=True, slots=True)
class Sibling:
    """Seconds of CPU time, and the median of their ratios in rounds."""

    tokens: int
    generate: float
    verify: float
    verify_over_generate: float


class Stopwatch:
    """One text, handled in every way that is measured."""

    def __init__(self, path: Path, tokens: int, how: Sampling) -> None:
        self.how, self.count = how, tokens
        model = Model(path)
        self.reader = CANON.context(model, sequences=1, length=_CONTEXT)
        self.node = CANON.context(model, sequences=1, length=_CONTEXT)
        self.floor_at = Machine(batch=512).context(model, sequences=1, length=_CONTEXT)
        self.prompt = load()[20].tokens(LlamaTokenizer(model))
        self.output: list[int] = []

    def generate(self) -> None:
        """What an honest node does, past end tokens so that every length can be had."""
        self.node.forget(0)
        logits = self._prefill(self.node, CANON.batch, self.prompt, 1)
        output = [choose(logits[0], self.how, len(self.prompt))]
        while len(output) < self.count:
            at = len(self.prompt) + len(output)
            logits = self.node.decode([output[-1]], [at - 1], 0, True)
            output.append(choose(logits[0], self.how, at))
        self.output = output

    def verify(self, begin: int = 0) -> None:
        """What a client does: every margin. It has read the text up to `begin` already."""
        self.reader.forget(0, begin)
        text, first = [*self.prompt, *self.output[:-1]], len(self.prompt) - 1
        for start in range(begin, len(text), CANON.batch):
            at = np.arange(start, min(start + CANON.batch, len(text)))
            logits = self.reader.decode(text[start : start + CANON.batch], at, 0, at >= first)
            row = max(start - first, 0)
            claimed = self.output[row : row + len(logits)]
            assert not margins(logits, claimed, self.how, len(self.prompt) + row).any()

    def sibling(self) -> None:
        """The same after another answer to the prompt was generated or checked here: it is not read again."""
        self.verify(len(self.prompt) - 1)

    def floor(self) -> None:
        """llama.cpp reading the same text in its largest batches, logits and all, without a look at them."""
        self.floor_at.forget(0)
        self._prefill(self.floor_at, 512, [*self.prompt, *self.output[:-1]], self.count)

    def paper(self) -> None:
        """A forward pass of its own for each of k interior positions."""
        for position in indices(bytes(32), self.count, PAPER_K):
            self.node.forget(0)
            text = [*self.prompt, *self.output[:position]]
            logits = self._prefill(self.node, CANON.batch, text, 1)
            choose(logits[0], self.how, len(text))

    def _prefill(self, context: object, batch: int, text: list[int], rows: int) -> np.ndarray:
        logits = np.empty((0, 0), dtype=np.float32)
        for start in range(0, len(text), batch):
            at = np.arange(start, min(start + batch, len(text)))
            logits = context.decode(text[start : start + batch], at, 0, at >= len(text) - rows)  # type: ignore[attr-defined]
        return logits


def _cpu(action: Callable[[], None]) -> float:
    started = time.process_time()
    action()
    return time.process_time() - started


def measure(
    rounds: int = 5, lengths: tuple[int, ...] = LENGTHS, file: str | None = "cost.csv"
) -> list[Result]:
    """Median ratios for every length, greedy; both ways of sampling go to the CSV file."""
    results, lines = [], []
    for mode in MODES if file else MODES[:1]:
        for tokens in lengths if mode == MODES[0] else SAMPLED:
            watch = Stopwatch(WEIGHTS, tokens, sampling(mode, 20))
            watch.generate()
            actions = (watch.generate, watch.verify, watch.floor, watch.paper)
            repeat = max(1, 16 // tokens)

            def all_of(action: Callable[[], None], repeat: int = repeat) -> Callable[[], None]:
                def several() -> None:
                    for _ in range(repeat):
                        action()

                return several

            times = [[_cpu(all_of(action)) / repeat for action in actions] for _ in range(rounds)]
            generate, verify, floor, paper = (median(column) for column in zip(*times, strict=True))
            over_generate = median(t[1] / t[0] for t in times)
            over_floor = median(t[1] / t[2] for t in times)
            paper_over = median(t[3] / t[0] for t in times)
            lines.append(
                Cost(mode, tokens, generate, verify, floor, paper, over_generate, over_floor, paper_over)
            )
            if mode == "greedy":
                size = len(watch.prompt)
                note = f"CPU time, 1 thread, {size} prompt tokens, median of {rounds} rounds in turns"
                figures = {
                    "verify_over_generate": (over_generate, "generating"),
                    "verify_over_floor": (over_floor, "llama_decode of prompt and output in batches of 512"),
                    "paper_over_generate": (paper_over, f"generating; k = {PAPER_K} interior positions"),
                }
                results += [
                    Result(f"rastic.{key}.{tokens}", value, "ratio", anchor, note)
                    for key, (value, anchor) in figures.items()
                ]
    if file is not None:
        write(file, lines)
    return results


def measure_siblings(rounds: int = 3) -> list[Result]:
    """A check whose prompt was read before, over generating; several texts in one batch, over one by one."""
    results, lines = [], []
    for tokens in SIBLINGS:
        watch = Stopwatch(WEIGHTS, tokens, sampling("greedy", 20))
        watch.generate()
        watch.verify()
        times = [(_cpu(watch.generate), _cpu(watch.sibling)) for _ in range(rounds)]
        ratio = median(check / write for write, check in times)
        lines.append(Sibling(tokens, median(t[0] for t in times), median(t[1] for t in times), ratio))
        note = f"CPU time, 1 thread; its {len(watch.prompt)} prompt tokens were read before; {rounds} rounds"
        results.append(
            Result(f"rastic.verify_sibling_over_generate.{tokens}", ratio, "ratio", "generating", note)
        )
    write("siblings.csv", lines)
    for count, tokens in TOGETHER:
        ratio = _together(count, tokens, rounds)
        note = f"CPU time, 1 thread; {count} texts of {tokens} tokens, logits of half; {rounds} rounds"
        results.append(
            Result(f"rastic.batched_over_apart.{tokens}", ratio, "ratio", "one decode a text", note)
        )
    return results


def _together(count: int, tokens: int, rounds: int) -> float:
    model = Model(WEIGHTS)
    context = Machine(batch=256).context(model, sequences=count, length=256)
    texts = np.random.Generator(np.random.Philox(key=2)).integers(100, 40_000, (count, tokens))
    at = np.arange(tokens)

    def apart() -> None:
        for sequence, text in enumerate(texts):
            context.forget(sequence)
            context.decode(text, at, sequence, at >= tokens // 2)

    def together() -> None:
        for sequence in range(count):
            context.forget(sequence)
        wanted = np.tile(at >= tokens // 2, count)
        context.decode(texts.ravel(), np.tile(at, count), np.repeat(np.arange(count), tokens), wanted)

    return median(_cpu(together) / _cpu(apart) for _ in range(rounds))


if __name__ == "__main__":
    record(measure_siblings() if sys.argv[1:] == ["siblings"] else measure())
