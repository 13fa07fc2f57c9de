"""The bit class: the name of a set of machines that give the same bits (docs/protocol.md section 5)."""

import hashlib

from eth_utils.crypto import keccak

from agents.engine.llama import LlamaEngine
from agents.protocol.noise import gumbel

TOLERANT = bytes(32)
"""Class 0: promises nothing, is judged by the tolerant rule."""

_PROBE_TOKENS = 64
_NOISE_NODE = (1).to_bytes(20, "big")


def bit_class(engine: LlamaEngine, weights_cid: str) -> bytes:
    """The class of this engine for these weights, 32 bytes; `TOLERANT` for a GPU, another profile or build.

    Takes as long as reading 64 tokens. An adapter is read with: its kernels are part of the promise.

    Raises:
        Busy, EngineClosed: as `Engine.generate`.
    """
    if not engine.exact:
        return TOLERANT
    size = engine.tokenizer.vocab_size
    probe = [(i * 7919 + 13) % size for i in range(_PROBE_TOKENS)]
    noise = gumbel(1, _NOISE_NODE, 1, size).astype("<f8", copy=False)
    parts = [
        hashlib.sha256(weights_cid.encode()).digest(),
        hashlib.sha256(engine.config.profile.encode()).digest(),
        engine.logits_digest(probe).result(),
        hashlib.sha256(noise.tobytes()).digest(),
    ]
    return keccak(b"capek/bitclass/1" + b"".join(parts))
