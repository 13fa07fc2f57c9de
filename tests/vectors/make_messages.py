"""Writes messages.json: vectors of docs/protocol.md for the Python and the Solidity tests.

Hashes and signatures come from eth-account and prices and masks from the formulas written out, not from
agents.protocol, so the vectors check it. Run: python tests/vectors/make_messages.py
"""

import json
from fractions import Fraction
from math import ceil, floor
from pathlib import Path
from typing import Any

from eth_abi.abi import encode
from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

TYPES = {
    "Job": "address collector,bytes32 channel,address client,address node,uint64 modelId,uint32 version,"
    "bytes32 promptHash,uint32 promptTokens,uint32 maxTokens,bytes32 secretHash,uint64 seed,"
    "uint32 temperature,uint32 topP,uint64 inputPrice,uint64 outputPrice,uint64 modelFee,"
    "uint128 ceiling,uint64 deadline,bytes32 bitClass,bytes32 clientKey",
    "Acceptance": "bytes32 jobHash,uint64 expires",
    "Completion": "bytes32 jobHash,address node,bytes32 outputHash,uint32 outputTokens,uint8 finish,"
    "uint64 servedAt,address payTo",
    "Payment": "address payer,address payee,uint256 amount,bytes data,uint256 nonce,uint64 deadline",
    "Channel": "address collector,address payer,address payee,address signer,address payTo,uint64 modelId,"
    "uint64 inputPrice,uint64 outputPrice,uint64 modelFee,uint64 nonce",
    "ChannelAcceptance": "bytes32 channel,uint128 deposit,uint64 expires",
    "Voucher": "bytes32 channel,address payer,address payee,uint128 cumulativeAmount,"
    "uint128 cumulativeModelFee",
    "Receipt": "bytes32 jobHash,address node,bytes32 outputHash,uint32 outputTokens,uint8 finish,"
    "uint64 servedAt,address payTo,bytes32 channel,uint128 cumulativeAmount,uint128 cumulativeModelFee",
}
KEY = keccak(text="capek test key")
CHAIN, VAULT = 31337, to_checksum_address("0x" + keccak(text="vault")[:20].hex())
PRICE_FIELDS = ["promptTokens", "maxTokens", "inputPrice", "outputPrice", "modelFee", "ceiling"]


def fields(name: str) -> list[tuple[str, str]]:
    return [(t, n) for t, n in (f.split() for f in TYPES[name].split(","))]


def value(kind: str, name: str, case: str) -> Any:
    """A field's value: all zeros, all ones, or something of its own."""
    word = keccak(text=f"{case}/{name}")
    if kind == "bytes":
        return {"zero": b"", "max": b"\xff" * 100}.get(case, word[: word[0] % 32] + word[:4] * (word[1] % 9))
    size = {"address": 20, "bytes32": 32}.get(kind) or int(kind[4:]) // 8
    raw = {"zero": bytes(size), "max": b"\xff" * size}.get(case, word[:size])
    if kind == "address":
        return to_checksum_address("0x" + raw.hex())
    return raw if kind == "bytes32" else int.from_bytes(raw, "big")


def plausible_job() -> dict[str, Any]:
    job = {n: value(t, n, "plausible") for t, n in fields("Job")}
    return job | {
        "channel": bytes(32), "version": 1, "promptTokens": 46, "maxTokens": 256, "temperature": 800_000,
        "topP": 950_000, "inputPrice": 50_000, "outputPrice": 200_000, "modelFee": 10_000, "ceiling": 54,
        "deadline": 1_800_000_000,
    }  # fmt: skip


