"""Messages against the shared vectors (made with eth-account), and what must be refused."""

import json
import re
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from eth_abi.abi import decode
from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.protocol.messages import (
    Acceptance,
    Completion,
    Domain,
    Finish,
    Job,
    Message,
    MessageError,
    Payment,
    SignatureError,
    abi_type,
    as_tuple,
    digest,
    domain_separator,
    from_json,
    model_id,
    recover,
    sign,
    struct_hash,
    to_json,
    type_hash,
    type_string,
    typed_data,
)
from agents.protocol.vouchers import Channel, ChannelAcceptance, Receipt, Voucher

ROOT = Path(__file__).parents[3]
VECTORS = json.loads((ROOT / "tests/vectors/messages.json").read_text())
DOMAIN = Domain(int(VECTORS["chainId"]), VECTORS["vault"])
KEY = bytes.fromhex(VECTORS["privateKey"][2:])
CLASSES: list[type[Message]] = [
    Job, Acceptance, Completion, Payment, Channel, ChannelAcceptance, Voucher, Receipt
]  # fmt: skip
CASES = [(cls, i) for cls in CLASSES for i in range(len(VECTORS[cls.__name__.lower()]["json"]))]


def vector(cls: type[Message], i: int) -> tuple[Message, dict[str, Any]]:
    column = {k: v[i] for k, v in VECTORS[cls.__name__.lower()].items()}
    return from_json(cls, json.loads(column["json"])), column


@pytest.mark.parametrize(("cls", "i"), CASES)
def test_hashes_and_signature_are_those_of_eth_account(cls: type[Message], i: int) -> None:
    message, column = vector(cls, i)
    assert "0x" + struct_hash(message).hex() == column["structHashes"]
    assert "0x" + digest(DOMAIN, message).hex() == column["digests"]
    assert "0x" + sign(DOMAIN, message, KEY).hex() == column["signatures"]
    assert recover(DOMAIN, message, bytes.fromhex(column["signatures"][2:])) == VECTORS["signer"]


@pytest.mark.parametrize(("cls", "i"), CASES)
def test_json_and_abi_tuple_carry_the_same_values(cls: type[Message], i: int) -> None:
    message, column = vector(cls, i)
    assert to_json(message) == json.loads(column["json"])
    (decoded,) = decode([abi_type(cls)], bytes.fromhex(column["encoded"][2:]))
    assert [v.lower() if isinstance(v, str) else v for v in as_tuple(message)] == list(decoded)


@pytest.mark.parametrize(("cls", "i"), CASES)
def test_a_wallet_signs_the_typed_data_to_the_same_digest(cls: type[Message], i: int) -> None:
    message, _ = vector(cls, i)
    shown = json.loads(json.dumps(typed_data(DOMAIN, message)))
    # eth-account wants integers where wallets also take decimal strings
    for member in shown["types"][cls.__name__]:
        if member["type"].startswith("uint"):
            shown["message"][member["name"]] = int(shown["message"][member["name"]])
    signable = encode_typed_data(full_message=shown)
    assert keccak(b"\x19\x01" + signable.header + signable.body) == digest(DOMAIN, message)


@pytest.mark.parametrize("cls", CLASSES)
def test_type_strings_are_those_of_the_protocol_page(cls: type[Message]) -> None:
    page = (ROOT / "docs/protocol.md").read_text()
    assert re.search(rf"^{re.escape(type_string(cls))}$", page, re.M), type_string(cls)
    assert "0x" + type_hash(cls).hex() == VECTORS["typeHashes"][cls.__name__]


def test_domain_separators() -> None:
    d = VECTORS["domains"]
    for chain, vault, separator in zip(d["chainIds"], d["vaults"], d["separators"], strict=True):
        assert "0x" + domain_separator(Domain(int(chain), vault)).hex() == separator


def test_model_ids() -> None:
    m = VECTORS["modelIds"]
    for trainer, name, expected in zip(m["trainers"], m["names"], m["ids"], strict=True):
        assert model_id(trainer, name) == int(expected)


