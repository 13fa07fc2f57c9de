"""What a node says it did."""

from dataclasses import dataclass

from agents.protocol.messages import Finish


@dataclass(frozen=True, slots=True)
class Claim:
    """An output as delivered, its hash already checked against the completion.

    tokens: the output's ids, the end token included.
    finish: why the node says it ended.
    max_tokens: the job's limit.
    end_tokens: ids that end an answer, from the model's manifest.
    greedy: whether the job's temperature is 0, which has thresholds of its own.
    """

    tokens: tuple[int, ...]
    finish: Finish
    max_tokens: int
    end_tokens: frozenset[int]
    greedy: bool
