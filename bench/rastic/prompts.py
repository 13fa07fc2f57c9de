"""The held-out prompts: bench/data/rastic/prompts.jsonl, in an order in which any first part is diverse."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from agents.engine.interface import Tokenizer
from agents.protocol.sampling import Sampling

DATA = Path(__file__).parent.parent / "data" / "rastic"
TEMPERATURE, TOP_P = 800_000, 950_000
MODES = ("greedy", "t08")


@dataclass(frozen=True, slots=True)
class Prompt:
    """`kind` and `language` only describe it; `messages` is the conversation to be continued."""

    id: int
    kind: str
    language: str
    messages: tuple[dict[str, str], ...]

    def tokens(self, tokenizer: Tokenizer) -> list[int]:
        """The token ids a client would send."""
        return tokenizer.tokenize_chat(self.messages)

    def shortened(self, tokenizer: Tokenizer) -> list[int]:
        """The prompt of a node that saves itself half of the last message."""
        last = self.messages[-1]
        words = last["content"].split(" ")
        content = " ".join(words[: max(len(words) // 2, 1)]) if len(words) > 1 else last["content"][:1]
        return tokenizer.tokenize_chat([*self.messages[:-1], {**last, "content": content}])


def load() -> list[Prompt]:
    """All prompts, in the order of the file."""
    lines = (DATA / "prompts.jsonl").read_text().splitlines()
    return [Prompt(**{**entry, "messages": tuple(entry["messages"])}) for entry in map(json.loads, lines)]


def sampling(mode: str, job: int) -> Sampling:
    """What the client of job number `job` asks for: a seed and a node of its own for each."""
    if mode == "greedy":
        return Sampling()
    return Sampling(1_000 + job, node(job), TEMPERATURE, TOP_P)


def node(job: int) -> bytes:
    """The address of the node that serves a job."""
    return hashlib.blake2b(job.to_bytes(4, "big"), digest_size=20).digest()


def some(prompts: Sequence[Prompt], count: int | None) -> Sequence[Prompt]:
    """The first `count`, or all."""
    return prompts[:count]
