"""Sealed boxes: what goes in comes out, for this key, this job and this purpose alone."""

import os

import pytest
from nacl.public import PublicKey, SealedBox

from agents.protocol.messages import MAX_TOKENS
from agents.protocol.sealing import (
    MAX_BOX,
    SealError,
    keypair,
    open_output,
    open_prompt,
    seal_output,
    seal_prompt,
)

JOB, SECRET = b"j" * 32, b"s" * 32


def test_prompt_and_output_come_back() -> None:
    private, public = keypair()
    for tokens in ([], [0], [1, 2**32 - 1, 3]):
        assert open_prompt(private, JOB, seal_prompt(public, JOB, SECRET, tokens)) == (SECRET, tokens)
        assert open_output(private, JOB, seal_output(public, JOB, tokens)) == tokens


def test_the_box_holds_the_bytes_the_protocol_page_names() -> None:
    from nacl.public import PrivateKey

    private, public = keypair()
    inside = SealedBox(PrivateKey(private)).decrypt(seal_prompt(public, JOB, SECRET, [1, 2]))
    assert inside == b"capek/prompt/1" + JOB + SECRET + bytes([0, 0, 0, 1, 0, 0, 0, 2])
    inside = SealedBox(PrivateKey(private)).decrypt(seal_output(public, JOB, [3]))
    assert inside == b"capek/output/1" + JOB + bytes([0, 0, 0, 3])


def test_another_key_job_or_purpose_is_refused() -> None:
    private, public = keypair()
    other, _ = keypair()
    prompt, output = seal_prompt(public, JOB, SECRET, [1]), seal_output(public, JOB, [1])
    for attempt in (
        lambda: open_prompt(other, JOB, prompt),
        lambda: open_prompt(private, b"k" * 32, prompt),
        lambda: open_prompt(private, JOB, output),
        lambda: open_output(private, JOB, prompt),
        lambda: open_output(private, JOB, output[:-1]),
        lambda: open_output(private, JOB, b""),
        lambda: open_output(private, JOB, bytes([output[0] ^ 1]) + output[1:]),
        lambda: open_output(b"short", JOB, output),
        lambda: open_output(private, JOB, bytes(MAX_BOX + 1)),
    ):
        with pytest.raises(SealError) as error:
            attempt()
        assert private.hex() not in str(error.value)


def test_partial_tokens_or_secret_inside_are_refused() -> None:
    private, public = keypair()
    box = SealedBox(PublicKey(public))
    for inside in (b"capek/prompt/1" + JOB + b"short", b"capek/prompt/1" + JOB + SECRET + b"abc"):
        with pytest.raises(SealError):
            open_prompt(private, JOB, box.encrypt(inside))


def test_the_largest_job_fits() -> None:
    private, public = keypair()
    tokens = list(os.urandom(MAX_TOKENS))
    box = seal_prompt(public, JOB, SECRET, tokens)
    assert len(box) == MAX_BOX
    assert open_prompt(private, JOB, box) == (SECRET, tokens)


@pytest.mark.parametrize("key", [bytes(32), b"\x01" + bytes(31)], ids=["zero", "one"])
def test_a_key_that_everybody_could_open_is_refused(key: bytes) -> None:
    with pytest.raises(SealError, match="not fit to seal to"):
        seal_prompt(key, JOB, SECRET, [1])
    with pytest.raises(SealError, match="not fit to seal to"):
        seal_output(key, JOB, [1])
