"""Prompts and outputs in NaCl sealed boxes (docs/protocol.md section 3): X25519, XSalsa20-Poly1305.

A sealed box does not say who sealed it: what is inside counts only after `tokens.check_prompt` or
`tokens.check_output` has held it against a signed message.
"""

from collections.abc import Sequence

from nacl.exceptions import CryptoError
from nacl.public import PrivateKey, PublicKey, SealedBox

from .messages import MAX_TOKENS
from .tokens import pack, unpack

_PROMPT = b"capek/prompt/1"
_OUTPUT = b"capek/output/1"

MAX_BOX = 48 + len(_PROMPT) + 32 + 32 + 4 * MAX_TOKENS
"""Bytes of the largest box anybody need accept: 48 are libsodium's crypto_box_SEALBYTES."""


class SealError(ValueError):
    """A box that does not open with this key, or that holds something else than it should."""


def keypair() -> tuple[bytes, bytes]:
    """A fresh X25519 key: (private, public), 32 bytes each."""
    private = PrivateKey.generate()
    return bytes(private), bytes(private.public_key)


def seal_prompt(node_key: bytes, job_hash: bytes, secret: bytes, tokens: Sequence[int]) -> bytes:
    """Seal a prompt and its 32-byte secret to the node's public key from NodeRegistry.

    Raises:
        SealError: that key, the secret or the job hash can't be used.
    """
    if len(secret) != 32:
        raise SealError("a job's secret is 32 bytes")
    return _seal(node_key, _PROMPT, job_hash, secret + pack(tokens))


def open_prompt(private_key: bytes, job_hash: bytes, box: bytes) -> tuple[bytes, list[int]]:
    """The secret and the prompt's token ids; hold them against the Job with `tokens.check_prompt`.

    Raises:
        SealError: the box does not open with this key, or its header, job hash or length differ.
    """
    body = _open(private_key, _PROMPT, job_hash, box)
    if len(body) < 32:
        raise SealError("the box holds no secret: seal the prompt again")
    return body[:32], _tokens(body[32:])


def seal_output(client_key: bytes, job_hash: bytes, tokens: Sequence[int]) -> bytes:
    """Seal an output to the Job's `clientKey`.

    Raises:
        SealError: that key or the job hash can't be used.
    """
    return _seal(client_key, _OUTPUT, job_hash, pack(tokens))


def open_output(private_key: bytes, job_hash: bytes, box: bytes) -> list[int]:
    """The output's token ids; hold them against the Completion with `tokens.check_output`.

    Raises:
        SealError: the box does not open with this key, or its header, job hash or length differ.
    """
    return _tokens(_open(private_key, _OUTPUT, job_hash, box))


def _seal(key: bytes, header: bytes, job_hash: bytes, body: bytes) -> bytes:
    if len(job_hash) != 32:
        raise SealError("a job hash is 32 bytes")
    if len(key) != 32:
        raise SealError("an X25519 public key is 32 bytes")
    try:
        return SealedBox(PublicKey(key)).encrypt(header + job_hash + body)
    except CryptoError:
        # A point of low order, zero for one: everybody could open what is sealed to it.
        raise SealError("this X25519 key is not fit to seal to: its owner must make a new one") from None


def _open(key: bytes, header: bytes, job_hash: bytes, box: bytes) -> bytes:
    if len(box) > MAX_BOX:
        raise SealError(f"the box has {len(box)} bytes, more than any job can need ({MAX_BOX})")
    try:
        plain = SealedBox(PrivateKey(key)).decrypt(box)
    except (CryptoError, ValueError, TypeError):
        raise SealError("the box does not open with this key: seal it to the key named now") from None
    if not plain.startswith(header + job_hash):
        raise SealError("the box was made for another job or purpose: seal it again for this one")
    return plain[len(header) + len(job_hash) :]


def _tokens(packed: bytes) -> list[int]:
    if len(packed) % 4:
        raise SealError("the box does not hold whole token ids: seal it again")
    return unpack(packed)
