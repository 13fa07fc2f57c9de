"""Margins of every claim, in the exact tier (the node's own bit class) and in the tolerant one (another
machine).

One reading of an honest answer gives the margins of many claims, since a claim that lies about the sampling,
or changes the last token, does not change the logits. What comes after a changed token is read again.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agents.engine.native import Model
from agents.engine.tokenizer import LlamaTokenizer
from agents.protocol.sampling import MICRO, TOLERANCE, Sampling, choose, margins
from bench.rastic import store
from bench.rastic.machine import CANON, OTHER, Machine
from bench.rastic.prompts import Prompt, node, sampling
from bench.rastic.store import Answer

LENGTHS = (8, 16, 64, 256)
TIERS = {"exact": (CANON, 0), "tolerant": (OTHER, TOLERANCE)}
CLASSES = ("zen4", "haswell", "sse42")
"""Stock builds of llama.cpp for other instruction sets (classes.py), with the profile's own cache and flash
attention."""

MACHINES = {**TIERS, **{f"class-{name}": (CANON, TOLERANCE) for name in CLASSES}}
AFTER = 16
"""How many tokens are read after a change that makes all that follows wrong: more can only add to the
margins."""

REREAD = 40
"""Jobs below this number are read again after a change. The others of the kind say little new: a wrong token
drawn at random is off by ten logits and more."""

EXACT_MOST = 64
"""Tokens of an impostor's answer that are read in the exact tier: it is caught long before."""

Margins = NDArray[np.float64]


class Judge:
    """Reads one text at a time on one machine."""

    def __init__(self, path: Path, machine: Machine, tolerance: int, length: int = 1024) -> None:
        model = Model(path)
        self.tokenizer = LlamaTokenizer(model)
        self.tolerance = tolerance
        self._batch = machine.batch
        self._context = machine.context(model, sequences=1, length=length)
        self._length = 0

    def read(self, prompt: Sequence[int], tokens: Sequence[int]) -> NDArray[np.float32]:
        """The logits before each token of an output, float32 of shape (n, V)."""
        self._context.forget(0)
        self._length = 0
        return self._more([*prompt, *tokens[:-1]], len(prompt) - 1)

    def again(self, position: int, tokens: Sequence[int]) -> NDArray[np.float32]:
        """Forget the text from an absolute position on, read others: the logits after each."""
        self._context.forget(0, position)
        self._length = position
        return self._more(tokens, 0)

    def margins(
        self, logits: NDArray[np.float32], tokens: Sequence[int], how: Sampling, first: int
    ) -> Margins:
        """Of tokens at absolute positions from `first` on."""
        return margins(logits, tokens, how, first, self.tolerance)

    def _more(self, text: Sequence[int], first: int) -> NDArray[np.float32]:
        rows = []
        for start in range(0, len(text), self._batch):
            chunk = text[start : start + self._batch]
            at = np.arange(start, start + len(chunk))
            rows.append(self._context.decode(chunk, self._length + at, 0, at >= first).copy())
        self._length += len(text)
        return np.concatenate(rows)


def score(path: Path, tier: str, name: str, mode: str, prompts: Sequence[Prompt]) -> None:
    """Margins of an impostor's (or, without variants, an honest node's) answers."""
    _each(path, tier, name, mode, prompts, variants=False)


def score_honest(path: Path, tier: str, mode: str, prompts: Sequence[Prompt]) -> None:
    """Margins of honest answers and of every claim that needs no generation."""
    _each(path, tier, "honest", mode, prompts, variants=True)


def _each(path: Path, tier: str, name: str, mode: str, prompts: Sequence[Prompt], *, variants: bool) -> None:
    answers = store.load_answers(store.answers_file(name, mode))
    file = store.margins_file(tier, name, mode)
    variants_file = store.margins_file(tier, "variants", mode)
    done = {entry["job"] for entry in store.lines(file)}
    todo = [prompt for prompt in prompts if prompt.id in answers and prompt.id not in done]
    if not todo:
        return
    judge = Judge(path, *MACHINES[tier])
    for number, prompt in enumerate(todo, 1):
        answer = answers[prompt.id]
        if tier == "exact" and not variants:
            answer = Answer(answer.job, answer.tokens[:EXACT_MOST], answer.finish)
        text = prompt.tokens(judge.tokenizer)
        how = sampling(mode, prompt.id)
        logits = judge.read(text, answer.tokens)
        found = judge.margins(logits, answer.tokens, how, len(text))
        if variants:
            other = answers[(prompt.id + 1) % len(answers)] if len(answers) > 1 else answer
            shortened = prompt.shortened(judge.tokenizer)
            entry = _Variants(judge, mode, text, answer, logits, how).all(other, shortened)
            store.append(variants_file, entry)
        store.append(file, {"job": prompt.id, "margins": store.pack_margins(found)})
        if number % 25 == 0 or number == len(todo):
            print(f"{tier} {name}.{mode}: {len(done) + number} scored", flush=True)


