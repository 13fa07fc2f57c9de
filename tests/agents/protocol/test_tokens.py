"""Masked sequences against the shared vectors and the formula."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from eth_utils.crypto import keccak
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.protocol.messages import Completion, Finish, Job, from_json
from agents.protocol.tokens import (
    OUTPUT,
    PROMPT,
    NotSigned,
    TokenError,
    check_output,
    check_prompt,
    mask,
    masked_hash,
    pack,
    unmask,
    unpack,
)

VECTORS = json.loads((Path(__file__).parents[2] / "vectors/messages.json").read_text())
SECRET = keccak(text="secret")
tokens = st.lists(st.integers(0, 2**32 - 1), max_size=50)


def test_masks_and_hashes_of_the_vectors() -> None:
    m = VECTORS["masks"]
    for row in zip(m["secrets"], m["kinds"], m["tokens"], m["masked"], m["hashes"], strict=True):
        secret, packed, masked, hashed = (bytes.fromhex(row[i][2:]) for i in (0, 2, 3, 4))
        ids = unpack(packed)
        assert mask(secret, int(row[1]), ids) == masked
        assert unmask(secret, int(row[1]), masked) == ids
        assert masked_hash(secret, int(row[1]), ids) == hashed


@settings(max_examples=50, deadline=None)
@given(tokens, st.sampled_from([PROMPT, OUTPUT]), st.binary(min_size=32, max_size=32))
def test_unmask_undoes_mask(ids: list[int], kind: int, secret: bytes) -> None:
    masked = mask(secret, kind, ids)
    assert len(masked) == 4 * len(ids)
    assert unmask(secret, kind, masked) == ids
    assert unpack(pack(ids)) == ids


def test_prompt_and_output_of_the_same_tokens_hash_differently() -> None:
    ids = [5, 5, 5]
    assert masked_hash(SECRET, PROMPT, ids) != masked_hash(SECRET, OUTPUT, ids)
    assert len({mask(SECRET, PROMPT, ids)[i : i + 4] for i in (0, 4, 8)}) == 3


@pytest.mark.parametrize("bad", [[-1], [1 << 32]])
def test_token_ids_beyond_uint32_are_refused(bad: list[int]) -> None:
    with pytest.raises(TokenError, match="32-bit"):
        mask(SECRET, PROMPT, bad)


def test_wrong_secret_kind_or_length_is_refused() -> None:
    for secret, kind, masked in [(b"x", 0, b""), (SECRET, 2, b""), (SECRET, 0, b"abc")]:
        with pytest.raises(TokenError):
            unmask(secret, kind, masked)


def test_only_the_signed_prompt_and_output_pass() -> None:
    job = replace(
        from_json(Job, json.loads(VECTORS["job"]["json"][5])),
        prompt_tokens=2, prompt_hash=masked_hash(SECRET, PROMPT, [1, 2]), secret_hash=keccak(SECRET),
    )  # fmt: skip
    check_prompt(job, SECRET, [1, 2])
    for secret, ids in [
        (bytes(32), [1, 2]),
        (SECRET, [1, 3]),
        (SECRET, [1]),
        (SECRET, [1, 2, 3]),
        (SECRET, [2, 1]),
    ]:
        with pytest.raises(NotSigned):
            check_prompt(job, secret, ids)

    done = Completion(bytes(32), job.node, masked_hash(SECRET, OUTPUT, [9]), 1, Finish.LENGTH, 1, job.node)
    check_output(done, SECRET, [9])
    for ids in ([8], [], [9, 9]):
        with pytest.raises(NotSigned):
            check_output(done, SECRET, ids)
