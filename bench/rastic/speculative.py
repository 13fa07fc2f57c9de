"""The lazy node: a cheap model writes, the true one is asked for every fourth token only."""

from collections.abc import Sequence
from pathlib import Path

from agents.engine.native import Model
from agents.engine.tokenizer import LlamaTokenizer
from agents.protocol.messages import Finish
from agents.protocol.sampling import choose
from bench.rastic import store
from bench.rastic.machine import CANON
from bench.rastic.prompts import Prompt, sampling

EVERY = 4
_CONTEXT = 1024


def speculate(
    true: Path, draft: Path, name: str, mode: str, prompts: Sequence[Prompt], max_tokens: int
) -> None:
    """Write the answers to all prompts that have none yet."""
    file = store.answers_file(name, mode)
    done = store.load_answers(file)
    models = Model(true), Model(draft)
    tokenizer = LlamaTokenizer(models[0])
    contexts = [CANON.context(model, sequences=1, length=_CONTEXT) for model in models]
    for prompt in prompts:
        if prompt.id in done:
            continue
        text = prompt.tokens(tokenizer)
        how, start = sampling(mode, prompt.id), len(text)
        read = [0, 0]
        for context in contexts:
            context.forget(0)
        while len(text) - start < max_tokens and text[-1] not in tokenizer.end_tokens:
            asked = 0 if (len(text) - start) % EVERY == EVERY - 1 else 1
            while True:
                chunk = text[read[asked] : read[asked] + CANON.batch]
                at = range(read[asked], read[asked] + len(chunk))
                logits = contexts[asked].decode(chunk, at, 0, [p == len(text) - 1 for p in at])
                read[asked] += len(chunk)
                if read[asked] == len(text):
                    break
            text.append(choose(logits[0], how, len(text)))
        finish = Finish.END if text[-1] in tokenizer.end_tokens else Finish.LENGTH
        store.save_answer(file, store.Answer(prompt.id, tuple(text[start:]), finish))