class _Variants:
    def __init__(
        self,
        judge: Judge,
        mode: str,
        text: list[int],
        answer: Answer,
        logits: NDArray[np.float32],
        how: Sampling,
    ) -> None:
        self.judge, self.mode, self.text, self.answer, self.logits, self.how = (
            judge,
            mode,
            text,
            answer,
            logits,
            how,
        )
        self.end = min(judge.tokenizer.end_tokens)
        self.lengths = [n for n in LENGTHS if n <= len(answer.tokens)]
        draw = np.random.Generator(np.random.Philox(key=answer.job + 1))
        self.random = [t for t in draw.integers(100, logits.shape[1], 600).tolist() if t != self.end]

    def all(self, other: Answer, shortened: list[int]) -> dict[str, object]:
        tokens, job = self.answer.tokens, self.answer.job
        entry: dict[str, object] = {
            "job": job,
            "forged_end": {n: self._one(n - 1, self.end) for n in self.lengths if tokens[n - 1] != self.end},
            "changed_last": {n: self._one(n - 1, self._wrong(n - 1)) for n in self.lengths},
            "steered_first": self._one(0, self._runner_up(0)),
            "steered_middle": {n: self._one(n // 2, self._runner_up(n // 2)) for n in self.lengths},
            "steered_last": {n: self._one(n - 1, self._runner_up(n - 1)) for n in self.lengths},
        }
        if self.mode == "greedy":
            how = sampling("t08", job)
            entry["greedy_as_sampled"] = self._lie(how)
        else:
            seed, address, temperature, top_p = (
                self.how.seed,
                self.how.node,
                self.how.temperature,
                self.how.top_p,
            )
            entry["sampled_as_greedy"] = self._lie(Sampling())
            entry["other_seed"] = self._lie(Sampling(seed + 1, address, temperature, top_p), 64)
            entry["other_node"] = self._lie(Sampling(seed, node(job + 1_000_000), temperature, top_p), 16)
            entry["temperature"] = self._lie(Sampling(seed, address, MICRO, top_p))
            entry["top_p"] = self._lie(Sampling(seed, address, temperature, 850_000))
        # From here on the judge's text changes: the longest first, each a prefix of the one before.
        if job < REREAD:
            entry["changed_middle"] = {n: self._changed(n // 2) for n in reversed(self.lengths)}
            entry["changed_first"] = self._changed(0)
            entry["copied"] = self._copied(other)
            entry["other_prompt"] = self._other_prompt(shortened)
        return entry

    def _one(self, row: int, token: int) -> float:
        at = len(self.text) + row
        margin = float(self.judge.margins(self.logits[row : row + 1], [token], self.how, at)[0])
        return margin if np.isfinite(margin) else 1e9

    def _wrong(self, row: int) -> int:
        return int(next(t for t in self.random[row:] if t != self.answer.tokens[row]))

    def _runner_up(self, row: int) -> int:
        # what a node says that wants to steer the answer and be seen least
        logits: NDArray[np.float32] = self.logits[row].copy()
        logits[self.answer.tokens[row]] = -1e9
        return choose(logits, self.how, len(self.text) + row)

    def _lie(self, how: Sampling, most: int = 256) -> str:
        return store.pack_margins(
            self.judge.margins(self.logits[:most], self.answer.tokens[:most], how, len(self.text))
        )

    def _changed(self, row: int) -> str:
        tokens, wrong = self.answer.tokens, self._wrong(row)
        at = len(self.text) + row
        own = self.judge.margins(self.logits[row : row + 1], [wrong], self.how, at)
        after = tokens[row + 1 : row + 1 + AFTER]
        if not after:
            return store.pack_margins(own)
        logits = self.judge.again(at, [wrong, *after[:-1]])
        rest = self.judge.margins(logits, after, self.how, at + 1)
        return store.pack_margins(np.concatenate([own, rest]))

    def _copied(self, other: Answer) -> str:
        tokens = other.tokens[:AFTER]
        first = self.judge.again(len(self.text) - 1, [self.text[-1], *tokens[:-1]])
        return store.pack_margins(self.judge.margins(first, tokens, self.how, len(self.text)))

    def _other_prompt(self, shortened: list[int]) -> str:
        tokens = self.answer.tokens[:AFTER]
        logits = self.judge.read(shortened, tokens)
        # the noise is that of the positions the node used, so that only the prompt differs
        return store.pack_margins(self.judge.margins(logits, tokens, self.how, len(self.text)))
