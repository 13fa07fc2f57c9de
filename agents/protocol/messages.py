"""The EIP-712 messages of docs/protocol.md section 1: types, hashes, signatures and their JSON.

Each message is a frozen dataclass whose annotations carry the Solidity types. Type string, ABI encoding,
struct hash, typed data and JSON are derived from them, so that there is one definition.
"""

import re
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, fields
from enum import IntEnum
from functools import cache, lru_cache
from typing import Annotated, Any, TypeVar, cast, get_args, get_type_hints

from eth_abi.abi import encode
from eth_keys.datatypes import PrivateKey, Signature
from eth_keys.exceptions import BadSignature
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak
from eth_utils.exceptions import ValidationError

Address = Annotated[str, "address"]
Bytes32 = Annotated[bytes, "bytes32"]
Bytes = Annotated[bytes, "bytes"]
Uint8 = Annotated[int, "uint8"]
Uint32 = Annotated[int, "uint32"]
Uint64 = Annotated[int, "uint64"]
Uint128 = Annotated[int, "uint128"]
Uint256 = Annotated[int, "uint256"]

MAX_TOKENS = 16_384
"""Most tokens, prompt and answer together, that a job may have (64 KiB of evidence in a dispute)."""

_DOMAIN = {"name": "string", "version": "string", "chainId": "uint256", "verifyingContract": "address"}
_SECP256K1_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
_DECIMAL = re.compile(r"0|[1-9][0-9]*")
_HEX = re.compile(r"0x(?:[0-9a-fA-F]{2})*")


class MessageError(ValueError):
    """A value that does not fit its message; the text names the field and what it must be."""


class SignatureError(ValueError):
    """A signature that no key can have made over this message, or a private key that is not one."""


class Finish(IntEnum):
    """Why an answer ended."""

    END = 0
    LENGTH = 1
    CUT = 2


class Message:
    """Base of the signed messages: every value is checked against its Solidity type on construction."""

    __slots__ = ()

    def __post_init__(self) -> None:
        for f in _members(type(self)):
            _check(type(self).__name__, f, getattr(self, f.python))


@dataclass(frozen=True, slots=True)
class Job(Message):
    """What a client asks and offers, signed by the client. Amounts in base units, prices a million tokens."""

    collector: Address
    channel: Bytes32
    client: Address
    node: Address
    model_id: Uint64
    version: Uint32
    prompt_hash: Bytes32
    prompt_tokens: Uint32
    max_tokens: Uint32
    secret_hash: Bytes32
    seed: Uint64
    temperature: Uint32
    top_p: Uint32
    input_price: Uint64
    output_price: Uint64
    model_fee: Uint64
    ceiling: Uint128
    deadline: Uint64
    bit_class: Bytes32
    client_key: Bytes32


@dataclass(frozen=True, slots=True)
class Acceptance(Message):
    """A node's promise to serve a job opened by `expires` (chain time, seconds), signed by its operator."""

    job_hash: Bytes32
    expires: Uint64


@dataclass(frozen=True, slots=True)
class Completion(Message):
    """A node's commitment to an output, signed by its operator. `finish` is a `Finish`."""

    job_hash: Bytes32
    node: Address
    output_hash: Bytes32
    output_tokens: Uint32
    finish: Uint8
    served_at: Uint64
    pay_to: Address


@dataclass(frozen=True, slots=True)
class Payment(Message):
    """A payer's leave to pay `payee` (a contract) from its Vault balance and to hand it `data`."""

    payer: Address
    payee: Address
    amount: Uint256
    data: Bytes
    nonce: Uint256
    deadline: Uint64


@dataclass(frozen=True, slots=True)
class Domain:
    """The one EIP-712 domain of a deployment: its chain and its Vault (checksummed address)."""

    chain_id: int
    vault: str

    def __post_init__(self) -> None:
        _check("Domain", _Member("chain_id", "chainId", "uint256"), self.chain_id)
        _check("Domain", _Member("vault", "vault", "address"), self.vault)

    def to_json(self) -> dict[str, Any]:
        """The `domain` object of eth_signTypedData_v4."""
        return {"name": "Capek", "version": "1", "chainId": self.chain_id, "verifyingContract": self.vault}


