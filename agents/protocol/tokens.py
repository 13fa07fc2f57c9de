"""Token ids that hide: masked sequences and their hashes (docs/protocol.md section 2).

A sequence is masked by a secret that only a dispute reveals: a short or likely prompt can't be guessed from
its hash on chain, and a dispute can still post the sequence as it was hashed.
"""

from collections.abc import Sequence

from eth_hash.auto import keccak

from .messages import Completion, Job

PROMPT = 0
OUTPUT = 1


class TokenError(ValueError):
    """Token ids, a secret or a masked sequence of the wrong shape."""


class NotSigned(ValueError):
    """A prompt or an output that is not the one its signed message names."""


def mask(secret: bytes, kind: int, tokens: Sequence[int]) -> bytes:
    """The masked sequence, 4 bytes a token; `secret` is 32 bytes, `kind` PROMPT or OUTPUT.

    Raises:
        TokenError: the secret is not 32 bytes, the kind unknown, or a token outside uint32.
    """
    return _xor(secret, kind, pack(tokens))


def unmask(secret: bytes, kind: int, masked: bytes) -> list[int]:
    """The token ids of a masked sequence.

    Raises:
        TokenError: as `mask`, or the length is not a multiple of 4.
    """
    return unpack(_xor(secret, kind, masked))


def masked_hash(secret: bytes, kind: int, tokens: Sequence[int]) -> bytes:
    """keccak of the masked sequence (32 bytes): `promptHash` or `outputHash`."""
    return keccak(mask(secret, kind, tokens))


def check_prompt(job: Job, secret: bytes, tokens: Sequence[int]) -> None:
    """Check that secret and prompt are those the Job names.

    Raises:
        NotSigned: secretHash, promptTokens or promptHash differ.
    """
    if keccak(secret) != job.secret_hash:
        raise NotSigned("the secret is not the one whose hash the job names: seal the prompt again")
    if len(tokens) != job.prompt_tokens:
        raise NotSigned(f"the prompt has {len(tokens)} tokens, the job names {job.prompt_tokens}")
    if masked_hash(secret, PROMPT, tokens) != job.prompt_hash:
        raise NotSigned("the prompt is not the one whose hash the job names")


def check_output(completion: Completion, secret: bytes, tokens: Sequence[int]) -> None:
    """Check that an output is the one a Completion commits to.

    Raises:
        NotSigned: outputTokens or outputHash differ.
    """
    if len(tokens) != completion.output_tokens:
        raise NotSigned(f"the output has {len(tokens)} tokens, its completion {completion.output_tokens}")
    if masked_hash(secret, OUTPUT, tokens) != completion.output_hash:
        raise NotSigned("the output is not the one the node committed to: do not approve, demand delivery")


def pack(tokens: Sequence[int]) -> bytes:
    """Token ids as big-endian uint32.

    Raises:
        TokenError: a token outside uint32.
    """
    try:
        return b"".join(t.to_bytes(4, "big") for t in tokens)
    except OverflowError:
        raise TokenError("token ids are unsigned 32-bit integers") from None


def unpack(packed: bytes) -> list[int]:
    """The token ids of big-endian uint32 bytes.

    Raises:
        TokenError: the length is not a multiple of 4.
    """
    if len(packed) % 4:
        raise TokenError(f"{len(packed)} bytes are no sequence of 4-byte token ids")
    return [int.from_bytes(packed[i : i + 4], "big") for i in range(0, len(packed), 4)]


def _xor(secret: bytes, kind: int, packed: bytes) -> bytes:
    if len(secret) != 32:
        raise TokenError("a job's secret is 32 bytes")
    if kind not in (PROMPT, OUTPUT):
        raise TokenError("kind is 0 (prompt) or 1 (output)")
    if len(packed) % 4:
        raise TokenError(f"{len(packed)} bytes are no sequence of 4-byte token ids")
    head = secret + bytes([kind])
    pad = b"".join(keccak(head + i.to_bytes(4, "big"))[:4] for i in range(len(packed) // 4))
    mixed = int.from_bytes(packed, "big") ^ int.from_bytes(pad, "big")
    return mixed.to_bytes(len(packed), "big")
