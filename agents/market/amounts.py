"""Amounts of the payment token as people write them."""

import re

from agents.market.errors import BadAmount

_AMOUNT = re.compile(r"[0-9]{1,40}(?:\.[0-9]{1,18})?")


def parse_amount(text: str, decimals: int, *, zero: bool = False) -> int:
    """Base units of an amount like `5` or `0.25`; 0 only where `zero` allows it.

    Raises:
        BadAmount: not an amount, or finer than the token's decimals.
    """
    if not _AMOUNT.fullmatch(text):
        raise BadAmount(f"{text[:40]!r} is not an amount: write 5 or 0.25, in whole tokens")
    whole, _, fraction = text.partition(".")
    fraction = fraction.rstrip("0")
    if len(fraction) > decimals:
        raise BadAmount(f"{text} is finer than the token allows: at most {decimals} digits after the dot")
    units = int(whole + fraction.ljust(decimals, "0"))
    if units == 0 and not zero:
        raise BadAmount("the amount is zero")
    return units


def plain(units: int, decimals: int) -> str:
    """Base units as a number that `parse_amount` reads: 1230000 is `1.23`."""
    whole, rest = divmod(units, 10**decimals)
    digits = f"{rest:0{decimals}d}".rstrip("0") if decimals else ""
    return f"{whole}.{digits}" if digits else str(whole)
