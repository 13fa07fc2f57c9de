"""What a function asks and what the host answers, as values: decoded from memory, and hashed for a trace."""

import hashlib
import math
import struct
from dataclasses import dataclass

import numpy as np

from agents.protocol.sampling import MICRO
from agents.tuning import abi
from agents.tuning.abi import Loss, Op, Policy
from agents.tuning.errors import BadCall

Tokens = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Item:
    """One line of a batch: a prompt, an answer, its weight; for DPO also the worse answer."""

    prompt: Tokens
    answer: Tokens
    weight: float = 1.0
    worse: Tokens = ()


@dataclass(frozen=True, slots=True)
class Call:
    """One host call. `op` says which of the fields mean something; `digest` covers every argument.

    work: tokens it sends through the model; `room`: bytes that its reply may have.
    """

    op: Op
    digest: bytes
    work: int = 0
    room: int = 0
    index: int = 0
    policy: Policy = Policy.PARENT
    prompt: Tokens = ()
    answer: Tokens = ()
    max_tokens: int = 0
    temperature: int = 0
    top_p: int = MICRO
    seed: int = 0
    loss: Loss = Loss.SFT
    rate: float = 0.0
    beta: float = 0.0
    items: tuple[Item, ...] = ()
    text: bytes = b""


@dataclass(frozen=True, slots=True)
class Reply:
    """What the host answers: the value returned (None for none) and the bytes written where the call says."""

    value: int | float | None = None
    data: bytes = b""


def plain(op: Op, scalars: tuple[int, ...], *, room: int = 0, index: int = 0, text: bytes = b"") -> Call:
    """A call of `params`, `task`, `preference` or `log`."""
    return Call(op, digest(op, scalars, text), room=room, index=index, text=text)


def sample(
    scalars: tuple[int, ...],
    policy: int,
    prompt: bytes,
    max_tokens: int,
    temperature: int,
    top_p: int,
    seed: int,
) -> Call:
    """Raises: BadCall."""
    if not 0 < top_p <= MICRO or temperature < 0:
        raise BadCall("sample: temperature is at least 0, top_p from 1 to 1000000, both in millionths")
    if max_tokens < 1:
        raise BadCall("sample: max_tokens is at least 1")
    said = tokens(prompt)
    _need(said, "sample: the prompt")
    return Call(
        Op.SAMPLE,
        digest(Op.SAMPLE, scalars, prompt),
        work=len(said) + max_tokens,
        room=4 * max_tokens,
        policy=_policy(policy),
        prompt=said,
        max_tokens=max_tokens,
        temperature=temperature,
        top_p=top_p,
        seed=seed & (1 << 64) - 1,
    )


def score(scalars: tuple[int, ...], policy: int, prompt: bytes, answer: bytes) -> Call:
    """Raises: BadCall."""
    asked, said = tokens(prompt), tokens(answer)
    _need(asked, "score: the prompt")
    _need(said, "score: the answer")
    return Call(
        Op.SCORE,
        digest(Op.SCORE, scalars, prompt, answer),
        work=len(asked) + len(said),
        policy=_policy(policy),
        prompt=asked,
        answer=said,
    )


def gradient(scalars: tuple[int, ...], loss: int, batch: bytes, rate: float, beta: float) -> Call:
    """Raises: BadCall."""
    if loss not in Loss.__members__.values():
        raise BadCall(f"gradient: loss {loss} is none of 0 (SFT), 1 (DPO), 2 (weighted policy gradient)")
    kind = Loss(loss)
    if not 0 < rate <= abi.MAX_RATE:
        raise BadCall(f"gradient: a learning rate of {rate:g} is not above 0 and at most {abi.MAX_RATE:g}")
    if kind is Loss.DPO and not 0 < beta <= abi.MAX_BETA:
        raise BadCall(f"gradient: a beta of {beta:g} is not above 0 and at most {abi.MAX_BETA:g}")
    if not math.isfinite(beta):
        raise BadCall("gradient: beta is not finite")
    items = _batch(kind, batch)
    # A pass back costs about two forward; DPO's reference is one more forward.
    each = 4 if kind is Loss.DPO else 3
    work = each * sum(
        len(i.prompt) + len(i.answer) + (len(i.prompt) + len(i.worse) if i.worse else 0) for i in items
    )
    numbers = struct.pack("<ff", rate, beta)
    return Call(
        Op.GRADIENT,
        digest(Op.GRADIENT, scalars, numbers, batch),
        work=work,
        loss=kind,
        rate=rate,
        beta=beta,
        items=items,
    )


def digest(op: Op, scalars: tuple[int, ...], *blobs: bytes) -> bytes:
    """sha2-256 over the operation, every scalar argument (pointers too) and what the pointers point to."""
    found = hashlib.sha256(bytes([op, len(scalars), len(blobs)]))
    for value in scalars:
        found.update((value & (1 << 64) - 1).to_bytes(8, "little"))
    for blob in blobs:
        found.update(len(blob).to_bytes(8, "little"))
        found.update(blob)
    return found.digest()


def tokens(data: bytes) -> Tokens:
    """Little-endian uint32 token ids."""
    return tuple(np.frombuffer(data, dtype="<u4").tolist())


def pack(ids: Tokens) -> bytes:
    """The other way."""
    return np.asarray(ids, dtype="<u4").tobytes()


def _policy(value: int) -> Policy:
    if value not in Policy.__members__.values():
        raise BadCall(f"policy {value} is neither 0 (the parent version) nor 1 (the function's own)")
    return Policy(value)


def _need(ids: Tokens, what: str) -> None:
    if not ids:
        raise BadCall(f"{what} is empty")


def _batch(kind: Loss, data: bytes) -> tuple[Item, ...]:
    """count, then for each item its header and its tokens, little-endian, back to back."""
    if len(data) < 4:
        raise BadCall("gradient: a batch begins with its number of items")
    (count,) = struct.unpack_from("<I", data)
    if not 1 <= count <= abi.MAX_BATCH:
        raise BadCall(f"gradient: a batch has 1 to {abi.MAX_BATCH} items, this names {count}")
    at, items = 4, []
    for number in range(count):
        where = f"gradient: item {number}"
        size = 8 if kind is Loss.SFT else 12
        if at + size > len(data):
            raise BadCall(f"{where} lies beyond the batch's {len(data)} bytes")
        weight, worse = 1.0, 0
        if kind is Loss.POLICY:
            prompt, answer, weight = struct.unpack_from("<IIf", data, at)
        elif kind is Loss.DPO:
            prompt, answer, worse = struct.unpack_from("<III", data, at)
        else:
            prompt, answer = struct.unpack_from("<II", data, at)
        at += size
        end = at + 4 * (prompt + answer + worse)
        if end > len(data):
            raise BadCall(f"{where} has more tokens than the batch's {len(data)} bytes hold")
        if not prompt or not answer or (kind is Loss.DPO and not worse):
            raise BadCall(f"{where} has an empty prompt or answer")
        if not abs(weight) <= abi.MAX_WEIGHT:
            raise BadCall(f"{where} has weight {weight:g}: finite and at most {abi.MAX_WEIGHT:g} are allowed")
        ids = tokens(data[at:end])
        items.append(Item(ids[:prompt], ids[prompt : prompt + answer], float(weight), ids[prompt + answer :]))
        at = end
    if at != len(data):
        raise BadCall(f"gradient: the batch has {len(data) - at} bytes after its last item")
    return tuple(items)
