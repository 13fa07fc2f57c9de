"""Channel messages beside the shared vectors, which test_messages checks, and the least model fee."""

import json
from pathlib import Path

import pytest
from eth_utils.crypto import keccak
from hypothesis import given
from hypothesis import strategies as st

from agents.protocol.messages import Completion, MessageError, as_tuple, struct_hash
from agents.protocol.vouchers import Receipt, least_model_fee

VECTORS = json.loads((Path(__file__).parents[3] / "tests/vectors/messages.json").read_text())
NODE = "0x" + "00" * 19 + "01"


def test_least_model_fee_is_that_of_the_vectors() -> None:
    v = VECTORS["leastFees"]
    names = ("amount", "inputPrice", "outputPrice", "modelFee")
    for row in zip(*(v[n] for n in names), v["least"], strict=True):
        *terms, least = (int(x) for x in row)
        assert least_model_fee(*terms) == least


@pytest.mark.parametrize(
    ("amount", "prices"), [(-1, (1, 1, 1)), (1, (1, 2, 2)), (1, (2, 1, 2)), (1, (1, 1, -1))]
)
def test_least_model_fee_refuses_what_no_channel_allows(amount: int, prices: tuple[int, int, int]) -> None:
    with pytest.raises(MessageError):
        least_model_fee(amount, *prices)


tokens = st.integers(0, 2**32 - 1)
prices = st.integers(0, 2**64 - 1)


@given(tokens, tokens, prices, prices, prices)
def test_honest_totals_carry_enough(prompt: int, output: int, a: int, b: int, fee: int) -> None:
    fee = min(fee, a, b)
    amount = -(-(prompt * a + output * b) // 10**6)
    assert (prompt + output) * fee // 10**6 >= least_model_fee(amount, a, b, fee)


def test_a_receipt_begins_as_a_completion() -> None:
    word = keccak(text="word")
    receipt = Receipt(word, NODE, word, 7, 2, 1_800_000_000, NODE, keccak(text="channel"), 100, 5)
    assert isinstance(receipt.completion, Completion)
    assert as_tuple(receipt)[:7] == as_tuple(receipt.completion)
    assert struct_hash(receipt) != struct_hash(receipt.completion)
