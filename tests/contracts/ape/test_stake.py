"""A trainer publishes a model; a node puts stake behind it, and takes it back."""

import ape
from conftest import DOLLAR, MODEL_FEE, SUPPLY, THAW_PERIOD
from eth_utils.crypto import keccak

from agents.protocol.messages import model_id


def test_a_trainer_registers_a_model(market, project):
    trainer, manifest = market.people.trainer, keccak(text="manifest")
    receipt = market.models.register("other", "OTHER", manifest, MODEL_FEE, SUPPLY, sender=trainer)
    (event,) = receipt.events.filter(market.models.ModelRegistered)
    assert event.modelId == model_id(trainer.address, "other")
    assert event.manifest == manifest
    token = project.ModelToken.at(event.token)
    assert (token.name(), token.symbol(), token.totalSupply()) == ("other", "OTHER", SUPPLY)
    assert token.balanceOf(trainer) == SUPPLY
    with ape.reverts(market.models.ModelExists, modelId=event.modelId):
        market.models.register("other", "OTHER", manifest, MODEL_FEE, SUPPLY, sender=trainer)


def test_stake_goes_in_and_comes_out(open_market, chain):
    registry, node = open_market.registry, open_market.people.node
    where = (open_market.escrow, open_market.model_id)
    assert registry.providers(*where, 0, 10) == [node.address]
    with ape.reverts(registry.InsufficientProvision):
        registry.thaw(*where, 51 * DOLLAR, sender=node)
    registry.thaw(*where, 50 * DOLLAR, sender=node)
    with ape.reverts(registry.StillThawing):
        registry.deprovision(*where, sender=node)
    chain.mine(deltatime=THAW_PERIOD)
    registry.deprovision(*where, sender=node)
    assert registry.providerCount(*where) == 0
    registry.unstake(node, 100 * DOLLAR, sender=node)
    assert open_market.vault.balanceOf(node) == 200 * DOLLAR
    assert open_market.vault.balanceOf(registry) == 0


def test_an_operator_moves_the_node_but_not_its_stake(open_market):
    registry, people = open_market.registry, open_market.people
    registry.setEndpoint(people.node, keccak(text="new key"), "https://elsewhere", sender=people.operator)
    assert registry.nodeOf(people.node).endpoint == "https://elsewhere"
    with ape.reverts(registry.InsufficientStake):
        registry.unstake(people.operator, DOLLAR, sender=people.operator)
