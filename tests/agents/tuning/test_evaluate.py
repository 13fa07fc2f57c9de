"""Whether a merge is good enough to be published."""

import dataclasses
import math

import numpy as np
import pytest

from agents.tuning.evaluate import Comparison, Measured, compare, evaluate, held_out, text_loss
from agents.tuning.host import Pair


class Table:
    """Gives every token of an answer the log-probability that stands for its first token."""

    def __init__(self, **values):
        self.values = {int(k[1:]): v for k, v in values.items()}

    def log_probabilities(self, prompt, answer):
        return np.full(len(answer), self.values[answer[0]])


PAIRS = [Pair((1,), (2, 2), (3, 3, 3, 3)), Pair((1,), (4,), (5,))]
PARENT = Table(t2=-1.0, t3=-0.9, t4=-1.0, t5=-3.0, t9=-2.0)


def test_accuracy_is_per_token_so_that_length_alone_decides_nothing():
    found = evaluate(PARENT, PAIRS)
    assert found == Measured(0.5, (1.6 + 2.0) / 2, 1.0, 2)


def test_a_better_version_is_good_and_a_worse_one_is_not():
    better = Table(t2=-0.5, t3=-2.0, t4=-0.5, t5=-3.0, t9=-2.05)
    found = compare(PARENT, better, PAIRS, [(1, 9, 9)])
    assert found.good
    assert found.text == pytest.approx(0.05)
    assert not compare(better, PARENT, PAIRS, [(1, 9, 9)]).good


def test_text_that_got_worse_by_the_bound_is_not_published():
    wrecked = Table(t2=-0.5, t3=-2.0, t4=-0.5, t5=-3.0, t9=-2.2)
    assert not compare(PARENT, wrecked, PAIRS, [(1, 9, 9)]).good


def test_what_is_no_number_is_not_good():
    same = evaluate(PARENT, PAIRS)
    assert not Comparison(same, same, math.nan).good
    assert not Comparison(same, dataclasses.replace(same, accuracy=math.nan), 0.0).good


def test_without_data_nothing_is_measured():
    with pytest.raises(ValueError, match="no held-out preferences"):
        evaluate(PARENT, [])
    with pytest.raises(ValueError, match="no held-out text"):
        text_loss(PARENT, [(1,)])


def test_what_is_held_out_is_drawn_by_the_hash_alone():
    digests = [bytes([n]) * 32 for n in range(20)]
    drawn = held_out(digests, b"block")
    assert len(drawn) == 4
    assert drawn == held_out(digests, b"block")
    assert drawn != held_out(digests, b"other")
    shuffled = digests[::-1]
    assert {digests[i] for i in drawn} == {shuffled[i] for i in held_out(shuffled, b"block")}
    assert held_out(digests[:1], b"block") == ()
    assert len(held_out(digests[:2], b"block")) == 1
