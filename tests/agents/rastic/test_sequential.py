"""Evidence over many answers: an honest node's whole life stays below the bound, a bad one is found."""

import math

import numpy as np
import pytest

from agents.rastic.sequential import Bet, Evidence, fit_bet

DRAW = np.random.Generator(np.random.Philox(key=11))
HONEST = DRAW.exponential(0.01, 400)


def life(bet, statistics):
    evidence = Evidence()
    for number, statistic in enumerate(statistics, 1):
        evidence = evidence.after(bet.value(statistic))
        if evidence.alarm(0.01):
            return number
    return None


def test_a_bet_pays_an_honest_node_at_most_its_stake_on_fresh_answers():
    bet = fit_bet(HONEST)
    fresh = DRAW.exponential(0.01, 200_000)
    values = bet.kept + (fresh[:, None] >= np.array(bet.edges)) @ np.array(bet.payoffs)
    assert values.mean() <= 1.0
    assert bet.expectation() == pytest.approx(1.0)
    assert values[:50] == pytest.approx([bet.value(s) for s in fresh[:50]])


def test_honest_nodes_are_hardly_ever_accused_however_long_they_live():
    bet = fit_bet(HONEST, DRAW.exponential(0.03, 400))
    accused = sum(life(bet, DRAW.exponential(0.01, 500)) is not None for _ in range(300))
    assert accused <= 9  # 3 expected at the very most; more than 9 has a chance below 0.4 %


def test_a_bet_from_a_quieter_machine_would_accuse_honest_nodes():
    """Why a calibration must hold every setting a node may choose; and that the test above could fail."""
    quiet = fit_bet(DRAW.exponential(0.003, 400))
    accused = sum(life(quiet, DRAW.exponential(0.01, 500)) is not None for _ in range(50))
    assert accused > 25


def test_a_bad_node_is_found_and_a_tuned_bet_finds_it_sooner():
    bad = DRAW.exponential(0.02, 400)
    plain, tuned = fit_bet(HONEST), fit_bet(HONEST, bad)
    lives = [DRAW.exponential(0.02, 2_000) for _ in range(40)]
    found = [[life(bet, answers) for answers in lives] for bet in (plain, tuned)]
    assert all(number is not None for number in found[1])
    assert np.median(found[1]) < 200
    assert np.median(found[1]) <= np.median([n or 2_000 for n in found[0]])


def test_a_node_that_turns_bad_late_is_found_almost_as_soon():
    bet = fit_bet(HONEST, DRAW.exponential(0.05, 400))
    late = [life(bet, [*DRAW.exponential(0.01, 1_000), *DRAW.exponential(0.05, 500)]) for _ in range(20)]
    assert all(number is None or number > 1_000 for number in late)
    assert np.median([number - 1_000 for number in late if number]) < 60


def test_the_worth_is_the_mixture_it_says_it_is():
    values = [0.5, 3.0, 1.2, 0.1, 9.0]
    evidence = Evidence()
    for value in values:
        evidence = evidence.after(value)
    total = 1 / (len(values) + 1)  # bets not yet begun
    for k in range(1, len(values) + 1):
        total += math.prod(values[k - 1 :]) / (k * (k + 1))
    assert math.exp(evidence.log_worth) == pytest.approx(total)
    assert Evidence().log_worth == 0


def test_nothing_is_lost_by_a_very_long_life():
    evidence = Evidence()
    for _ in range(20_000):
        evidence = evidence.after(0.9)
    assert math.isfinite(evidence.log_worth)
    assert not evidence.alarm(0.01)
    for _ in range(40):
        evidence = evidence.after(2.0)
    assert evidence.alarm(0.01)


def test_a_worthless_answer_ends_only_the_bets_begun():
    evidence = Evidence().after(50.0).after(0.0)
    assert evidence.log_started == -math.inf
    assert math.exp(evidence.log_worth) == pytest.approx(1 / 3)
    for _ in range(9):
        evidence = evidence.after(4.0)
    assert evidence.alarm(0.01)


def test_bets_that_an_honest_node_could_win_are_refused():
    with pytest.raises(ValueError, match="on average"):
        Bet((0.1,), (0.5,), (2.0,), 0.1)
    with pytest.raises(ValueError, match="ascend"):
        Bet((0.2, 0.1), (0.1, 0.2), (1.0, 1.0), 0.1)
    with pytest.raises(ValueError, match="at least 0"):
        Evidence().after(float("nan"))
    with pytest.raises(ValueError, match="honest answers"):
        fit_bet([])


def test_a_sample_without_any_margin_still_makes_a_bet():
    bet = fit_bet(np.zeros(300))
    assert bet.value(0.0) < 1 < bet.value(0.01)