M = TypeVar("M", bound=Message)


def as_tuple(message: Message) -> tuple[Any, ...]:
    """The fields in ABI order, as a contract call takes them."""
    return tuple(getattr(message, f.python) for f in _members(type(message)))


def abi_type(cls: type[Message]) -> str:
    """The ABI type of the struct, for example `(bytes32,uint64)`."""
    return f"({','.join(f.solidity for f in _members(cls))})"


def type_string(cls: type[Message]) -> str:
    """EIP-712 encodeType, for example `Acceptance(bytes32 jobHash,uint64 expires)`."""
    return f"{cls.__name__}({','.join(f'{f.solidity} {f.name}' for f in _members(cls))})"


def type_hash(cls: type[Message]) -> bytes:
    """keccak of the type string (32 bytes)."""
    return _type_hash(cast(Hashable, cls))


def struct_hash(message: Message) -> bytes:
    """EIP-712 hashStruct (32 bytes); of a Job, it is the `jobHash` used everywhere."""
    types, values = ["bytes32"], [type_hash(type(message))]
    for f in _members(type(message)):
        value = getattr(message, f.python)
        dynamic = f.solidity == "bytes"
        types.append("bytes32" if dynamic else f.solidity)
        values.append(keccak(value) if dynamic else value)
    return keccak(encode(types, values))


@lru_cache(maxsize=64)
def domain_separator(domain: Domain) -> bytes:
    """EIP-712 hashStruct of the domain (32 bytes), as OpenZeppelin's EIP712 computes it."""
    kind = keccak(text="EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)")
    words = [kind, keccak(text="Capek"), keccak(text="1"), domain.chain_id, domain.vault]
    return keccak(encode(["bytes32", "bytes32", "bytes32", "uint256", "address"], words))


def digest(domain: Domain, message: Message) -> bytes:
    """The 32 bytes that are signed: keccak(0x1901 ‖ domain separator ‖ struct hash)."""
    return keccak(b"\x19\x01" + domain_separator(domain) + struct_hash(message))


def typed_data(domain: Domain, message: Message) -> dict[str, Any]:
    """The argument of a wallet's eth_signTypedData_v4, JSON-ready."""
    members = [(f.name, f.solidity) for f in _members(type(message))]
    name = type(message).__name__
    return {
        "types": {
            "EIP712Domain": [{"name": n, "type": t} for n, t in _DOMAIN.items()],
            name: [{"name": n, "type": t} for n, t in members],
        },
        "primaryType": name,
        "domain": domain.to_json(),
        "message": to_json(message),
    }


def sign(domain: Domain, message: Message, private_key: bytes) -> bytes:
    """Sign with a 32-byte secp256k1 key: 65 bytes r ‖ s ‖ v, low s, v 27 or 28.

    Raises:
        SignatureError: the private key is not 32 bytes in the curve's range.
    """
    if len(private_key) != 32 or not 0 < int.from_bytes(private_key, "big") < _SECP256K1_ORDER:
        raise SignatureError("the private key is no secp256k1 key of 32 bytes: check its keystore")
    signature = PrivateKey(bytes(private_key)).sign_msg_hash(digest(domain, message)).to_bytes()
    return signature[:64] + bytes([signature[64] + 27])


def recover(domain: Domain, message: Message, signature: bytes) -> str:
    """The checksummed address whose key signed, by OpenZeppelin's ECDSA rules: 65 bytes, low s, v 27 or 28.

    Raises:
        SignatureError: the signature breaks those rules or no public key fits it.
    """
    if len(signature) != 65 or signature[64] not in (27, 28):
        raise SignatureError("a signature is 65 bytes r, s, v with v 27 or 28: ask for it again")
    if int.from_bytes(signature[32:64], "big") > _SECP256K1_ORDER // 2:
        raise SignatureError("the signature's s lies in the upper half, which contracts refuse: sign again")
    try:
        parsed = Signature(signature[:64] + bytes([signature[64] - 27]))
        return parsed.recover_public_key_from_msg_hash(digest(domain, message)).to_checksum_address()
    except (BadSignature, ValidationError):
        raise SignatureError("no key can have made this signature: it belongs to another message") from None


