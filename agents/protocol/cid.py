"""Content identifiers: CIDv1 in base32, sha2-256, raw or dag-pb. Nothing else is made or accepted here."""

import base64
import binascii
import hashlib
from dataclasses import dataclass

RAW = 0x55
DAG_PB = 0x70

_TAIL = b"\x12\x20"  # multihash: sha2-256, 32 bytes
_BINARY_LENGTH = 36


class CidError(ValueError):
    """Text or bytes that are no CID of the one form used here."""


@dataclass(frozen=True, slots=True)
class Cid:
    """The name of one block: its codec (RAW or DAG_PB) and the sha2-256 digest of its bytes."""

    codec: int
    digest: bytes

    def __post_init__(self) -> None:
        if self.codec not in (RAW, DAG_PB):
            raise CidError(f"codec 0x{self.codec:x} is neither raw (0x55) nor dag-pb (0x70)")
        if len(self.digest) != 32:
            raise CidError("a sha2-256 digest is 32 bytes")

    def __str__(self) -> str:
        return "b" + base64.b32encode(bytes(self)).decode().rstrip("=").lower()

    def __bytes__(self) -> bytes:
        return bytes([1, self.codec]) + _TAIL + self.digest

    @classmethod
    def of(cls, block: bytes, codec: int = RAW) -> "Cid":
        """The CID of a block's bytes."""
        return cls(codec, hashlib.sha256(block).digest())

    @classmethod
    def parse(cls, text: str) -> "Cid":
        """Read the canonical text form, `bafk…` or `bafy…`.

        Raises:
            CidError: another version, base, codec or hash, or text that is not canonical.
        """
        shown = text[:80] if isinstance(text, str) else type(text).__name__
        if not isinstance(text, str) or len(text) != 59 or not text.startswith("b"):
            raise CidError(f"{shown!r} is no CIDv1 in base32 (59 characters, bafk… or bafy…)")
        try:
            cid = cls.decode(base64.b32decode(text[1:].upper() + "=" * 6))
        except (binascii.Error, ValueError) as error:
            raise CidError(f"{shown!r} is no CID used here: {error}") from None
        if str(cid) != text:
            raise CidError(f"{shown!r} is not written canonically: use {cid}")
        return cid

    @classmethod
    def decode(cls, binary: bytes) -> "Cid":
        """Read the 36-byte binary form.

        Raises:
            CidError: as `parse`.
        """
        if len(binary) != _BINARY_LENGTH or binary[0] != 1 or binary[2:4] != _TAIL:
            raise CidError("only CIDv1 with sha2-256 is used here")
        return cls(binary[1], binary[4:])

    def verifies(self, block: bytes | bytearray | memoryview) -> bool:
        """Whether these are the block's bytes."""
        return hashlib.sha256(block).digest() == self.digest
