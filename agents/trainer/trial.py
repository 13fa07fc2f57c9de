"""What a model must do before it is published: answer, and stand by its own answer."""

from pathlib import Path

from agents.engine import EngineError
from agents.engine.bitclass import TOLERANT, bit_class
from agents.engine.llama import EngineConfig, LlamaEngine
from agents.engine.native import CANONICAL
from agents.protocol.manifest import Verification
from agents.protocol.sampling import Sampling
from agents.trainer.errors import BadModel

_TOKENS = 16
_CONTEXT = 512
_PATIENCE = 600.0


def try_out(path: Path, weights_cid: str, rules: Verification, threads: int | None) -> bytes:
    """Run the model once; this machine's bit class for it, 32 bytes, zero when it promises nothing.

    Raises:
        BadModel: it does not load, gives no finite logits, or its own answer would be refused.
    """
    try:
        with LlamaEngine(
            EngineConfig(path, context=_CONTEXT, sequences=1, threads=threads, profile=CANONICAL)
        ) as engine:
            prompt = engine.tokenizer.tokenize_chat([{"role": "user", "content": "Hello"}])
            said = engine.generate(prompt, _TOKENS, Sampling(), engine.tokenizer.end_tokens).result(_PATIENCE)
            margins = engine.score(prompt, said.tokens, Sampling()).result(_PATIENCE)
            found = bit_class(engine, weights_cid)
    except (EngineError, ValueError) as error:
        raise BadModel(f"{path} can't be published, it does not run: {error}") from None
    largest = float(margins.max())
    if largest * 1e6 > rules.tolerant.greedy.refuse_max:
        raise BadModel(
            f"{path} can't be published: repeating its own answer differs by {largest:.3g} logits here"
        )
    return TOLERANT if largest > 0 else found
