"""Real other bit classes on one machine: llama.cpp's stock kernels for other instruction sets.

The npm package of node-llama-cpp carries prebuilt kernels of the very llama.cpp that is installed here, one
library an instruction set, with all the shortcuts that the canonical build leaves out. Put in the place of
our own they make this machine read as a stranger's would: AVX-512 with VNNI and BF16 (zen4), AVX2 and FMA
(haswell), SSE4.2 without either. The honest answers on disk are read there with the profile's cache and
attention; hours for all, resumable.

python -m bench.rastic.classes [COUNT]    needs npm and a processor with AVX-512
"""

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from agents.rastic.binomial import upper_bound
from agents.rastic.calibration import worst_mean
from agents.trainer.publish import RULES
from bench.rastic import table
from bench.rastic.claims import Margins, margins_of
from bench.rastic.impostors import CACHE, WEIGHTS
from bench.rastic.prompts import MODES, load
from bench.rastic.score import CLASSES
from bench.results import Result, record

PACKAGE = "@node-llama-cpp/linux-x64@3.22.1"
"""Of llama.cpp 0.5.0, as llama-cpp-python 0.3.36 is."""

FEW = {"sse42": 20}
"""Five times as slow as the others."""

_OURS = ("libggml-base.so.0", "libggml.so.0", "libllama.so")


def library(name: str) -> Path:
    """A folder with our llama.cpp and the kernels of instruction set `name`, for `environment`."""
    folder = CACHE / "bench" / "classes" / name
    kernels = folder / "libggml-cpu.so.0"
    if kernels.exists():
        return folder
    import llama_cpp

    ours = Path(llama_cpp.__file__).parent / "lib"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for file in _OURS:
        (folder / file).symlink_to(ours / file)
    (folder / "libggml-base.so").symlink_to(_OURS[0])  # one file under both names is loaded once
    with tempfile.TemporaryDirectory() as draft:
        subprocess.run(["npm", "pack", PACKAGE, "--silent"], cwd=draft, check=True, stdout=subprocess.DEVNULL)
        (packed,) = Path(draft).glob("*.tgz")
        with tarfile.open(packed) as archive:
            archive.extractall(draft, filter="data")
        found = Path(draft) / "package" / "bins" / "linux-x64" / f"libggml-cpu-{name}.so"
        shutil.copy(found, kernels.with_suffix(".tmp"))
    kernels.with_suffix(".tmp").replace(kernels)
    return folder


def environment(name: str) -> dict[str, str]:
    """Of a Python that shall compute with the kernels of `name`."""
    folder = str(library(name))
    return {**os.environ, "LD_LIBRARY_PATH": folder, "LLAMA_CPP_LIB_PATH": folder}


def run(name: str, module: str, *arguments: str) -> None:
    """A module of ours as a program, computing with the kernels of `name`."""
    subprocess.run([sys.executable, "-m", module, *arguments], env=environment(name), check=True)


@dataclass(frozen=True, slots=True)
class Class:
    """Honest answers, read by a judge. differing: positions with a margin; largest, mean: the worst of any
    answer, in logits; refused: answers, by the thresholds that `publish` writes unless told otherwise."""

    judge: str
    mode: str
    answers: int
    positions: int
    differing: float
    largest: float
    mean: float
    refused: int


def measure() -> list[Result]:
    """Write classes.csv from what was read so far."""
    lines, results = [], []
    for judge in (*(f"class-{name}" for name in CLASSES), "tolerant"):
        for mode in MODES:
            found = list(margins_of(judge, "honest", mode).values())
            if found:
                lines.append(_line(judge, mode, found))
    table.write("classes.csv", lines)
    for line in lines:
        if line.judge != "tolerant":
            margins = f"margins at {line.differing:.1%} of {line.positions} positions"
            note = f"{line.refused} of {line.answers} answers; {margins}"
            bound = f"below {upper_bound(line.refused, line.answers):.2g} with 95 %"
            id_ = f"rastic.{line.judge}.false_reject.{line.mode}"
            results.append(Result(id_, line.refused / line.answers, "share", bound, note))
    return results


def _line(judge: str, mode: str, found: list[Margins]) -> Class:
    tier = RULES.tolerant.greedy if mode == "greedy" else RULES.tolerant.sampled
    every = np.concatenate(found)
    largest = np.array([float(margins.max()) for margins in found])
    means = np.array([worst_mean(margins) for margins in found])
    refused = (largest * 1e6 > tier.refuse_max) | (means * 1e6 > tier.refuse_mean)
    return Class(
        judge,
        mode,
        len(found),
        every.size,
        float((every > 0).mean()),
        float(largest.max()),
        float(means.max()),
        int(refused.sum()),
    )


def main() -> None:
    """Read the honest answers in every class, one class after the other."""
    match sys.argv[1:]:
        case ["read", name, mode, count]:  # this process has the other kernels
            from bench.rastic.score import score

            score(WEIGHTS, f"class-{name}", "honest", mode, load()[: int(count)])
        case arguments:
            most = int(arguments[0]) if arguments else 300
            for name in CLASSES:
                for mode in MODES:
                    run(name, __spec__.name, "read", name, mode, str(min(most, FEW.get(name, most))))
            record(measure())


if __name__ == "__main__":
    main()