def to_json(message: Message) -> dict[str, Any]:
    """JSON values under the EIP-712 names: integers above 32 bits as decimal strings, bytes as 0x hex."""
    return {f.name: _to_json(f, getattr(message, f.python)) for f in _members(type(message))}


def from_json(cls: type[M], value: object) -> M:
    """Read what `to_json` wrote; nothing else passes.

    Raises:
        MessageError: a field is missing, unknown, of the wrong JSON type or out of range.
    """
    if not isinstance(value, Mapping):
        raise MessageError(f"{cls.__name__} must be a JSON object, not {type(value).__name__}")
    members = _members(cls)
    names = [f.name for f in members]
    if missing := [n for n in names if n not in value]:
        raise MessageError(f"{cls.__name__} lacks {', '.join(missing)}")
    if unknown := [str(n) for n in value if n not in names]:
        raise MessageError(f"{cls.__name__} has unknown fields: {', '.join(unknown)[:200]}")
    return cls(**{f.python: _from_json(cls.__name__, f, value[f.name]) for f in members})


def model_id(trainer: str, name: str) -> int:
    """The registry's id of a model: the first 8 bytes of keccak(abi.encode(trainer, name)), as a uint64."""
    return int.from_bytes(keccak(encode(["address", "string"], [trainer, name]))[:8], "big")


@dataclass(frozen=True, slots=True)
class _Member:
    python: str
    name: str
    solidity: str

    @property
    def bits(self) -> int:
        return int(self.solidity.removeprefix("uint"))


def _members(cls: type[Message]) -> tuple[_Member, ...]:
    return _derive(cast(Hashable, cls))  # the cast: mypy holds a class with slots to be unhashable


@cache
def _type_hash(cls: type[Message]) -> bytes:
    return keccak(text=type_string(cls))


@cache
def _derive(cls: Any) -> tuple[_Member, ...]:
    hints = get_type_hints(cls, include_extras=True)
    out = []
    for f in fields(cls):
        head, *rest = f.name.split("_")
        out.append(_Member(f.name, head + "".join(w.capitalize() for w in rest), get_args(hints[f.name])[1]))
    return tuple(out)


def _check(owner: str, f: _Member, value: object) -> None:
    where = f"{owner}.{f.name}"
    if f.solidity == "address":
        if not isinstance(value, str) or not is_checksum_address(value):
            raise MessageError(f"{where} must be a checksummed address (EIP-55)")
    elif f.solidity == "bytes32":
        if not isinstance(value, bytes) or len(value) != 32:
            raise MessageError(f"{where} must be 32 bytes")
    elif f.solidity == "bytes":
        if not isinstance(value, bytes):
            raise MessageError(f"{where} must be bytes")
    elif not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << f.bits:
        raise MessageError(f"{where} must be an integer from 0 to 2^{f.bits} - 1")


def is_checksum_address(value: str) -> bool:
    """Whether the text is a 20-byte address in EIP-55 case."""
    # Only what has an address's form may reach the cache: it would keep a stranger's megabytes.
    return re.fullmatch(r"0x[0-9a-fA-F]{40}", value) is not None and _has_checksum(value)


@lru_cache(maxsize=4096)
def _has_checksum(address: str) -> bool:
    return to_checksum_address(address) == address


def _to_json(f: _Member, value: Any) -> str | int:
    if f.solidity == "address":
        return str(value)
    if f.solidity.startswith("bytes"):
        return "0x" + bytes(value).hex()
    return int(value) if f.bits <= 32 else str(int(value))


def _from_json(owner: str, f: _Member, value: object) -> object:
    where = f"{owner}.{f.name}"
    if f.solidity == "address":
        return value
    if f.solidity.startswith("bytes"):
        if not isinstance(value, str) or not _HEX.fullmatch(value):
            raise MessageError(f"{where} must be a 0x hex string")
        return bytes.fromhex(value[2:])
    if f.bits <= 32:
        return value
    if not isinstance(value, str) or len(value) > 78 or not _DECIMAL.fullmatch(value):
        raise MessageError(f"{where} must be a decimal string: JSON numbers above 32 bits lose digits")
    return int(value)
