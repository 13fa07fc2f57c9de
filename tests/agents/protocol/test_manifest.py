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
    FLOORS,
    MAX_BYTES,
    Manifest,
    ManifestError,
    Verification,
    canonical_json,
    check_floors,
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
    assert manifest.verification.tolerant.sampled.slash_max == 4_970_000
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
        ("context_length", 0, "context_length: "),
        ("context_length", (1 << 24) + 1, "context_length: "),
        ("verification.tolerant.greedy.refuse_max", 3_120_001, "refuse thresholds"),
        ("verification.exact.slash_max", -1, "slash_max"),
        ("verification.exact.slash_max", float("nan"), "NaN is a float"),
        ("adapter", {}, "adapter.cid: "),
    ],
)
def test_bad_values_are_refused_by_place(path: str, value: Any, says: str) -> None:
    with pytest.raises(ManifestError, match=re.escape(says)):
        Manifest.load(change(path, value))


NOTHING = {"refuse_max": 0, "refuse_mean": 0, "slash_max": 0, "slash_mean": 0}


def test_thresholds_of_nothing_are_refused_by_name() -> None:
    rules = {"exact": {"slash_max": 0}, "tolerant": {"greedy": NOTHING, "sampled": NOTHING}}
    with pytest.raises(ManifestError) as refused:
        Manifest.load(change("verification", rules))
    for place, least in FLOORS.each().items():
        assert f"{place} is 0, at least {least}" in str(refused.value)


@pytest.mark.parametrize(("place", "least"), FLOORS.each().items())
def test_a_manifest_may_be_at_the_floor_and_not_below(place: str, least: int) -> None:
    at = f"verification.{place}"
    others = FLOORS.model_dump(mode="json")
    assert Manifest.load(change("verification", others)).verification == FLOORS
    data = json.loads(change("verification", others))
    *parents, last = at.split(".")
    inner = data
    for key in parents:
        inner = inner[key]
    inner[last] = least - 1
    with pytest.raises(ManifestError, match=re.escape(f"{place} is {least - 1}, at least {least}")):
        Manifest.load(canonical_json(data))


def test_a_manifest_below_the_floors_can_not_be_made_either() -> None:
    below = FLOORS.model_copy(update={"exact": FLOORS.exact.model_copy(update={"slash_max": 1})})
    fields = dict(Manifest.load(canonical_json(plain()))) | {"verification": below}
    with pytest.raises(ValueError, match=r"exact\.slash_max is 1"):
        Manifest(**fields)


def test_the_floors_lie_above_what_honest_answers_showed() -> None:
    page = (Path(__file__).parents[3] / "docs/rastic.md").read_text()
    honest = re.findall(
        r"^\| [^|\n]*, (greedy|sampled) \| \d+ \| [\d,]+ \| [\d.]+ % \| ([\d.]+) \| ([\d.]+) ", page, re.M
    )
    assert len(honest) >= 6
    for way, largest, mean in honest:
        floor = getattr(FLOORS.tolerant, way)
        assert 1.9 * float(largest) <= floor.slash_max / 1e6
        assert 3.5 * float(mean) <= floor.slash_mean / 1e6


@given(st.dictionaries(st.sampled_from(sorted(FLOORS.each())), st.integers(0, 2**32 - 1)))
def test_raised_thresholds_pass_and_none_is_lowered(values: dict[str, int]) -> None:
    rules = FLOORS.model_dump(mode="json")
    for place, value in values.items():
        *parents, last = place.split(".")
        inner = rules
        for key in parents:
            inner = inner[key]
        inner[last] = value
    try:
        given_rules = Verification.model_validate(rules)
    except ValueError:  # refusing above slashing
        return
    raised = check_floors(given_rules.raised())
    before = given_rules.each()
    assert all(value == max(before[place], FLOORS.each()[place]) for place, value in raised.each().items())


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
