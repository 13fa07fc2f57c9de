"""The chances that the simulation is held against."""

import math


def binomial(size: int, needed: int, share: float) -> float:
    """P(at least `needed` of `size` independent members are dishonest): an endless network."""
    return sum(math.comb(size, k) * share**k * (1 - share) ** (size - k) for k in range(needed, size + 1))


def hypergeometric(seats: int, dishonest: int, size: int, needed: int) -> float:
    """The same for a panel drawn without replacement from `seats`, of which `dishonest` are."""
    ways = sum(
        math.comb(dishonest, k) * math.comb(seats - dishonest, size - k) for k in range(needed, size + 1)
    )
    return ways / math.comb(seats, size)


def chi_squared(seen: list[int], weights: list[int], size: int) -> float:
    """Pearson's statistic of how often each group of seats was drawn, against its number of seats.

    A panel of `size` is drawn without replacement from sum(weights) seats, so counts vary less than
    independent ones by (seats - size) / (seats - 1); with that taken out the statistic has len(seen) - 1
    degrees of freedom.
    """
    seats, drawn = sum(weights), sum(seen)
    expected = [drawn * weight / seats for weight in weights]
    plain = sum((o - e) ** 2 / e for o, e in zip(seen, expected, strict=True))
    return plain * (seats - 1) / (seats - size)


def above(statistic: float, degrees: int) -> float:
    """P(chi-squared > `statistic`) with so many degrees of freedom: a series of the incomplete gamma."""
    a, x = degrees / 2, statistic / 2
    if x <= 0:
        return 1.0
    term = total = 1 / a
    k = a
    while term > total * 1e-15:
        k += 1
        term *= x / k
        total += term
    return max(0.0, 1 - total * math.exp(a * math.log(x) - x - math.lgamma(a)))
