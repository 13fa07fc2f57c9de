"""What a model proves to its own node before it is offered: that it runs, how fast, in which bit class."""

import logging
import time

from agents.engine.bitclass import TOLERANT, bit_class
from agents.engine.llama import LlamaEngine
from agents.node.errors import ModelError
from agents.node.speed import Speed
from agents.protocol.manifest import Manifest
from agents.protocol.sampling import Sampling

log = logging.getLogger(__name__)

_PROMPT = 32
_OUTPUT = 16
_PATIENCE = 600.0


def self_test(engine: LlamaEngine, manifest: Manifest) -> tuple[bytes, Speed]:
    """Write an answer, check it as a client would, and time it.

    Returns the bit class to offer (0 where the answer can't be repeated bit for bit) and the speed.

    Raises:
        ModelError: the node's own answer would be refused.
        EngineError: the model does not run.
    """
    size = engine.tokenizer.vocab_size
    offered = bit_class(engine, manifest.weights.cid)
    count = min(_PROMPT, engine.context // 2)
    prompt = [(i * 7919 + 13) % size for i in range(count)]
    started = time.monotonic()
    generation = engine.generate(prompt, min(_OUTPUT, engine.context - count), Sampling(), ())
    moments = [time.monotonic() - started for _ in generation]
    output = generation.result(_PATIENCE)
    margins = engine.score(prompt, output.tokens, Sampling()).result(_PATIENCE)
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
    write = (moments[-1] - moments[0]) / max(len(moments) - 1, 1)
    return offered, Speed(moments[0] / count, max(write, 1e-6))
