"""What a node pays to be paid by voucher stays within its limits."""

import re
from pathlib import Path

from gas.measure import read

PAGE = Path(__file__).parents[3] / "docs/vouchers.md"
SINGLE, PER_PAYER = 60_000, 30_000
"""A repeated collect of one channel; of one among a hundred, whether or not it also pays out."""


def test_collecting_is_cheap_enough() -> None:
    found = read()
    assert found["voucher.collect.single"] <= SINGLE
    assert found["voucher.collect.batch100"] <= PER_PAYER
    assert found["voucher.collect.batch100.pays"] <= PER_PAYER


def test_the_page_says_what_receipts_say() -> None:
    found = {name: gas for name, gas in read().items() if name.startswith("voucher.")}
    rows = re.findall(r"^\| `(voucher\.[\w.]+)` \| ([\d,]+) \|$", PAGE.read_text(), re.M)
    assert {name: int(gas.replace(",", "")) for name, gas in rows} == found
