"""Draw every figure of docs/rastic.md again from the CSV files and the margins: SVG, no library needed.

python -m bench.rastic.figures
"""

import math
from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np

from bench.rastic import claims, table
from bench.rastic.prompts import DATA

FOLDER = Path(__file__).parent.parent.parent / "docs" / "rastic"

WIDTH, HEIGHT = 640, 320
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 150, 28, 44
_COLOURS = ("#1b6ca8", "#c8452d", "#3a8f4d", "#8e5aa8", "#c98a1b", "#4b4b4b", "#1fa3a3")

Series = tuple[str, Sequence[tuple[float, float]]]


def main() -> None:
    """Write them all."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, picture in (("cost", cost()), ("margins", margins()), ("tokens", tokens())):
        if picture:
            (FOLDER / f"{name}.svg").write_text(picture)
            print(f"docs/rastic/{name}.svg")


def cost() -> str | None:
    """Costs over the number of tokens, generating being 1."""
    rows = [row for row in table.read("cost.csv") if row["mode"] == "greedy"]
    keys = {"verify_over_generate": "whole output, one prefill", "paper_over_generate": "paper, k = 3"}
    lines: list[Series] = [
        (label, [(float(row["tokens"]), float(row[key])) for row in rows]) for key, label in keys.items()
    ]
    if not rows:
        return None
    lines.append(("generating", [(float(row["tokens"]), 1.0) for row in rows]))
    return plot("Cost of a check (generating = 1)", "output tokens", "ratio", lines, log_x=True)


def margins() -> str | None:
    """How often a margin exceeds a value: honest answers on another machine, and impostors."""
    lane = claims.load("tolerant", "greedy")
    if not lane.honest:
        return None
    sets = {"honest, other machine": list(lane.honest.values())}
    sets |= {name: list(found.values()) for name, (_, found) in lane.impostors.items()}
    grid = np.geomspace(0.01, 20, 60)
    lines: list[Series] = []
    for name, found in sets.items():
        values = np.sort(np.concatenate(found))
        share = 1 - np.searchsorted(values, grid, "right") / values.size
        lines.append((name, [(x, y) for x, y in zip(grid.tolist(), share.tolist(), strict=True) if y > 0]))
    return plot(
        "Positions whose margin exceeds x (greedy)", "margin, logits", "share", lines, log_x=True, log_y=True
    )


def tokens() -> str | None:
    """Share of an impostor's answers refused within so many tokens, tolerant tier, greedy."""
    lane = claims.load("tolerant", "greedy")
    if not lane.impostors or not lane.honest:
        return None
    rule = table.Rule(lane)
    lines: list[Series] = []
    for name, (answers, found) in lane.impostors.items():
        hits = []
        for job, values in found.items():
            tokens_ = answers[job].tokens
            honest = lane.answers[job].tokens[: len(tokens_)] if job in lane.answers else ()
            if tokens_ != honest:
                case = claims.Case(job, tokens_, answers[job].finish, values)
                hits.append(rule.first_refused(case) or math.inf)
        if hits:
            ordered = np.sort(hits)
            line = [
                (float(n), float(np.searchsorted(ordered, n, "right") / ordered.size)) for n in range(1, 65)
            ]
            lines.append((name, line))
    return plot("Refused within n tokens (tolerant tier, greedy)", "tokens", "share of answers", lines)


def plot(
    title: str, x_name: str, y_name: str, lines: Sequence[Series], *, log_x: bool = False, log_y: bool = False
) -> str:
    """A line chart as SVG text."""
    points = [point for _, line in lines for point in line]
    x_low, x_high = min(p[0] for p in points), max(p[0] for p in points)
    y_low, y_high = (min(p[1] for p in points) if log_y else 0.0), max(p[1] for p in points) * 1.05

    def place(value: float, low: float, high: float, start: float, end: float, log: bool) -> float:
        if log:
            value, low, high = math.log(value), math.log(low), math.log(high)
        return start + (end - start) * (value - low) / (high - low)

    def x(value: float) -> float:
        return place(value, x_low, x_high, _LEFT, WIDTH - _RIGHT, log_x)

    def y(value: float) -> float:
        return place(value, y_low, y_high, HEIGHT - _BOTTOM, _TOP, log_y)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        'font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<text x="{_LEFT}" y="18" font-size="14">{escape(title)}</text>',
    ]
    for value in _ticks(x_low, x_high, log_x):
        parts.append(f'<path d="M{x(value):.1f} {_TOP}V{HEIGHT - _BOTTOM}" stroke="#ddd"/>')
        parts.append(
            f'<text x="{x(value):.1f}" y="{HEIGHT - _BOTTOM + 16}" text-anchor="middle">{value:g}</text>'
        )
    for value in _ticks(y_low, y_high, log_y):
        parts.append(f'<path d="M{_LEFT} {y(value):.1f}H{WIDTH - _RIGHT}" stroke="#ddd"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y(value) + 4:.1f}" text-anchor="end">{value:g}</text>')
    for number, (name, line) in enumerate(lines):
        colour = _COLOURS[number % len(_COLOURS)]
        path = "L".join(f"{x(a):.1f} {y(b):.1f}" for a, b in line)
        parts.append(f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        at = _TOP + 14 + 18 * number
        parts.append(f'<text x="{WIDTH - _RIGHT + 10}" y="{at}" fill="{colour}">{escape(name)}</text>')
    centre = (WIDTH - _RIGHT + _LEFT) / 2
    parts.append(f'<text x="{centre}" y="{HEIGHT - 8}" text-anchor="middle">{escape(x_name)}</text>')
    middle = (HEIGHT - _BOTTOM + _TOP) / 2
    parts.append(
        f'<text transform="translate(16 {middle}) rotate(-90)" text-anchor="middle">{escape(y_name)}</text>'
    )
    return "\n".join([*parts, "</svg>"]) + "\n"


def _ticks(low: float, high: float, log: bool) -> list[float]:
    if log:
        first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
        every = [base * 10.0**power for power in range(first, last + 1) for base in (1, 3)]
        return [tick for tick in every if low <= tick <= high]
    step = 10 ** math.floor(math.log10((high - low) / 2))
    step *= next(factor for factor in (1, 2, 5) if (high - low) / (step * factor) <= 6)
    return [step * i for i in range(math.ceil(low / step), math.floor(high / step) + 1)]


if __name__ == "__main__":
    assert DATA.exists()
    main()
