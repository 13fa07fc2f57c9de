"""What a tuning function's host must be able to do, and how its replies are laid out in linear memory."""

import math
import struct
from dataclasses import dataclass
from typing import Protocol

from agents.tuning.abi import Op, Task
from agents.tuning.calls import Call, Reply, Tokens, pack
from agents.tuning.errors import BadCall, BadLoss
from agents.tuning.sandbox import Dispatch

_READING = (Op.PARAMS, Op.TASK, Op.PREFERENCE, Op.LOG)


@dataclass(frozen=True, slots=True)
class Pair:
    """A preference as a function sees it: the prompt, the better and the worse answer, as token ids."""

    prompt: Tokens
    better: Tokens
    worse: Tokens


class Host(Protocol):
    """The expensive half of tuning. Calls come checked: token ids exist, texts fit the context."""

    def preference(self, index: int) -> Pair:
        """A preference of the task's batch, in its order."""

    def sample(self, call: Call) -> Tokens:
        """An answer by the parent version, or by the adapter as it stood at the last `state` or `restore`."""

    def score(self, call: Call) -> float:
        """Sum of the natural logarithms of an answer's token probabilities, the adapter as it stands now."""

    def gradient(self, call: Call) -> float:
        """Take one optimizer step; the loss before it.

        Raises:
            BadLoss: the loss or a gradient is not finite; the adapter is as before.
        """

    def margin(self, call: Call, said: Tokens) -> float:
        """How far somebody's answer to `sample` is from this host's own, in logits (docs/rastic.md)."""

    def state(self) -> bytes:
        """Adapter, optimizer and random state: all that `restore` needs, in one form on every machine."""

    def restore(self, state: bytes) -> None:
        """Go back to a state.

        Raises:
            BadAdapter: it is none, or one of another model.
        """

    def drift(self, start: bytes, end: bytes) -> "Drift":
        """How far somebody's `end` is from the state here, both reached from `start`.

        Raises:
            BadAdapter: one of them is no state.
        """


@dataclass(frozen=True, slots=True)
class Drift:
    """Two runs of one segment, compared.

    update: ‖adapter here − adapter at the start‖. adapter: ‖theirs − ours‖ ÷ update. moments: the larger of
    both moments' ‖theirs − ours‖ ÷ ‖ours‖. Infinite where only one of the two moved.
    """

    update: float
    adapter: float
    moments: float

    @property
    def largest(self) -> float:
        """What is held against the tolerance."""
        return max(self.adapter, self.moments)


def answering(host: Host, task: Task, params: bytes) -> Dispatch:
    """Answer host calls by a host. What breaks the model's own bounds is refused here, before the host."""

    def dispatch(call: Call) -> Reply:
        if call.op is Op.PARAMS:
            return Reply(len(params), params[: call.room])
        if call.op is Op.TASK:
            return Reply(None, pack_task(task))
        if call.op is Op.PREFERENCE:
            if call.index >= task.preferences:
                raise BadCall(f"preference: there are {task.preferences}, asked for {call.index}")
            data = pack_pair(host.preference(call.index))
            return Reply(len(data), data[: call.room])
        if call.op is Op.LOG:
            return Reply()
        _check(call, task)
        if call.op is Op.SAMPLE:
            said = host.sample(call)
            return Reply(len(said), pack(said))
        value = host.score(call) if call.op is Op.SCORE else host.gradient(call)
        if not math.isfinite(value):
            raise BadLoss(f"{call.op.name.lower()}: the host's answer is not finite, the model is wrecked")
        return Reply(value)

    return dispatch


def reading_only(dispatch: Dispatch) -> Dispatch:
    """What `init` may ask: the model is not touched before the first checkpoint."""

    def checked(call: Call) -> Reply:
        if call.op not in _READING:
            raise BadCall(f"{call.op.name.lower()}: not in `init`, only in `step`")
        return dispatch(call)

    return checked


def pack_task(task: Task) -> bytes:
    """32 bytes: shard, shards, seed (64 bits), preferences, vocabulary, context, 0."""
    return struct.pack(
        "<IIQIIII",
        task.shard,
        task.shards,
        task.seed,
        task.preferences,
        task.vocabulary,
        task.context,
        0,
    )


def pack_pair(pair: Pair) -> bytes:
    """Three lengths, then the tokens of prompt, better and worse answer."""
    lengths = struct.pack("<III", len(pair.prompt), len(pair.better), len(pair.worse))
    return lengths + pack(pair.prompt + pair.better + pair.worse)


def _check(call: Call, task: Task) -> None:
    texts = [(call.prompt, call.answer), *((i.prompt, i.answer) for i in call.items)]
    texts += [(i.prompt, i.worse) for i in call.items if i.worse]
    for prompt, answer in texts:
        length = len(prompt) + max(len(answer), call.max_tokens)
        if length > task.context:
            raise BadCall(
                f"{call.op.name.lower()}: {length} tokens exceed the model's context of {task.context}"
            )
        if max((*prompt, *answer), default=0) >= task.vocabulary:
            raise BadCall(f"{call.op.name.lower()}: a token is outside the vocabulary of {task.vocabulary}")
