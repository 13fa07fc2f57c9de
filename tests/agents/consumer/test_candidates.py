"""Finding a node: every offer that is not what it should be falls out, and says why."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from consumer_stage import FEE, MILLION, NodeDouble, Stage, with_model
from fastapi import Response

from agents.chain.devchain import dev_wallet
from agents.consumer.candidates import Survey, Wanted, nobody, survey
from agents.consumer.errors import NoNode
from agents.protocol.wire import Offer

Nodes = Callable[..., NodeDouble]


def look(stage: Stage, **changes: Any) -> Survey:
    wanted = Wanted(stage.model_id, 0, FEE, 20, 10, bytes(32))
    return survey(stage.market, replace(wanted, **changes), timeout=1.0, seed=1)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda o: o.model_copy(update={"node": dev_wallet(7).address}), "another node"),
        (lambda o: o.model_copy(update={"chain_id": "5"}), "another deployment"),
        (lambda o: o.model_copy(update={"vault": dev_wallet(7).address}), "another deployment"),
        (lambda o: o.model_copy(update={"encryption_key": "0x" + "22" * 32}), "key in its offer"),
        (lambda o: o.model_copy(update={"models": ()}), "does not offer version 0"),
        (lambda o: with_model(o, version=1), "does not offer version 0"),
        (lambda o: with_model(o, input_price=str(FEE - 1)), "below the model's own fee"),
        (lambda o: with_model(o, output_price=str(1 << 64)), "does not fit a job"),
        (lambda o: with_model(o, context_length=29), "takes 29 tokens"),
    ],
)
def test_an_offer_that_does_not_fit(
    stage: Stage, node: Nodes, change: Callable[[Offer], Offer], why: str
) -> None:
    double = node()
    double.ways = replace(double.ways, offer=change)
    found = look(stage)
    assert not found.candidates
    assert why in found.fell_out[0].why
    assert double.wallet.address in str(nobody(found))


def test_slow_huge_and_senseless_offers_cost_no_more_than_their_time(stage: Stage, node: Nodes) -> None:
    def drip() -> Response:
        time.sleep(3)
        return Response(b"{}")

    raw: dict[str, Callable[[], Response]] = {
        "did not answer within 1 s": drip,
        "more than": lambda: Response(b"1" * (1 << 20)),
        "not what the protocol says": lambda: Response(b"{}"),
        "HTTP 500": lambda: Response(b"", 500),
        "packs its answer": lambda: Response(b"", headers={"content-encoding": "gzip"}),
    }
    doubles = {}
    for why, response in raw.items():
        double = doubles[why] = node(jobs=1)
        double.ways = replace(double.ways, raw_offer=response)
    reasons = {fell.address: fell.why for fell in look(stage).fell_out}
    for why, double in doubles.items():
        assert why in reasons[double.wallet.address]


def test_price_stake_and_node_are_respected(stage: Stage, node: Nodes, our_class: bytes) -> None:
    dear, cheap = node(), node(input_price=100 * MILLION, output_price=100 * MILLION)
    found = look(stage, bit_class=our_class)
    assert [c.provider.address for c in found.candidates] == [cheap.wallet.address, dear.wallet.address]
    assert [c.price for c in found.candidates] == [3000, 40000]
    assert all(c.exact for c in found.candidates)
    assert len(look(stage, most=3000).candidates) == 1
    none = look(stage, most=2999)
    assert "above your limit of 0.002999 DevUSD" in str(nobody(none))
    named = look(stage, node=dear.wallet.address).candidates
    assert [c.provider.address for c in named] == [dear.wallet.address]
    with pytest.raises(NoNode, match="no stake"):
        look(stage, node=dev_wallet(7).address)
    market = stage.market
    stage.send(cheap.wallet, market.nodes, "thaw", market.escrow.address, stage.model_id, 30 * MILLION)
    left = look(stage)
    assert [c.provider.address for c in left.candidates] == [dear.wallet.address]
    assert "below the penalty" in left.fell_out[0].why


def test_nobody_serves_the_model(stage: Stage) -> None:
    with pytest.raises(NoNode, match="no node has staked"):
        look(stage)