def test_committed_vectors_are_what_the_generator_writes() -> None:
    script = "import sys, json; sys.path.insert(0, 'tests/vectors'); import make_messages as m; "
    out = subprocess.run(
        [sys.executable, "-c", script + "print(json.dumps(m.vectors()))"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert json.loads(out.stdout) == VECTORS


addresses = st.binary(min_size=20, max_size=20).map(lambda b: to_checksum_address("0x" + b.hex()))
words = st.binary(min_size=32, max_size=32)


@settings(max_examples=50, deadline=None)
@given(
    words,
    addresses,
    words,
    st.integers(0, 2**32 - 1),
    st.sampled_from(Finish),
    st.integers(0, 2**64 - 1),
    addresses,
)
def test_any_completion_hashes_as_eth_account_does(
    job: bytes, node: str, output: bytes, count: int, finish: Finish, served: int, to: str
) -> None:
    message = Completion(job, node, output, count, finish, served, to)
    names = [m["name"] for m in typed_data(DOMAIN, message)["types"]["Completion"]]
    types = {"Completion": typed_data(DOMAIN, message)["types"]["Completion"]}
    signable = encode_typed_data(DOMAIN.to_json(), types, dict(zip(names, as_tuple(message), strict=True)))
    assert signable.body == struct_hash(message)
    assert Account.recover_message(signable, signature=sign(DOMAIN, message, KEY)) == VECTORS["signer"]
    assert from_json(Completion, json.loads(json.dumps(to_json(message)))) == message


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_every_field_is_in_the_hash(data: st.DataObject) -> None:
    cls, i = data.draw(st.sampled_from(CASES))
    message, _ = vector(cls, i)
    name = data.draw(st.sampled_from([f.name for f in fields(message)]))  # type: ignore[arg-type]
    old = getattr(message, name)
    if isinstance(old, int):
        new: Any = old - 1 if old else 1
    elif isinstance(old, str):
        new = to_checksum_address("0x" + keccak(text=old)[:20].hex())
    else:
        new = keccak(old) if len(old) == 32 else old + b"\0"
    changed = replace(message, **{name: new})  # type: ignore[type-var]
    assert struct_hash(changed) != struct_hash(message)
    assert recover(DOMAIN, changed, sign(DOMAIN, message, KEY)) != VECTORS["signer"]


def test_another_chain_or_vault_is_another_digest() -> None:
    message, _ = vector(Acceptance, 2)
    others = [Domain(1, DOMAIN.vault), Domain(DOMAIN.chain_id, VECTORS["signer"])]
    assert len({digest(d, message) for d in [DOMAIN, *others]}) == 3


ACCEPTANCE = {"jobHash": "0x" + "11" * 32, "expires": "7"}


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ([], "JSON object"),
        ({"jobHash": ACCEPTANCE["jobHash"]}, "lacks expires"),
        (ACCEPTANCE | {"more": 1}, "unknown fields: more"),
        (ACCEPTANCE | {"expires": 7}, "decimal string"),
        (ACCEPTANCE | {"expires": "07"}, "decimal string"),
        (ACCEPTANCE | {"expires": "-1"}, "decimal string"),
        (ACCEPTANCE | {"expires": "7\n"}, "decimal string"),
        (ACCEPTANCE | {"expires": "\u0667"}, "decimal string"),
        (ACCEPTANCE | {"expires": "9" * 5000}, "decimal string"),
        (ACCEPTANCE | {"expires": str(1 << 64)}, "0 to 2^64 - 1"),
        (ACCEPTANCE | {"jobHash": "11" * 32}, "0x hex"),
        (ACCEPTANCE | {"jobHash": "0x" + "11" * 31}, "32 bytes"),
        (ACCEPTANCE | {"jobHash": None}, "0x hex"),
    ],
)
def test_malformed_json_is_refused_by_name(bad: Any, says: str) -> None:
    with pytest.raises(MessageError, match=re.escape(says)):
        from_json(Acceptance, bad)


def test_values_outside_their_type_are_refused_on_construction() -> None:
    job = from_json(Job, json.loads(VECTORS["job"]["json"][5]))
    cases: list[tuple[str, Any]] = [
        ("version", 1 << 32), ("version", -1), ("version", True), ("version", "1"), ("version", 1.0),
        ("client", job.client.lower()), ("client", b"\0" * 20), ("channel", b"\0" * 31),
        ("ceiling", 1 << 128),
    ]  # fmt: skip
    for name, bad in cases:
        with pytest.raises(MessageError, match=f"Job.{name}"):
            replace(job, **{name: bad})
    with pytest.raises(MessageError, match="checksummed"):
        Domain(1, VECTORS["vault"].lower())


def test_signatures_that_a_contract_refuses_are_refused() -> None:
    message, _ = vector(Acceptance, 2)
    good = sign(DOMAIN, message, KEY)
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    high = (order - int.from_bytes(good[32:64], "big")).to_bytes(32, "big")
    for bad in [
        good[:64],
        good + b"\0",
        good[:64] + b"\0",
        good[:32] + high + bytes([55 - good[64]]),
        bytes(64) + b"\x1b",
    ]:
        with pytest.raises(SignatureError):
            recover(DOMAIN, message, bad)


def test_a_bad_private_key_is_refused_and_never_shown() -> None:
    message, _ = vector(Acceptance, 2)
    for bad in [b"", bytes(32), b"\xff" * 32, KEY + b"\0"]:
        with pytest.raises(SignatureError) as error:
            sign(DOMAIN, message, bad)
        assert not bad or bad.hex() not in str(error.value)


def test_a_strangers_megabytes_are_not_kept() -> None:
    from agents.protocol import messages

    before = messages._has_checksum.cache_info().currsize
    assert not messages.is_checksum_address("0x" + "é" * 100_000)
    assert not messages.is_checksum_address("0x" + "0" * 41)
    assert messages._has_checksum.cache_info().currsize == before
