"""Manifests: one canonical form, strict loading, errors that name the place."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.protocol.cid import Cid
from agents.protocol.manifest import (
    MAX_BYTES,
    Manifest,
    ManifestError,
    canonical_json,
    manifest_cid,
    parse_canonical_json,
)

WEIGHTS = "bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi"


def plain() -> dict[str, Any]:
    """The manifest that docs/protocol.md shows."""
    page = (Path(__file__).parents[3] / "docs/protocol.md").read_text()
    found = re.search(r"^```\n(\{\"format\":\"capek-manifest/1\".*?)^```", page, re.M | re.S)
    assert found
    shown = found[1].replace("bafy…", WEIGHTS).replace("0x…", "0x" + "ab" * 32)
    value: dict[str, Any] = json.loads(shown)
    return value


def test_the_manifest_of_the_protocol_page_loads_and_names_itself() -> None:
    data = canonical_json(plain())
    digest = hashlib.sha256(data).digest()
    manifest = Manifest.load(data, digest)
    assert manifest.to_bytes() == data
    assert manifest.digest() == digest
    assert manifest.cid() == manifest_cid(digest) == Cid.of(data)
    assert manifest.end_tokens == (2,)
    assert manifest.adapter is None
    assert manifest.verification.tolerant.sampled.slash_max == 2_600_000
    assert manifest.weights.parsed_cid == Cid.parse(WEIGHTS)


def test_an_adapter_may_be_named() -> None:
    manifest = Manifest.load(canonical_json(plain() | {"adapter": {"cid": WEIGHTS, "size": 1}}))
    assert manifest.adapter is not None
    assert manifest.adapter.size == 1


def change(path: str, value: Any) -> bytes:
    whole = plain()
    *parents, last = path.split(".")
    at = whole
    for p in parents:
        at = at[p]
    at[last] = value
    return json.dumps(whole, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        ("extra", 1, "extra: Extra inputs"),
        ("weights.extra", 1, "weights.extra: Extra inputs"),
        ("format", "capek-manifest/2", "format: "),
        ("name", "Smol LM", "name: "),
        ("name", "../x", "name: "),
        ("weights.cid", "QmdfTbBqBPQ7VNxZEYEj14VmRuZBkqFbiwReogJgS1zR1n", "weights.cid: "),
        ("weights.size", 0, "weights.size: "),
        ("weights.size", "98362432", "weights.size: "),
        ("weights.size", True, "weights.size: "),
        ("weights.size", 1.0, "1.0 is a float"),
        ("weights.size", 10**400, "2^53 - 1"),
        ("end_tokens", [], "end_tokens: "),
        ("end_tokens", [1 << 32], "end_tokens.0: "),
        ("end_tokens", 2, "end_tokens: "),
        ("bit_classes", ["0xAB"], "bit_classes.0: "),
        ("verification.tolerant.greedy.refuse_max", 1_500_001, "refuse thresholds"),
        ("verification.exact.slash_max", -1, "slash_max"),
        ("verification.exact.slash_max", float("nan"), "NaN is a float"),
        ("adapter", {}, "adapter.cid: "),
    ],
)
def test_bad_values_are_refused_by_place(path: str, value: Any, says: str) -> None:
    with pytest.raises(ManifestError, match=re.escape(says)):
        Manifest.load(change(path, value))


def test_a_missing_key_is_named() -> None:
    whole = plain()
    del whole["adapter"]
    with pytest.raises(ManifestError, match="adapter: Field required"):
        Manifest.load(canonical_json(whole))


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "not JSON"),
        (b"\xff", "not JSON"),
        (b'{"a":1', "not JSON"),
        (b'{ "a":1}', "not canonical"),
        (b'{"b":1,"a":1}', "not canonical"),
        (b'{"a":1,"a":1}', "repeated"),
        (b'{"a":"\\u0041"}', "not canonical"),
        (b'{"a":1e3}', "1e3 is a float"),
        (b'{"a":-0}', "not canonical"),
        (b'{"a":"\\ud800"}', "surrogate"),
        (b"[" * 100_000, "not JSON"),
        (b"[" * 40 + b"]" * 40, "nested"),
        (b"9" * 10_000, "not JSON"),
        (b" " * (MAX_BYTES + 1), "at most"),
    ],
)
def test_hostile_bytes_are_refused(data: bytes, says: str) -> None:
    with pytest.raises(ManifestError, match=re.escape(says)):
        Manifest.load(data)


def test_a_wrong_digest_is_refused_before_anything_is_read() -> None:
    data = canonical_json(plain())
    with pytest.raises(ManifestError, match="the registry names 0x0000"):
        Manifest.load(data, bytes(32))


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(values)
def test_canonical_json_has_one_form(value: Any) -> None:
    data = canonical_json(value)
    assert parse_canonical_json(data) == value
    assert canonical_json(json.loads(data)) == data


@pytest.mark.parametrize("bad", [1.5, {"a": {1: 2}}, {1, 2}, b"x", 1 << 60, {"a": object()}])
def test_what_has_no_canonical_form_is_refused(bad: object) -> None:
    with pytest.raises(ManifestError):
        canonical_json(bad)