def messages(name: str) -> dict[str, list[str]]:
    cases = [
        {n: value(t, n, case) for t, n in fields(name)} for case in ("zero", "max", "one", "two", "three")
    ]
    if name == "Job":
        cases.append(plausible_job())
    out: dict[str, list[str]] = {
        "encoded": [],
        "json": [],
        "structHashes": [],
        "digests": [],
        "signatures": [],
    }
    domain = {"name": "Capek", "version": "1", "chainId": CHAIN, "verifyingContract": VAULT}
    types = {name: [{"name": n, "type": t} for t, n in fields(name)]}
    for message in cases:
        signable = encode_typed_data(domain, types, message)
        signed = Account.sign_message(signable, KEY)
        abi = f"({','.join(t for t, _ in fields(name))})"
        out["encoded"].append(hexed(encode([abi], [tuple(message.values())])))
        out["json"].append(json.dumps({n: in_json(t, message[n]) for t, n in fields(name)}))
        out["structHashes"].append(hexed(signable.body))
        out["digests"].append(hexed(keccak(b"\x19\x01" + signable.header + signable.body)))
        out["signatures"].append(hexed(signed.signature))
    return out


def in_json(kind: str, v: Any) -> Any:
    if isinstance(v, bytes):
        return hexed(v)
    return str(v) if kind in ("uint64", "uint128", "uint256") else v


def separators() -> dict[str, list[str]]:
    out: dict[str, list[str]] = {"chainIds": [], "vaults": [], "separators": []}
    for chain, vault in [
        (CHAIN, VAULT),
        (1, VAULT),
        ((1 << 256) - 1, "0x" + "ff" * 20),
        (11155111, "0x" + "00" * 20),
    ]:
        checksummed = to_checksum_address(vault)
        domain = {"name": "Capek", "version": "1", "chainId": chain, "verifyingContract": checksummed}
        header = encode_typed_data(domain, {"A": [{"name": "a", "type": "uint8"}]}, {"a": 0}).header
        out["chainIds"].append(str(chain))
        out["vaults"].append(checksummed)
        out["separators"].append(hexed(header))
    return out


def masks() -> dict[str, list[str]]:
    """`tokens` and `masked`: 4 bytes a token, big-endian."""
    out: dict[str, list[str]] = {
        "secrets": [],
        "secretHashes": [],
        "kinds": [],
        "tokens": [],
        "masked": [],
        "hashes": [],
    }
    sequences = [[], [0], [2**32 - 1], [1, 2, 3], [(i * 7919 + 13) % 49152 for i in range(300)]]
    for s, secret in enumerate([bytes(32), b"\xff" * 32, keccak(text="secret")]):
        for kind in (0, 1):
            for tokens in sequences if s == 2 else sequences[:4]:
                masked = b""
                for i, token in enumerate(tokens):
                    pad = keccak(secret + kind.to_bytes(1, "big") + i.to_bytes(4, "big"))[:4]
                    masked += bytes(a ^ b for a, b in zip(token.to_bytes(4, "big"), pad, strict=True))
                out["secrets"].append(hexed(secret))
                out["secretHashes"].append(hexed(keccak(secret)))
                out["kinds"].append(str(kind))
                out["tokens"].append("0x" + "".join(f"{t:08x}" for t in tokens))
                out["masked"].append(hexed(masked))
                out["hashes"].append(hexed(keccak(masked)))
    return out


def prices() -> dict[str, list[str]]:
    top = (1 << 64) - 1
    cases = [  # promptTokens, maxTokens, inputPrice, outputPrice, modelFee, ceiling; outputTokens
        ((46, 256, 50_000, 200_000, 10_000, 54), 256),
        ((46, 256, 50_000, 200_000, 10_000, 54), 0),
        ((46, 256, 50_000, 200_000, 10_000, 54), 1),
        ((1, 1, 1, 1, 1, 10), 1),
        ((1, 1, 0, 0, 0, 10), 1),
        ((0, 0, 5, 5, 5, 10), 0),
        ((1, 1, 1_000_000, 1_000_000, 1_000_000, 2), 1),
        ((1, 1, 1_000_000, 1_000_001, 0, 100), 1),
        ((1, 1, 999_999, 999_999, 999_999, 100), 1),
        ((100, 100, 30_000_000, 60_000_000, 30_000_000, 4_000), 100),
        ((100, 100, 30_000_000, 60_000_000, 30_000_000, 0), 100),
        ((8_192, 8_192, top, top, top, (1 << 128) - 1), 8_192),
        ((8_192, 8_192, top, top, top, 1_000), 8_192),
        ((2**32 - 1, 2**32 - 1, top, top, top, (1 << 128) - 1), 2**32 - 1),
    ]
    names = [*PRICE_FIELDS, "outputTokens", "payment", "modelFeePaid", "nodeShare", "refund"]
    out: dict[str, list[str]] = {n: [] for n in names}
    for terms, output in cases:
        prompt, _, inputs, outputs, model, ceiling = terms
        payment = min(ceil(Fraction(prompt * inputs + output * outputs, 10**6)), ceiling)
        fee = min(floor(Fraction((prompt + output) * model, 10**6)), payment)
        for n, v in zip(names, (*terms, output, payment, fee, payment - fee, ceiling - payment), strict=True):
            out[n].append(str(v))
    return out


