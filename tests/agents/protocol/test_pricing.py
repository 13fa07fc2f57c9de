"""Prices against the shared vectors (exact fractions), and the rules that must hold for any job."""

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.protocol.messages import Job, from_json
from agents.protocol.pricing import PriceError, full_price, settle

VECTORS = json.loads((Path(__file__).parents[2] / "vectors/messages.json").read_text())
JOB = from_json(Job, json.loads(VECTORS["job"]["json"][5]))


def test_price_vectors() -> None:
    p = VECTORS["prices"]
    for i in range(len(p["payment"])):
        row = {k: int(v[i]) for k, v in p.items()}
        job = replace(
            JOB, prompt_tokens=row["promptTokens"], max_tokens=row["maxTokens"],
            input_price=row["inputPrice"], output_price=row["outputPrice"], model_fee=row["modelFee"],
            ceiling=row["ceiling"],
        )  # fmt: skip
        s = settle(job, row["outputTokens"])
        expected = (row["payment"], row["modelFeePaid"], row["nodeShare"], row["refund"])
        assert (s.payment, s.model_fee, s.node_share, s.refund) == expected


u32, u64 = st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1)


@settings(max_examples=200, deadline=None)
@given(u32, u32, u64, u64, u64, st.integers(0, 2**128 - 1), st.data())
def test_money_is_neither_made_nor_lost(
    prompt: int, most: int, inputs: int, outputs: int, fee: int, ceiling: int, data: st.DataObject
) -> None:
    job = replace(
        JOB, prompt_tokens=prompt, max_tokens=most, input_price=inputs, output_price=outputs, model_fee=fee,
        ceiling=ceiling,
    )  # fmt: skip
    count = data.draw(st.integers(0, most))
    s = settle(job, count)
    assert s.payment == s.model_fee + s.node_share
    assert s.payment + s.refund == ceiling
    assert min(s.model_fee, s.node_share, s.refund) >= 0
    exact = Fraction(prompt * inputs + count * outputs, 10**6)
    assert s.payment == ceiling or exact <= s.payment < exact + 1
    assert s.model_fee <= Fraction((prompt + count) * fee, 10**6)
    assert settle(replace(job, ceiling=2**128 - 1), most).payment == full_price(job)


def test_more_output_than_allowed_has_no_price() -> None:
    with pytest.raises(PriceError, match="257 output tokens"):
        settle(JOB, 257)
    with pytest.raises(PriceError):
        settle(JOB, -1)
