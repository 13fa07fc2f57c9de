"""Do last hidden states tell what tokens can't? Q8_0 and Q4_0 sold as Q4_1, judged on other machines.

python -m bench.rastic.activations    minutes; needs npm and a processor with AVX-512 (see classes.py)

The node makes the fingerprint of its own answer, the judge reads the same tokens with the true weights. AUC
is that of the distance, impostors against honest nodes, by the answer's first 32 and 64 tokens: of whole
states, and of the fingerprint of 8 bytes a token.
"""

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from agents.engine.native import Model, lib
from agents.engine.tokenizer import LlamaTokenizer
from agents.rastic.fingerprint import DIRECTIONS, States, distance, encode
from bench.rastic import classes, prompts, store, table
from bench.rastic.impostors import WEIGHTS, quantized
from bench.rastic.machine import CANON, OTHER, Machine
from bench.results import Result, record

NODES = {"honest": None, "q8_0": "q8_0", "q4_0": "q4_0"}
"""Whose answers, and what weights they really run."""

JUDGES = {"f16 cache, plain attention": OTHER, "AVX-512": CANON}
ANSWERS, TOKENS, LONGEST = 20, 64, 90
"""Answers of each node to prompts of at most so many tokens."""

_SEED = bytes(32)


@dataclass(frozen=True, slots=True)
class Line:
    """honest, impostor: medians of the whole states' relative distance. AUC of it, and of the fingerprint."""

    judge: str
    impostor: str
    tokens: int
    answers: int
    honest: float
    suspect: float
    auc_states: float
    auc_fingerprint: float


def states(weights: Path, machine: Machine, answers: str) -> list[States]:
    """After each token of the answers of node `answers` but their last."""
    model = Model(weights)
    tokenizer, width = LlamaTokenizer(model), lib.llama_model_n_embd(model.pointer)
    context = machine.context(model, sequences=1, length=512)
    lib.llama_set_embeddings(context._pointer, True)  # logits and states of every token
    said, found = store.load_answers(store.answers_file(answers, "greedy")), []
    for prompt in prompts.load():
        text = prompt.tokens(tokenizer)
        if len(text) > LONGEST or prompt.id not in said or len(said[prompt.id].tokens) < TOKENS:
            continue
        first, text = len(text), [*text, *said[prompt.id].tokens[:TOKENS]]
        context.forget(0)
        rows = []
        for start in range(0, len(text), machine.batch):
            chunk = text[start : start + machine.batch]
            context.decode(chunk, range(start, start + len(chunk)), 0, True)
            pointer = lib.llama_get_embeddings(context._pointer)
            rows.append(np.ctypeslib.as_array(pointer, (len(chunk), width)).copy())
        found.append(np.concatenate(rows)[first - 1 : -1])
        if len(found) == ANSWERS:
            break
    return found


def measure() -> list[Result]:
    """Write activations.csv."""
    with tempfile.TemporaryDirectory() as folder:
        file, own, seen = Path(folder) / "states.npz", {}, {}
        for name, weights in NODES.items():
            own[name] = states(WEIGHTS if weights is None else quantized(weights), CANON, name)
            for judge, machine in JUDGES.items():
                if machine is CANON:
                    classes.run("zen4", "bench.rastic.activations", name, str(file))
                    with np.load(file) as arrays:
                        seen[judge, name] = [arrays[key] for key in arrays.files]
                else:
                    seen[judge, name] = states(WEIGHTS, machine, name)
            print(name, len(own[name]), flush=True)
    lines = [
        _line(judge, name, tokens, own, seen)
        for judge in JUDGES
        for name in NODES
        if name != "honest"
        for tokens in (32, 64)
    ]
    table.write("activations.csv", lines)
    note = f"{DIRECTIONS * 32} bytes for 32 tokens; greedy, judge {{}}; whole states {{:.3f}}; {{}} answers"
    return [
        Result(
            f"rastic.fingerprint.auc.{line.impostor}.{line.tokens}",
            line.auc_fingerprint,
            "AUC",
            "Activation-DiFR: .999 in 2 tokens on GPUs",
            note.format(line.judge, line.auc_states, line.answers),
        )
        for line in lines
        if line.judge == "AVX-512"
    ]


def _line(
    judge: str,
    name: str,
    tokens: int,
    own: dict[str, list[States]],
    seen: dict[tuple[str, str], list[States]],
) -> Line:
    whole, compact = {}, {}
    for who in ("honest", name):
        pairs = [(a[:tokens], b[:tokens]) for a, b in zip(own[who], seen[judge, who], strict=True)]
        whole[who] = np.array([_relative(a, b) for a, b in pairs])
        compact[who] = np.array([distance(encode(a, _SEED), b, _SEED) for a, b in pairs])
    return Line(
        judge,
        name,
        tokens,
        len(whole[name]),
        float(np.median(whole["honest"])),
        float(np.median(whole[name])),
        table.auc(whole["honest"], whole[name]),
        table.auc(compact["honest"], compact[name]),
    )


def _relative(a: States, b: States) -> float:
    return float(np.median(np.linalg.norm(a - b, axis=1) / np.linalg.norm(b, axis=1)))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        np.savez(sys.argv[2], *states(WEIGHTS, CANON, sys.argv[1]))
    else:
        record(measure())