def least_fees() -> dict[str, list[str]]:
    """The least model fee of a voucher: of (amount - 1), the share of the dearer tokens, rounded down."""
    top = (1 << 64) - 1
    cases = [  # amount, inputPrice, outputPrice, modelFee
        (0, 50_000, 200_000, 10_000),
        (1, 50_000, 200_000, 10_000),
        (3_300, 50_000_000, 200_000_000, 10_000_000),
        (1_000_000, 50_000, 200_000, 10_000),
        (1_000_001, 200_000, 50_000, 10_000),
        (2, 1, 1, 1),
        (1_000, 0, 0, 0),
        (1_000, 5, 0, 0),
        ((1 << 56) - 1, 999_999, 1_000_003, 999_998),
        ((1 << 128) - 1, top, top, top),
    ]
    names = ["amount", "inputPrice", "outputPrice", "modelFee", "least"]
    out: dict[str, list[str]] = {n: [] for n in names}
    for amount, inputs, outputs, fee in cases:
        share = Fraction(fee, max(inputs, outputs, 1))
        least = floor((amount - 1) * share) if amount else 0
        for n, v in zip(names, (amount, inputs, outputs, fee, least), strict=True):
            out[n].append(str(v))
    return out


def model_ids() -> dict[str, list[str]]:
    out: dict[str, list[str]] = {"trainers": [], "names": [], "ids": []}
    for seed, name in [("a", "smollm2-135m"), ("b", "smollm2-135m"), ("a", ""), ("a", "x" * 64)]:
        trainer = to_checksum_address("0x" + keccak(text=seed)[:20].hex())
        out["trainers"].append(trainer)
        out["names"].append(name)
        out["ids"].append(
            str(int.from_bytes(keccak(encode(["address", "string"], [trainer, name]))[:8], "big"))
        )
    return out


def hexed(data: bytes) -> str:
    return "0x" + bytes(data).hex()


def vectors() -> dict[str, Any]:
    return {
        "note": "Made by make_messages.py. encoded is abi.encode(struct); integers are decimal text.",
        "privateKey": hexed(KEY),
        "signer": Account.from_key(KEY).address,
        "chainId": str(CHAIN),
        "vault": VAULT,
        "domains": separators(),
        "types": {name: f"{name}({members})" for name, members in TYPES.items()},
        "typeHashes": {name: hexed(keccak(text=f"{name}({members})")) for name, members in TYPES.items()},
        "job": messages("Job"),
        "acceptance": messages("Acceptance"),
        "completion": messages("Completion"),
        "payment": messages("Payment"),
        "channel": messages("Channel"),
        "channelacceptance": messages("ChannelAcceptance"),
        "voucher": messages("Voucher"),
        "receipt": messages("Receipt"),
        "leastFees": least_fees(),
        "masks": masks(),
        "prices": prices(),
        "modelIds": model_ids(),
    }


if __name__ == "__main__":
    Path(__file__).with_name("messages.json").write_text(json.dumps(vectors(), indent=1) + "\n")
