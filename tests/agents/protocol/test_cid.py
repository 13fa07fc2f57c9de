"""CIDs: known values, one accepted form."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.protocol.cid import DAG_PB, RAW, Cid, CidError

EMPTY = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"
HELLO = "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e"  # "hello world", as Kubo names it


def test_known_values() -> None:
    assert str(Cid.of(b"")) == EMPTY
    assert str(Cid.of(b"hello world")) == HELLO
    assert Cid.parse(HELLO) == Cid(RAW, hashlib.sha256(b"hello world").digest())
    assert Cid.parse(HELLO).verifies(b"hello world")
    assert not Cid.parse(HELLO).verifies(b"hello worle")


@given(st.binary(min_size=32, max_size=32), st.sampled_from([RAW, DAG_PB]))
def test_text_and_binary_forms_come_back(digest: bytes, codec: int) -> None:
    cid = Cid(codec, digest)
    assert Cid.parse(str(cid)) == cid
    assert Cid.decode(bytes(cid)) == cid
    assert str(cid).startswith("bafk" if codec == RAW else "bafy")


@pytest.mark.parametrize(
    "bad",
    [
        "", "b", "x" * 59, EMPTY.upper(), EMPTY[:-1], EMPTY + "a", EMPTY[:-1] + "v", EMPTY[:-1] + "1",
        "QmdfTbBqBPQ7VNxZEYEj14VmRuZBkqFbiwReogJgS1zR1n", EMPTY[:58] + "é", " " + EMPTY[1:],
        "../" + EMPTY[3:], "bafyq" + EMPTY[5:], None, 7,
    ],
)  # fmt: skip
def test_any_other_form_is_refused(bad: str) -> None:
    with pytest.raises(CidError):
        Cid.parse(bad)


def test_other_codecs_and_hashes_are_refused() -> None:
    for binary in [b"\x01\x71\x12\x20", b"\x01\x55\x13\x20", b"\x00\x55\x12\x20", b"\x01\x55\x12\x21"]:
        with pytest.raises(CidError):
            Cid.decode(binary + bytes(32))
    with pytest.raises(CidError):
        Cid.decode(b"")
