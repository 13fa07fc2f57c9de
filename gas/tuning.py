"""Gas of an epoch of tuning, from receipts: everybody's transactions, on an economy that already runs."""

from dataclasses import dataclass
from typing import Any

from eth_account.signers.local import LocalAccount
from eth_utils.crypto import keccak
from web3 import Web3
from web3.contract import Contract
from web3.types import RPCEndpoint

from agents.chain.devchain import DevChain
from agents.chain.tuning_config import TuningSettings
from gas.world import DOLLAR, START, World, account

TERMS = TuningSettings()
SHARDS, SEGMENTS, FUNCTIONS = 2, 10, 4
SHARE = 10**23
"""What each of the holders has of 10**24 tokens: a quorum."""
ADAPTER_AND_TRACE = (keccak(text="adapter"), keccak(text="trace"), keccak(text="preferences"), 10**12)


@dataclass(frozen=True, slots=True)
class Proposed:
    """As the contract's Proposal, and its id."""

    proposal: tuple[int, str, tuple[Any, ...]]
    id: bytes


class TuningWorld(World):
    """A market whose holders have locked their tokens, and nodes with stake for tuning."""

    def __init__(self, chain: DevChain) -> None:
        super().__init__(chain)
        manifest = Web3.keccak(text="manifest")
        register = self.models.functions.register("smollm2-135m", "SMOL", manifest, 10_000, 10**24)
        self.send(self.trainer, register)
        self.shares = self._bind("ModelToken", self.models.functions.tokenOf(self.model_id).call())
        self.holders = [account(f"holder {i}") for i in range(6)]
        self.auditor, self.payer, self._programs = account("auditor"), account("payer"), 0
        self.fund(self.payer, 10_000 * DOLLAR)
        for node in (self.node, self.auditor):
            self.send(node, self.registry.functions.setNode(node.address, bytes(32), ""))
            self.fund(node, 20_000 * DOLLAR)
            owner = bytes(12) + bytes.fromhex(node.address[2:])
            self.pay(node, self.registry, 10_000 * DOLLAR, owner)
            provision = self.registry.functions.provision(self.tasks.address, self.model_id, 10_000 * DOLLAR)
            self.send(node, provision)

    def pay(self, payer: LocalAccount, to: Contract, amount: int, data: bytes) -> int:
        return self.send(payer, self.vault.functions.payAndCall(to.address, amount, data))

    def shaped(self, interface: str, to: Contract, verb: str, *arguments: Any) -> bytes:
        """Call data for money that comes with a call."""
        call = self._bind(interface, to.address).functions[verb](*arguments)
        return bytes.fromhex(call._encode_transaction_data().removeprefix("0x"))

    def until(self, time: int) -> None:
        """The next transaction is mined then."""
        assert time > self.time, "too late: this world's windows are too short"
        self.time = time - 1

    def next_epoch(self) -> int:
        epoch = self.time // TERMS.epoch_length + 1
        self.until(epoch * TERMS.epoch_length)
        return epoch

    def pass_blocks(self, blocks: int) -> None:
        for _ in range(blocks):
            self.time += 1
            for method, params in (("evm_setNextBlockTimestamp", [self.time]), ("evm_mine", [])):
                self.web3.provider.make_request(RPCEndpoint(method), params)

    def lock(self, holder: LocalAccount, amount: int) -> int:
        self.send(holder, self.shares.functions.approve(self.governor.address, amount))
        return self.send(holder, self.governor.functions.lock(self.model_id, amount))

    def propose(self, epoch: int) -> tuple[Proposed, int]:
        self._programs += 1
        program = keccak(text=f"program {self._programs}")
        parameters = keccak(text="parameters")
        terms = (self.model_id, program, parameters, SHARDS, SEGMENTS, 500 * DOLLAR, 10**6, 2000)
        gas = self.send(self.payer, self.governor.functions.propose(terms))
        proposal = (epoch, self.payer.address, terms)
        return Proposed(proposal, self.governor.functions.proposalId(proposal).call()), gas


def measure_tuning() -> dict[str, int]:
    """Every figure by id, in gas. Takes some seconds; needs anvil."""
    with DevChain(extra=("--timestamp", str(START), "--gas-limit", "60000000", "--base-fee", "0")) as chain:
        world = TuningWorld(chain)
        found = _locks(world)
        # The second epoch is measured: counters and accounts are not zero any more.
        _epoch(world)
        return found | _epoch(world)


