"""Gas of every verb, from receipts: intrinsic gas and calldata included, on a market that already runs.

A market that runs: accounts, counters and balances are not zero any more. First times, which cost more, are
measured under names that say so.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from eth_account.signers.local import LocalAccount
from web3 import Web3

from agents.chain.devchain import DevChain
from gas.court import measure_court
from gas.tuning import measure_tuning
from gas.voucher import measure_vouchers
from gas.world import CHALLENGE_WINDOW, DELIVERY_WINDOW, DOLLAR, START, THAW_PERIOD, OpenJob, World, account

SNAPSHOT = Path(__file__).with_name("snapshot.json")
BATCH = 50


def measure() -> dict[str, int]:
    """Every figure by id, in gas. Takes some seconds; needs anvil."""
    with DevChain(extra=("--timestamp", str(START), "--gas-limit", "60000000", "--base-fee", "0")) as chain:
        world = World(chain)
        found = _models(world) | _stake(world) | _money(world) | _jobs(world)
    found |= measure_court() | measure_tuning() | measure_vouchers()
    return dict(sorted(found.items()))


def _models(world: World) -> dict[str, int]:
    manifest = Web3.keccak(text="manifest")
    register = world.models.functions.register("smollm2-135m", "SMOL", manifest, 10_000, 10**24)
    return {"model.register": world.send(world.trainer, register)}


def _stake(world: World) -> dict[str, int]:
    registry, node = world.registry.functions, world.node
    encryption_key = Web3.keccak(text="encryption key")
    found = {
        "node.set": world.send(
            node, registry.setNode(world.operator.address, encryption_key, "https://node-1.example.org:8080")
        )
    }
    world.fund(node, 10_000 * DOLLAR)
    data = bytes(12) + bytes.fromhex(node.address[2:])
    escrow, model = world.escrow.address, world.model_id

    def stake(amount: int) -> int:
        return world.send(node, world.vault.functions.payAndCall(world.registry.address, amount, data))

    found["node.stake.first"] = stake(2000 * DOLLAR)
    found["node.stake"] = stake(2000 * DOLLAR)
    found["node.provision.first"] = world.send(node, registry.provision(escrow, model, 1000 * DOLLAR))
    found["node.provision"] = world.send(node, registry.provision(escrow, model, 1000 * DOLLAR))
    found["node.thaw"] = world.send(node, registry.thaw(escrow, model, 10 * DOLLAR))
    world.wait(THAW_PERIOD)
    found["node.deprovision"] = world.send(node, registry.deprovision(escrow, model))
    found["node.unstake"] = world.send(node, registry.unstake(node.address, 10 * DOLLAR))
    return found


def _money(world: World) -> dict[str, int]:
    vault, client = world.vault.functions, account("client")
    found = {"vault.deposit.first": world.fund(client, 100 * DOLLAR)}
    # The allowance stays, so that a deposit is measured without the refund for clearing it.
    world.send(world.deployer, world.token.functions.faucet(client.address, 200 * DOLLAR))
    world.send(client, world.token.functions.approve(world.vault.address, 200 * DOLLAR))
    found["vault.deposit"] = world.send(client, vault.deposit(client.address, 100 * DOLLAR))
    found["vault.pay"] = world.send(client, vault.pay(world.node.address, DOLLAR))
    found["vault.withdraw"] = world.send(client, vault.withdraw(client.address, DOLLAR))
    return found


def _jobs(world: World) -> dict[str, int]:
    client, others = account("client"), [account(f"client {i}") for i in range(BATCH)]
    for other in others:
        world.fund(other, DOLLAR)
    first = world.job(client)
    found = {"job.open.first": world.open(first)}
    world.complete(first)
    # Every account that jobs are paid from and to has been paid once.
    world.send(client, world.escrow.functions.approve(*first.both))

    # The honest case: one node, fifty clients, each with some of its ceiling coming back.
    jobs, opened, completed = _completed(world, others)
    world.wait(CHALLENGE_WINDOW + 1)
    batch = world.finalize(jobs)
    found["job.open"] = _each(opened)
    found["job.complete"] = _each(completed)
    found["job.finalize.batch50"] = _each([batch], BATCH)
    found["job.life.batch50"] = sum(found[f"job.{part}"] for part in ("open", "complete", "finalize.batch50"))

    jobs, _, _ = _completed(world, [client] * BATCH)
    world.wait(CHALLENGE_WINDOW + 1)
    found["job.finalize.batch50.one_client"] = _each([world.finalize(jobs)], BATCH)

    found["job.finalize.single"] = _ended(world, client, lambda job: world.finalize([job]), CHALLENGE_WINDOW)
    escrow = world.escrow.functions
    found["job.approve"] = _ended(world, client, lambda job: world.send(client, escrow.approve(*job.both)), 0)
    found |= _silence(world, client)
    found["model.pushFees"] = world.send(client, escrow.pushModelFees(world.model_id))
    return found


def _silence(world: World, client: LocalAccount) -> dict[str, int]:
    """A node that misses and one that withholds, the second of each; one that delivers when asked."""
    found, escrow = {}, world.escrow.functions
    for _ in range(2):
        missed = world.job(client)
        world.open(missed)
        world.wait(3600)
        found["job.expire"] = world.send(client, escrow.expire(missed.job_tuple))
    for _ in range(2):
        (withheld,), _, _ = _completed(world, [client])
        found["job.demand"] = world.demand(withheld)
        world.wait(DELIVERY_WINDOW + 1)
        found["job.closeWithheld"] = world.send(client, escrow.closeWithheld(*withheld.both))
    late = world.with_output_of(world.job(client), 256)
    world.open(late)
    world.complete(late)
    world.demand(late)
    found["job.deliver.256"] = world.send(world.operator, escrow.deliver(*late.both, late.output))
    return found


def _completed(world: World, clients: Sequence[LocalAccount]) -> tuple[list[OpenJob], list[int], list[int]]:
    """A job for each client, opened and completed; with the gas of each opening and completion."""
    jobs, opened, completed = [], [], []
    for client in clients:
        jobs.append(world.job(client))
        opened.append(world.open(jobs[-1]))
        completed.append(world.complete(jobs[-1]))
    return jobs, opened, completed


def _ended(world: World, client: LocalAccount, end: Callable[[OpenJob], int], after: int) -> int:
    (job,), _, _ = _completed(world, [client])
    world.wait(after + 1)
    return end(job)


def _each(gas: Sequence[int], among: int | None = None) -> int:
    """The mean, rounded up."""
    return -(-sum(gas) // (among or len(gas)))


def read() -> dict[str, int]:
    """The committed figures; none if there is no snapshot."""
    if not SNAPSHOT.exists():
        return {}
    found: dict[str, int] = json.loads(SNAPSHOT.read_text())
    return found


def write(found: Mapping[str, int]) -> None:
    SNAPSHOT.write_text(json.dumps(dict(found), indent=1, sort_keys=True) + "\n")


def differences(found: Mapping[str, int], committed: Mapping[str, int]) -> list[str]:
    """A line for each figure that is not what the snapshot says."""
    lines = []
    for name in sorted(found.keys() | committed.keys()):
        was, now = committed.get(name), found.get(name)
        if was != now:
            change = f" ({now - was:+})" if was is not None and now is not None else ""
            lines.append(f"{name}: {was} in the snapshot, {now} measured{change}")
    return lines
