"""A verdict drawn for a person: the margins over the output, and the tokens that are furthest off."""

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from agents.protocol.manifest import Verification
from agents.rastic import Claim, Mode, Verdict
from agents.terminal.screen import fit_for_terminal

WIDTH = 72
LEVELS = (10.0, 3.0, 1.0, 0.3, 0.1, 0.03, 0.01)
"""Logits at the foot of each row of the plot, from the top."""

MOST_TOKENS = 8
_BARS = "▁▂▃▄▅▆▇█"

Margins = NDArray[np.float64]


def plot(margins: Margins, refuse: float, width: int = WIDTH) -> list[str]:
    """Lines of a bar chart on a logarithmic scale, one column a token, or the largest of several.

    `margins` has shape (n), in logits, infinite off the nucleus; `refuse` is drawn as a dotted line. What
    lies below the lowest level but above zero is a point at the foot.
    """
    if margins.size == 0:
        return ["no tokens"]
    columns = [float(part.max()) for part in np.array_split(margins, min(width, margins.size))]
    lines = []
    above = math.inf
    for level in LEVELS:
        cells = [_cell(value, level, above) for value in columns]
        if level <= refuse < above:
            cells = [cell if cell != " " else "·" for cell in cells]
        note = f"  refused above {refuse:g}" if level <= refuse < above else ""
        lines.append(f"{level:>6g} │{''.join(cells)}{note}")
        above = level
    foot = ["." if 0 < value < LEVELS[-1] else "─" for value in columns]
    lines.append(f"     0 └{''.join(foot)}")
    each = f", a column is {margins.size / len(columns):.3g} tokens" if margins.size > len(columns) else ""
    lines.append(f"        tokens 0 to {margins.size - 1}; height: logits below the model's own choice{each}")
    return lines


def _cell(value: float, low: float, high: float) -> str:
    if value >= high:
        return _BARS[-1]
    if value < low:
        return " "
    if math.isinf(high):
        return _BARS[-1]
    share = math.log(value / low) / math.log(high / low)
    return _BARS[min(int(share * len(_BARS)), len(_BARS) - 1)]


def refuse_above(claim: Claim, verification: Verification, mode: Mode) -> float:
    """The largest margin that passes, in logits."""
    if mode is Mode.EXACT:
        return 0.0
    tier = verification.tolerant.greedy if claim.greedy else verification.tolerant.sampled
    return tier.refuse_max / 1e6


def furthest_off(
    tokens: Sequence[int],
    margins: Margins,
    text_of: Callable[[int], str],
    expected: Callable[[int], str],
    most: int = MOST_TOKENS,
) -> list[str]:
    """The tokens with the largest margins, in the output's order: place, what was said, what was expected, by
    how much.

    `expected` gives the text of the model's own choice at a position after the tokens before it.
    """
    worst = [int(i) for i in np.argsort(-margins, kind="stable")[:most] if margins[i] > 0]
    lines = []
    for place in sorted(worst):
        off = "not in the nucleus" if math.isinf(margins[place]) else f"{margins[place]:.4f} logits below"
        said, own = _shown(text_of(tokens[place])), _shown(expected(place))
        lines.append(f"token {place:>4}  said {said:<16} the model says {own:<16} {off}")
    return lines


def explained(
    claim: Claim,
    verdict: Verdict,
    margins: Margins,
    verification: Verification,
    text_of: Callable[[int], str],
    expected: Callable[[int], str],
) -> list[str]:
    """All of it, line by line."""
    refuse = refuse_above(claim, verification, verdict.mode)
    lines = [verdict.explain(), "", *plot(margins, refuse)]
    if off := furthest_off(claim.tokens, margins, text_of, expected):
        lines += ["", *off]
    return lines


def _shown(text: str) -> str:
    return repr(fit_for_terminal(text))[:16]
