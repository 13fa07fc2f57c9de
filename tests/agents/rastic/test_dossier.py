"""Evidence against a node, kept over restarts, on margins that were measured."""

import json
import math

import numpy as np
import pytest

from agents.rastic.dossier import GREEDY, SAMPLED, BadDossier, Dossier
from agents.trainer.publish import RULES
from bench.rastic import claims

TIERS = {"greedy": RULES.tolerant.greedy, "t08": RULES.tolerant.sampled}


def lived(lane, answers, length):
    """A node's life of these answers in a random order, saved and loaded after each."""
    dossier = Dossier()
    order = np.random.default_rng(5).permutation(len(answers))
    for number in order.tolist():
        dossier = Dossier.load(dossier.dump()).after(
            answers[number][:length], TIERS[lane.mode], greedy=lane.mode == "greedy"
        )
        if dossier.accused:
            break
    return dossier


@pytest.fixture(scope="module", params=["greedy", "t08"])
def lane(request):
    return claims.load("tolerant", request.param)


@pytest.mark.parametrize("length", [16, 64, 256])
def test_an_honest_node_is_not_accused_for_all_it_was_measured_to_say(lane, length):
    dossier = lived(lane, list(lane.honest.values()), length)
    assert not dossier.accused
    assert dossier.evidence.answers == len(lane.honest)
    assert "nothing against it" in dossier.explain() or "on the way" in dossier.explain()


@pytest.mark.parametrize(("name", "most"), [("q4_0", 12), ("lora", 60), ("q2_k", 6), ("pruned", 6)])
def test_an_impostor_whose_answers_mostly_pass_is_accused_soon(lane, name, most):
    dossier = lived(lane, list(lane.impostors[name][1].values()), 16)
    assert dossier.accused_at is not None
    assert dossier.accused_at <= most
    assert f"first {dossier.accused_at} answers" in dossier.explain()


def test_an_accusation_stays(lane):
    dossier = lived(lane, list(lane.impostors["q2_k"][1].values()), 64)
    later = dossier
    for margins in list(lane.honest.values())[:100]:
        later = later.after(margins, TIERS[lane.mode], greedy=lane.mode == "greedy")
    assert later.accused_at == dossier.accused_at
    assert Dossier.load(later.dump()) == later


def test_one_answer_is_never_enough_and_none_is_nothing():
    tier = RULES.tolerant.greedy
    assert not Dossier().after([math.inf] * 40, tier, greedy=True).accused
    assert Dossier().after([], tier, greedy=True) == Dossier()
    with pytest.raises(ValueError, match="margins"):
        Dossier().after([-0.1], tier, greedy=True)


def test_the_bets_are_fair_for_an_honest_node():
    for bet in (GREEDY, SAMPLED):
        assert bet.expectation() <= 1 + 1e-9


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        "null",
        '{"v":2,"answers":1,"started":0.0,"accused":null}',
        '{"v":1,"answers":-1,"started":0.0,"accused":null}',
        '{"v":1,"answers":1,"started":"x","accused":null}',
        '{"v":1,"answers":1,"started":NaN,"accused":null}',
        '{"v":1,"answers":1,"started":0.0,"accused":2}',
        '{"v":1,"answers":true,"started":0.0,"accused":null}',
    ],
)
def test_what_is_no_dossier_is_refused(text):
    with pytest.raises(BadDossier, match="delete it"):
        Dossier.load(text)


def test_a_new_dossier_survives_storage():
    assert Dossier.load(Dossier().dump()) == Dossier()
    assert json.loads(Dossier().dump())["started"] is None
