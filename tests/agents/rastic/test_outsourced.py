"""Asking neighbours: only who has the token reads a reply, nobody can repeat one, liars are outvoted."""

import numpy as np
import pytest

from agents.rastic.outsourced import Finding, Poll, Question, agrees, reply

QUESTION = Question(bytes(32), 7, bytes([5]) * 32)
ANNE, BERT = bytes([1]) * 20, bytes([2]) * 20


def test_a_reply_agrees_with_its_token_alone():
    answer = reply(QUESTION, ANNE, 1_234)
    assert agrees(QUESTION, ANNE, 1_234, answer)
    assert not agrees(QUESTION, ANNE, 1_235, answer)


def test_a_reply_can_not_be_repeated_by_another_nor_for_another_question():
    answer = reply(QUESTION, ANNE, 1_234)
    others = (Question(bytes(32), 8, bytes([5]) * 32), Question(bytes(32), 7, bytes(32)))
    assert not agrees(QUESTION, BERT, 1_234, answer)
    assert not any(agrees(other, ANNE, 1_234, answer) for other in others)


@pytest.mark.parametrize(("honest", "wrong"), [(0.8, 0.001), (0.6, 0.01), (0.95, 1e-6)])
def test_findings_are_wrong_no_more_often_than_said(honest, wrong):
    poll = Poll(honest, wrong)
    draw = np.random.Generator(np.random.Philox(key=3))
    runs, asked, mistaken = 4_000, 0, 0
    for _ in range(runs):
        replies = draw.random(3_000) < honest  # the node's token is right
        ahead = np.cumsum(np.where(replies, 1, -1))
        asked += int(np.argmax(np.abs(ahead) >= poll.lead)) + 1
        finding = poll.finding(replies.tolist())
        assert finding is not Finding.ASK_MORE
        mistaken += finding is Finding.WRONG
    assert mistaken <= wrong * runs + 4 * (wrong * runs) ** 0.5
    assert asked / runs < 3 * poll.lead / (2 * honest - 1)


def test_a_split_vote_asks_more():
    poll = Poll()
    assert poll.lead == 5
    assert poll.finding([]) is Finding.ASK_MORE
    assert poll.finding([True, False] * 50) is Finding.ASK_MORE
    assert poll.finding([True, False, *[False] * 5, *[True] * 50]) is Finding.WRONG


@pytest.mark.parametrize("bad", [
    lambda: Poll(honest=0.5), lambda: Poll(wrong=0.5), lambda: Question(b"", 0, bytes(32)),
    lambda: reply(QUESTION, b"", 1), lambda: reply(QUESTION, ANNE, -1),
])  # fmt: skip
def test_what_decides_nothing_is_refused(bad):
    with pytest.raises(ValueError, match="."):
        bad()
