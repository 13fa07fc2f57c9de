"""What a model proves to its own node before it is offered: that it runs, how fast, in which bit class."""

import logging
import time
from collections.abc import Sequence
from itertools import pairwise
from statistics import fmean, median

import numpy as np

from agents.engine.bitclass import TOLERANT, bit_class
from agents.engine.llama import LlamaEngine
from agents.node.errors import ModelError
from agents.node.speed import Costs, Speed
from agents.protocol.manifest import Manifest
from agents.protocol.sampling import MICRO, Logits, Sampling, choose

log = logging.getLogger(__name__)

_PROMPT = 32
_OUTPUT = 16
_FAR_OUTPUT = 8
_FAR_SECONDS = 4.0
_FAR_MOST = 4096
_DRAWS = 5
_PATIENCE = 600.0
_COSTLIEST = Sampling(seed=1, temperature=10 * MICRO, top_p=MICRO - 1)
"""Everything is in the nucleus, and everything in it needs its noise."""


def self_test(engine: LlamaEngine, manifest: Manifest) -> tuple[bytes, Speed]:
    """Write an answer, check it as a client would, and time it.

    Returns the bit class to offer (0 where the answer can't be repeated bit for bit) and the speed.

    Raises:
        ModelError: the node's own answer would be refused.
        EngineError: the model does not run.
    """
    offered = bit_class(engine, manifest.weights.cid)
    count = min(_PROMPT, engine.context // 2)
    prompt = _prompt(engine, count)
    first, gaps, output = _timed(engine, prompt, min(_OUTPUT, engine.context - count))
    margins = engine.score(prompt, output, Sampling()).result(_PATIENCE)
    largest, mean = float(margins.max()), float(margins.mean())
    thresholds = manifest.verification.tolerant.greedy
    if largest * 1e6 > thresholds.refuse_max or mean * 1e6 > thresholds.refuse_mean:
        raise ModelError(
            f"{manifest.name} fails its self-test here: repeating its own answer differs by {largest:.3g} "
            f"(mean {mean:.3g}), more than clients accept: try without --gpu-layers, or serve another model"
        )
    if offered != TOLERANT and largest > 0:
        log.warning("%s is not exact here (margin %.3g): offered in class 0", manifest.name, largest)
        offered = TOLERANT
    return offered, Speed(_costs(engine, count, first, gaps))


def _costs(engine: LlamaEngine, count: int, first: float, gaps: Sequence[float]) -> Costs:
    """From a short answer's times (seconds to the first token, and between tokens), and those of one as far
    into the context as a few seconds of reading lead.
    """
    read, write = first / count, max(fmean(gaps or [0.0]), 1e-6)
    far = min(engine.context - _FAR_OUTPUT, _FAR_MOST, int(_FAR_SECONDS / max(read, 1e-6)))
    read_growth = write_growth = 0.0
    if far >= 2 * count:
        far_first, far_gaps, _ = _timed(engine, _prompt(engine, far), _FAR_OUTPUT)
        read_growth = max(0.0, far_first / far - read) * 2 / (far - count)
        # Whatever else the machine does only adds to a time.
        write_growth = max(0.0, min(far_gaps or [0.0]) - min(gaps or [0.0])) / (far - count)
    return Costs(read, write, read_growth, write_growth, _sampling_seconds(engine.tokenizer.vocab_size))


def _sampling_seconds(size: int) -> float:
    """Of one token, with the logits and the settings that cost most."""
    logits: Logits = np.random.default_rng(1).standard_normal(size, dtype=np.float32)
    times = []
    for position in range(_DRAWS):
        started = time.monotonic()
        choose(logits, _COSTLIEST, position)
        times.append(time.monotonic() - started)
    return median(times)


def _prompt(engine: LlamaEngine, count: int) -> list[int]:
    return [(i * 7919 + 13) % engine.tokenizer.vocab_size for i in range(count)]


def _timed(engine: LlamaEngine, prompt: list[int], most: int) -> tuple[float, list[float], list[int]]:
    """Seconds to the first token of a greedy answer, seconds between its tokens, and the tokens."""
    started = time.monotonic()
    generation = engine.generate(prompt, most, Sampling(), ())
    moments = [time.monotonic() - started for _ in generation]
    gaps = [later - earlier for earlier, later in pairwise(moments)]
    return moments[0], gaps, list(generation.result(_PATIENCE).tokens)
