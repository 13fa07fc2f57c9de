"""Finding a node: every offer that is not what it should be falls out, and says why."""

import time
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from consumer_stage import FEE, MILLION, NodeDouble, Stage, with_model
from fastapi import Response

from agents.chain.devchain import dev_wallet
from agents.consumer.candidates import Survey, Wanted, nobody, survey
from agents.consumer.errors import NoNode
from agents.market.reads import Market, Registered
from agents.protocol.wire import Offer

Nodes = Callable[..., NodeDouble]
Agent = Callable[..., Any]


def look(stage: Stage, **changes: Any) -> Survey:
    known = frozenset(bytes.fromhex(text[2:]) for text in stage.manifest.bit_classes)
    wanted = Wanted(stage.model_id, 0, FEE, 20, 10, bytes(32), known_classes=known)
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
        (
            lambda o: with_model(o, bit_class="0x" + "01" * 32),
            "neither this machine's nor one that the model",
        ),
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


BROKEN = [b"http://[", b"http://a]b", b"http://\xff\xfe\xfd", b"http://h:99999", b"http://x/\x1b[2J"]


def register(stage: Stage, double: NodeDouble, endpoint: bytes) -> None:
    """Puts raw bytes where the ABI has text, as any contract call can."""
    nodes, own = stage.market.nodes, double.wallet
    place = b"_" * len(endpoint)
    data = nodes.data("setEndpoint", own.address, double.key, place.decode()).replace(place, endpoint)
    raw: Any = SimpleNamespace(address=nodes.address, data=lambda *_: data)
    stage.send(own, raw, "setEndpoint")


def test_a_broken_address_costs_nobody_but_its_node(stage: Stage, node: Nodes, agent: Agent) -> None:
    good = node()
    bad = [node(jobs=1) for _ in BROKEN]
    for double, endpoint in zip(bad, BROKEN, strict=True):
        register(stage, double, endpoint)
    found = look(stage)
    assert [c.provider.address for c in found.candidates] == [good.wallet.address]
    assert {fell.address for fell in found.fell_out} == {double.wallet.address for double in bad}
    assert all(fell.why for fell in found.fell_out)
    ran = agent("ask", "Hello", "--json")
    assert (ran.code, ran.json["node"]) == (0, good.wallet.address), ran.err
    good.stop()
    ran = agent("ask", "Hello")
    assert ran.code == 3
    assert "\x1b" not in ran.err
    assert all(double.wallet.address in ran.err for double in bad)


def test_what_no_library_foresees_costs_nobody_but_its_node(
    stage: Stage, node: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, unreadable, unusable = node(), node(), node()
    read = Market.node

    def node_of(market: Market, address: str) -> Registered:
        if address == unreadable.wallet.address:
            raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")
        return read(market, address)

    def refused(url: str, chain_id: int, *, allow_private: bool = False) -> str | None:
        if url == unusable.url:
            raise ValueError("Invalid IPv6 URL")
        return None

    monkeypatch.setattr(Market, "node", node_of)
    monkeypatch.setattr("agents.consumer.candidates.refusal", refused)
    found = look(stage)
    assert [c.provider.address for c in found.candidates] == [good.wallet.address]
    why = {fell.address: fell.why for fell in found.fell_out}
    assert "UnicodeDecodeError" in why[unreadable.wallet.address]
    assert "ValueError" in why[unusable.wallet.address]


def test_a_node_can_not_buy_itself_the_weaker_check(stage: Stage, node: Nodes, our_class: bytes) -> None:
    ours = node(input_price=100 * MILLION, output_price=100 * MILLION)
    tolerant = node(bit_class=bytes(32), input_price=80 * MILLION, output_price=80 * MILLION)

    def order(**changes: Any) -> list[str]:
        return [c.provider.address for c in look(stage, bit_class=our_class, **changes).candidates]

    assert order() == [ours.wallet.address, tolerant.wallet.address], "a fifth cheaper is not enough"
    tolerant.input_price = tolerant.output_price = 79 * MILLION
    assert order() == [tolerant.wallet.address, ours.wallet.address]
    assert order(exact=True) == [ours.wallet.address]


def test_the_limit_covers_the_fee_of_a_demand(stage: Stage, node: Nodes) -> None:
    node(input_price=100 * MILLION, output_price=100 * MILLION)
    assert len(look(stage, most=4000, demand_fee=1000).candidates) == 1
    assert "--no-demand" in str(nobody(look(stage, most=3999, demand_fee=1000)))


def test_nobody_serves_the_model(stage: Stage) -> None:
    with pytest.raises(NoNode, match="no node has staked"):
        look(stage)
