"""How often an honest verifier's witness goes unpaid, between settings and builds.

python -m bench.rastic.witness    minutes; needs npm and a processor with AVX-512 (see classes.py)

Every setting reads the same cases, prompts with honest answers of 64 tokens, and notes the second-best token
after each position. Then panels of three verifiers are drawn, each with a setting of its own, and eight
positions of a case: a witness is paid when six of its lanes are what most of the three say.
"""

import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agents.engine.examination import second_best
from agents.engine.native import Model
from agents.engine.tokenizer import LlamaTokenizer
from agents.rastic.binomial import upper_bound
from agents.rastic.witness import POSITIONS, agreement, pack
from bench.rastic import classes, prompts, store, table
from bench.rastic.impostors import WEIGHTS
from bench.rastic.machine import F16, Machine
from bench.results import Result, record

CASES, ANSWER, PANELS = 8, 64, 20_000

MACHINES = {
    "canonical": Machine(),
    "canonical, 2 threads": Machine(threads=2, batch=64),
    "f16 cache": Machine(cache=F16),
    "f16 cache, plain attention": Machine(cache=F16, flash=False),
    "stock AVX2": Machine(),
    "stock AVX-512": Machine(),
    "stock SSE4.2": Machine(),
}
KERNELS = {"stock AVX2": "haswell", "stock AVX-512": "zen4", "stock SSE4.2": "sse42"}

Cases = list[NDArray[np.int64]]


@dataclass(frozen=True, slots=True)
class Line:
    """differing: share of positions with another second-best token than the canonical setting's.
    beside_canonical: share of its witnesses that two canonical verifiers leave unpaid. mixed: among verifiers
    of every setting."""

    setting: str
    positions: int
    differing: float
    beside_canonical: float
    mixed: float


def read(setting: str) -> Cases:
    """The second-best token after each position of every case; in the process that has the right kernels."""
    model, machine = Model(WEIGHTS), MACHINES[setting]
    tokenizer = LlamaTokenizer(model)
    context = machine.context(model, sequences=1, length=1_024)
    found = []
    for mode in prompts.MODES:
        answers = store.load_answers(store.answers_file("honest", mode))
        for prompt in prompts.load()[:CASES]:
            text = [*prompt.tokens(tokenizer), *answers[prompt.id].tokens[:ANSWER]]
            context.forget(0)
            ids: list[int] = []
            for start in range(0, len(text), machine.batch):
                chunk = text[start : start + machine.batch]
                logits = context.decode(chunk, range(start, start + len(chunk)), 0, True)
                ids += [second_best(row) for row in logits]
            found.append(np.array(ids))
    return found


def unpaid(panel: Sequence[Cases], draw: np.random.Generator, count: int) -> tuple[int, int]:
    """Of the first member's witnesses, how many of how many are not paid."""
    lost = 0
    for _ in range(count):
        case = int(draw.integers(len(panel[0])))
        places = draw.choice(len(panel[0][case]), POSITIONS, replace=False)
        witnesses = [pack(member[case][places].tolist()) for member in panel]
        lost += not agreement(witnesses)[0]
    return lost, count


def measure() -> list[Result]:
    """Write witness.csv; the share of a network in which every setting is as common as the next."""
    with tempfile.TemporaryDirectory() as folder:
        read_by = {name: _elsewhere(name, Path(folder)) for name in MACHINES}
    draw = np.random.Generator(np.random.Philox(key=3))
    settings, canonical = list(read_by.values()), read_by["canonical"]
    lines, total = [], [0, 0]
    for name, own in read_by.items():
        same = np.concatenate([a == b for a, b in zip(own, canonical, strict=True)])
        beside = unpaid([own, canonical, canonical], draw, PANELS)
        mixed = [0, 0]
        for _ in range(PANELS // 10):
            others = [settings[int(i)] for i in draw.integers(len(settings), size=2)]
            lost, count = unpaid([own, *others], draw, 10)
            mixed = [mixed[0] + lost, mixed[1] + count]
        total = [total[0] + mixed[0], total[1] + mixed[1]]
        lines.append(
            Line(name, same.size, float(1 - same.mean()), beside[0] / beside[1], mixed[0] / mixed[1])
        )
        print(lines[-1], flush=True)
    table.write("witness.csv", lines)
    classes_differ = f"{min(x.differing for x in lines[2:]):.1%} to {max(x.differing for x in lines):.1%}"
    note = (
        f"{total[0]} of {total[1]} witnesses in panels of 3, each of a random setting of {len(lines)} "
        f"(threads, f16 cache, plain attention, AVX2, AVX-512, SSE4.2); second-best tokens differ at "
        f"{classes_differ} of positions between classes, and at none within the canonical one"
        if not lines[1].differing
        else f"{total[0]} of {total[1]}; even the canonical setting differs from itself"
    )
    bound = f"below {upper_bound(total[0], total[1]):.2g} with 95 %"
    return [Result("dispute.witness_unpaid", total[0] / total[1], "share", bound, note)]


def _elsewhere(name: str, folder: Path) -> Cases:
    file = folder / "read.npz"
    module = "bench.rastic.witness"
    if name in KERNELS:
        classes.run(KERNELS[name], module, name, str(file))
    else:
        np.savez(file, *read(name))
    with np.load(file) as arrays:
        return [arrays[key] for key in arrays.files]


if __name__ == "__main__":
    if len(sys.argv) > 1:
        np.savez(sys.argv[2], *read(sys.argv[1]))
    else:
        record(measure())
