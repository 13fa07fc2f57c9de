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
from agents.protocol.messages import Finish
from agents.protocol.sampling import MICRO, TOLERANCE, Logits, Sampling, choose
from agents.rastic import Claim, Mode, Verdict, judge

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

_SAMPLED = Sampling(seed=1, temperature=800_000, top_p=950_000)


def self_test(engine: LlamaEngine, manifest: Manifest) -> tuple[bytes, Speed]:
    """Write answers, greedy and sampled, judge them as clients and courts would, and time it.

    Returns the bit class to offer (0 where an answer can't be repeated bit for bit) and the speed.

    Raises:
        ModelError: the node's own answer would be refused, or slashed.
        EngineError: the model does not run.
    """
    offered = bit_class(engine, manifest.weights.cid)
    count = min(_PROMPT, engine.context // 2)
    prompt, most = _prompt(engine, count), min(_OUTPUT, engine.context - count)
    first, gaps, greedy = _timed(engine, prompt, most)
    sampled = engine.generate(prompt, most, _SAMPLED, ()).result(_PATIENCE).tokens
    answers = [(Sampling(), tuple(greedy)), (_SAMPLED, tuple(sampled))]
    verdicts = [_verdict(engine, manifest, prompt, *answer, Mode.TOLERANT) for answer in answers]
    if offered != TOLERANT:
        exact = [_verdict(engine, manifest, prompt, *answer, Mode.EXACT) for answer in answers]
        if (largest := max(verdict.max_margin for verdict in exact)) > 0:
            log.warning("%s is not exact here (margin %.3g): offered in class 0", manifest.name, largest)
            offered = TOLERANT
        else:
            verdicts += exact
    for verdict in verdicts:
        if not verdict.accepted:
            raise ModelError(
                f"{manifest.name} fails its self-test here: by its manifest's thresholds its own answer is "
                f"one to {verdict.action.value} ({verdict.mode.value}: {verdict.explain()}): try without "
                "--gpu-layers, or serve another model"
            )
    return offered, Speed(_costs(engine, count, first, gaps))


def _verdict(
    engine: LlamaEngine,
    manifest: Manifest,
    prompt: list[int],
    sampling: Sampling,
    output: tuple[int, ...],
    mode: Mode,
) -> Verdict:
    """On the node's own answer, which no token ended."""
    tolerance = 0 if mode is Mode.EXACT else TOLERANCE
    margins = engine.score(prompt, output, sampling, tolerance).result(_PATIENCE)
    claim = Claim(output, Finish.LENGTH, len(output), frozenset(), sampling.temperature == 0)
    return judge(claim, margins, manifest.verification, mode)


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
