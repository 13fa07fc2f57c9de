"""Evidence over a node's many answers: a test that may look after each one, for a node's whole life.

One short answer tells little, but a node answers often. Every answer gets an e-value: a bet against the node
that an honest node does not win on average (expectation at most 1). Their running product is a test
martingale, and by Ville's inequality (1939) it ever reaches 1/α with a chance of at most α, however long the
node lives and whenever one looks (Shafer 2021; Ramdas et al. 2023). A node that turns bad late would first
have to lose what was won by its honest years, so the bet starts anew after every answer with a share of the
stake (a mixture over the starting time, as Shiryaev and Roberts did): that keeps the bound for the whole
life.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from agents.rastic.binomial import upper_bound

_EDGE_SHARES = (0.5, 0.25, 0.1, 0.05, 0.02, 0.01)
_EXPECTATION_STEPS = 200
_SURE = 0.1
"""Share of the stake that is kept out of every bet, so that no single good answer clears a node."""


@dataclass(frozen=True, slots=True)
class Bet:
    """A step function of an answer's statistic: 1 e-value an answer.

    edges: ascending. payoffs: what is added when the statistic is at least the edge. kept: what is paid
    always. The expectation is at most 1 for an honest node as long as `chances` bound how often it reaches
    the edges.
    """

    edges: tuple[float, ...]
    chances: tuple[float, ...]
    payoffs: tuple[float, ...]
    kept: float

    def __post_init__(self) -> None:
        """Raises ValueError when the bet could be won by an honest node, or its edges are out of order."""
        if list(self.edges) != sorted(set(self.edges)) or not (
            len(self.edges) == len(self.chances) == len(self.payoffs)
        ):
            raise ValueError("edges ascend, and each has a chance and a payoff")
        if min(self.payoffs, default=0.0) < 0 or self.kept < 0:
            raise ValueError("a payoff is below 0")
        if self.expectation() > 1 + 1e-9:
            raise ValueError(f"an honest node would win {self.expectation():.4f} for 1 on average")

    def expectation(self) -> float:
        """Most that an honest node's answer is worth on average."""
        return self.kept + math.fsum(p * c for p, c in zip(self.payoffs, self.chances, strict=True))

    def value(self, statistic: float) -> float:
        """The e-value of an answer."""
        return self.kept + math.fsum(
            payoff for edge, payoff in zip(self.edges, self.payoffs, strict=True) if statistic >= edge
        )


def fit_bet(honest: ArrayLike, suspect: ArrayLike | None = None, *, confidence: float = 0.95) -> Bet:
    """A bet from the statistics of honest answers (shape (n)), tuned to those of a suspect where given.

    How often an honest node reaches an edge is bounded from its sample exactly (Clopper–Pearson), all edges
    together with `confidence`: a lucky calibration sample does not make honest nodes look guilty. Tuning is
    expectation maximisation of the suspect's growth rate (Kelly 1956) and never touches the bound.

    Raises:
        ValueError: no honest answers, or values that are not numbers.
    """
    sample = np.sort(np.asarray(honest, dtype=np.float64))
    if sample.size == 0 or np.isnan(sample).any():
        raise ValueError("a bet needs the statistics of honest answers")
    wanted = {float(np.quantile(sample, 1 - share, method="higher")) for share in _EDGE_SHARES}
    above = float(np.nextafter(sample[-1], np.inf))  # beyond every honest answer
    edges = sorted({edge for edge in wanted if edge > sample[0]} | {above})
    each = 1 - (1 - confidence) / len(edges)
    chances = [upper_bound(int((sample >= edge).sum()), sample.size, each) for edge in edges]
    weights = np.full(len(edges) + 1, (1 - _SURE) / len(edges))
    weights[0] = _SURE
    if suspect is not None and np.size(suspect):
        weights = _grown(weights, np.asarray(suspect, dtype=np.float64), edges, chances)
    payoffs = tuple(float(w / c) for w, c in zip(weights[1:], chances, strict=True))
    return Bet(tuple(edges), tuple(chances), payoffs, float(weights[0]))


def _grown(
    weights: NDArray[np.float64],
    suspect: NDArray[np.float64],
    edges: Sequence[float],
    chances: Sequence[float],
) -> NDArray[np.float64]:
    worth = np.ones((suspect.size, len(edges) + 1))
    worth[:, 1:] = (suspect[:, None] >= np.array(edges)) / np.array(chances)
    for _ in range(_EXPECTATION_STEPS):
        mixed = worth * weights
        weights = (mixed / mixed.sum(axis=1, keepdims=True)).mean(axis=0)
    weights = np.maximum(weights, 0)
    weights[0] = max(weights[0], _SURE)
    weights[1:] *= (1 - weights[0]) / max(weights[1:].sum(), 1e-300)
    return weights


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known against one node on one model version, after `answers` answers. Start with Evidence().

    log_started: logarithm of the worth of all bets begun so far; −inf at the start.
    """

    answers: int = 0
    log_started: float = -math.inf

    def after(self, e_value: float) -> "Evidence":
        """With one more answer.

        Raises:
            ValueError: the e-value is negative or not a number.
        """
        if not e_value >= 0:
            raise ValueError("an e-value is at least 0")
        number = self.answers + 1
        stake = -math.log(number * (number + 1))  # 1/(k(k+1)) for the bet begun at answer k: they sum to 1
        begun = _log_add(self.log_started, stake)
        return Evidence(number, begun + math.log(e_value) if e_value > 0 else -math.inf)

    @property
    def log_worth(self) -> float:
        """Logarithm of the test martingale: 0 at the start, and on average no more for an honest node."""
        return _log_add(self.log_started, -math.log(self.answers + 1))

    def alarm(self, false_alarms: float) -> bool:
        """Whether it passes for proof, when one honest node in 1/`false_alarms` may ever be accused.

        Raises:
            ValueError: `false_alarms` is not between 0 and 1.
        """
        if not 0 < false_alarms < 1:
            raise ValueError("a false-alarm rate lies between 0 and 1")
        return self.log_worth >= -math.log(false_alarms)


def _log_add(a: float, b: float) -> float:
    high, low = max(a, b), min(a, b)
    return high if low == -math.inf else high + math.log1p(math.exp(low - high))