def _locks(world: TuningWorld) -> dict[str, int]:
    governor, found = world.governor.functions, {}
    for holder in world.holders:
        world.send(world.trainer, world.shares.functions.transfer(holder.address, SHARE))
        found["votes.lock.first"] = world.lock(holder, SHARE // 2)
    world.next_epoch()
    for holder in world.holders:
        found["votes.lock"] = world.lock(holder, SHARE // 2)
    last = world.holders[-1]
    found["votes.delegate"] = world.send(last, governor.delegate(world.model_id, world.holders[0].address))
    found["votes.unlock"] = world.send(last, governor.unlock(world.model_id, SHARE // 2))
    world.next_epoch()
    found["votes.withdraw"] = world.send(last, governor.withdraw(world.model_id))
    return found


def _epoch(world: TuningWorld) -> dict[str, int]:
    epoch = world.next_epoch()
    governor, found = world.governor.functions, {}
    world.pay(world.payer, world.governor, 1000 * DOLLAR, world.model_id.to_bytes(32, "big"))
    made = [world.propose(epoch) for _ in range(FUNCTIONS)]
    found["epoch.propose"] = made[-1][1]
    proposals = [proposed for proposed, _ in made]
    for holder, proposed in zip(world.holders, proposals, strict=False):
        world.send(holder, governor.vote(proposed.id, SHARE))
    # Holder 4 votes where others have, then moves half of it.
    other = world.holders[4]
    found["epoch.vote"] = world.send(other, governor.vote(proposals[0].id, SHARE))
    found["epoch.vote.change"] = world.send(other, governor.vote(proposals[0].id, SHARE // 2))
    found["epoch.vote.split"] = world.send(other, governor.vote(proposals[1].id, SHARE // 2))
    world.next_epoch()
    close = governor.closeEpoch(world.model_id, [proposed.proposal for proposed in proposals])
    found["epoch.close.per_function"] = -(-world.send(world.payer, close) // FUNCTIONS)
    found |= _task(world, proposals[0])
    return found | _merge(world, epoch)


def _task(world: TuningWorld, proposed: Proposed) -> dict[str, int]:
    """Both shards; the second is measured."""
    tasks, found = world.tasks.functions, {}
    terms = proposed.proposal[2]
    parent = world.governor.functions.epochOf(world.model_id, proposed.proposal[0]).call()[4]
    id_ = tasks.functionId(world.governor.address, terms, parent, proposed.id).call()
    world.wait(TERMS.rise_time // 2)
    for shard in range(SHARDS):
        found["claim"] = world.send(world.node, tasks.claim(id_, shard, world.node.address, 0))
    for shard in range(SHARDS):
        found["submit"] = world.send(world.node, tasks.submit(id_, shard, ADAPTER_AND_TRACE))
    world.pass_blocks(3)
    report = keccak(text="report")
    for shard in range(SHARDS):
        found["audit"] = world.send(world.auditor, tasks.audit(id_, shard, world.auditor.address, report))
    world.wait(2 * TERMS.audit_window + TERMS.challenge_window + 1)
    for shard in range(SHARDS):
        found["settle"] = world.send(world.payer, tasks.settle(id_, shard))
    swept = world.send(world.payer, tasks.sweep(id_))
    whole = sum(found.values())
    verbs = {f"epoch.task.{verb}": gas for verb, gas in found.items()}
    return verbs | {"epoch.task": whole, "epoch.sweep": swept}


def _merge(world: TuningWorld, epoch: int) -> dict[str, int]:
    world.until(world.governor.functions.mergeFrom(epoch).call())
    merge = (world.model_id, epoch, keccak(text=f"manifest {epoch}"))
    data = world.shaped("ITuningGovernorPayments", world.governor, "postMerge", merge)
    posted = world.pay(world.payer, world.governor, TERMS.bond, data)
    number = world.governor.functions.assertionCount().call()
    world.wait(TERMS.challenge_window + 1)
    finished = world.send(world.payer, world.governor.functions.finishMerge(number, merge))
    return {"epoch.merge.post": posted, "epoch.merge.finish": finished}


if __name__ == "__main__":
    for name, gas in sorted(measure_tuning().items()):
        print(f"{name:32}{gas:>10,}")
