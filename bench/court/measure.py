"""Seats against stakes, and wrong rulings against the dishonest share of stake."""

import math
from collections import Counter

from bench.court.chances import above, binomial, chi_squared, hypergeometric
from bench.court.draws import SHARES, Draws, draw
from bench.results import Result

DRAWS, APPEALS = 100_000, 40_000
ROUNDS = {
    "first": "two liars of three",
    "appeal": "eight of fifteen; a wronged party appeals, so this is what counts",
}
WORST = 5.0
"""Standard deviations between simulated and computed, above which one of them is wrong."""


class CourtBenchError(RuntimeError):
    """The court does not draw as it says."""


def measure() -> list[Result]:
    """Draws with the contracts, computes what should have come, and compares.

    Raises:
        CourtBenchError: they differ by more than chance. DrawsError: nothing could be drawn.
    """
    found = draw(DRAWS, APPEALS)
    results = _uniform(found["first"])
    for name, drawn in found.items():
        results += [
            _wrong(name, drawn, share, wrong) for share, wrong in zip(SHARES, drawn.wrong, strict=True)
        ]
    return results


def _uniform(drawn: Draws) -> list[Result]:
    by_node: Counter[int] = Counter()
    for node, seen in zip(drawn.nodes, drawn.seen, strict=True):
        by_node[node] += seen
    stakes = Counter(drawn.nodes)
    seats = len(drawn.nodes)
    by_seat = chi_squared(drawn.seen, [1] * seats, drawn.size)
    by_stake = chi_squared([by_node[node] for node in stakes], list(stakes.values()), drawn.size)
    return [
        _chance("dispute.seats.by_seat", by_seat, seats - 1, f"{drawn.draws} panels of 3 from {seats} seats"),
        _chance(
            "dispute.seats.by_stake",
            by_stake,
            len(stakes) - 1,
            f"{drawn.draws} panels of 3; {len(stakes)} nodes with 1 to 9 seats each",
        ),
    ]


def _chance(name: str, statistic: float, degrees: int, note: str) -> Result:
    chance = above(statistic, degrees)
    if chance < 1e-6:
        raise CourtBenchError(f"{name}: chi-squared {statistic:.1f} with {degrees} degrees of freedom")
    anchor = f"expected {degrees}, p = {chance:.3f}"
    return Result(name, statistic, "chi-squared", anchor, f"{note}, drawn by the contract from a past period")


def _wrong(name: str, drawn: Draws, share: int, wrong: int) -> Result:
    seats, needed = len(drawn.nodes), drawn.size // 2 + 1
    computed = hypergeometric(seats, seats * share // 100, drawn.size, needed)
    spread = math.sqrt(computed * (1 - computed) / drawn.draws)
    simulated = wrong / drawn.draws
    # One draw more or less is never a proof.
    if abs(simulated - computed) > WORST * spread + 1 / drawn.draws:
        raise CourtBenchError(f"{share} % dishonest, {name}: {simulated:.5f} drawn, {computed:.5f} computed")
    return Result(
        f"dispute.wrong_ruling.{share}.{name}",
        simulated,
        "share",
        f"computed {computed:.3g}; {binomial(drawn.size, needed, share / 100):.3g} in an endless network",
        f"{wrong} of {drawn.draws} panels drawn by the contract from {seats} seats: {ROUNDS[name]}",
    )
