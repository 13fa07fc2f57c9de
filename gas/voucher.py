"""Gas of payment channels, from receipts: every verb, one payer and a hundred, on a market that runs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from eth_account.signers.local import LocalAccount
from eth_utils.crypto import keccak
from web3 import Web3

from agents.chain.devchain import DevChain
from agents.protocol.messages import Message, as_tuple, sign, struct_hash
from agents.protocol.vouchers import Channel, ChannelAcceptance, Voucher
from gas.world import (
    CHALLENGE_WINDOW,
    DISPUTE_LIMIT,
    DOLLAR,
    INPUT_PRICE,
    MODEL_FEE,
    NO_COURT,
    OUTPUT_PRICE,
    PENALTY,
    START,
    WINNER_SHARE,
    World,
    account,
)

EXIT_PERIOD = 2 * CHALLENGE_WINDOW
BATCH = 100
ANSWER, ANSWER_FEE = 42_300, 2_460
"""What 1,000 answers cost, and the model's part: 46 tokens asked, 200 answered, at the prices above."""


@dataclass(frozen=True, slots=True)
class OpenChannel:
    """A channel and who pays by it."""

    channel: Channel
    payer: LocalAccount
    session: LocalAccount


class VoucherWorld(World):
    """A market with a collector, and a node staked for it."""

    def __init__(self, chain: DevChain) -> None:
        super().__init__(chain)
        neighbours = [c.address for c in (self.vault, self.registry, self.models, self.governor)]
        figures = (PENALTY, WINNER_SHARE, CHALLENGE_WINDOW, EXIT_PERIOD, DISPUTE_LIMIT)
        self.collector = self._deploy("VoucherCollector", (*neighbours, NO_COURT, *figures))
        self._calls = self._bind("IVoucherCollectorPayments", self.collector.address).functions
        manifest = Web3.keccak(text="manifest")
        self.send(
            self.trainer, self.models.functions.register("smollm2-135m", "SMOL", manifest, MODEL_FEE, 10**24)
        )
        self.send(self.node, self.registry.functions.setNode(self.operator.address, bytes(32), ""))
        self.fund(self.node, 2000 * DOLLAR)
        data = bytes(12) + bytes.fromhex(self.node.address[2:])
        stake = 2 * BATCH * PENALTY
        self.fund(self.node, stake)
        self.send(self.node, self.vault.functions.payAndCall(self.registry.address, stake, data))
        self.send(self.node, self.registry.functions.provision(self.collector.address, self.model_id, stake))

    def channel(self, payer: LocalAccount, nonce: int) -> OpenChannel:
        session = account(f"session {payer.address}")
        channel = Channel(
            collector=self.collector.address,
            payer=payer.address,
            payee=self.node.address,
            signer=session.address,
            pay_to=self.payee.address,
            model_id=self.model_id,
            input_price=INPUT_PRICE,
            output_price=OUTPUT_PRICE,
            model_fee=MODEL_FEE,
            nonce=nonce,
        )
        return OpenChannel(channel, payer, session)

    def open(self, found: OpenChannel) -> int:  # type: ignore[override]
        id_, expires = struct_hash(found.channel), self.time + 600
        r, vs = self._signature(ChannelAcceptance(id_, DOLLAR, expires), self.operator)
        return self._pay(
            found.payer, DOLLAR, self._calls.open(as_tuple(found.channel), DOLLAR, expires, r, vs)
        )

    def top_up(self, found: OpenChannel) -> int:
        return self._pay(found.payer, DOLLAR, self._calls.topUp(struct_hash(found.channel)))

    def collect(self, channels: Sequence[OpenChannel], round_: int) -> int:
        """A voucher of `round_` times 1,000 answers from each, in one call by the operator."""
        claims = [self._claim(found, round_ * ANSWER, round_ * ANSWER_FEE) for found in channels]
        return self.send(self.operator, self.collector.functions.collect(claims))

    def release(self, channels: Sequence[OpenChannel]) -> int:
        return self.send(
            self.operator, self.collector.functions.release([as_tuple(c.channel) for c in channels])
        )

    def exit(self, found: OpenChannel) -> int:
        return self.send(found.payer, self.collector.functions.exit(as_tuple(found.channel)))

    def close(self, found: OpenChannel) -> int:
        return self.send(found.payer, self.collector.functions.close(as_tuple(found.channel)))

    def _claim(self, found: OpenChannel, amount: int, fee: int) -> tuple[Any, ...]:
        channel = found.channel
        voucher = Voucher(struct_hash(channel), channel.payer, channel.payee, amount, fee)
        return as_tuple(channel), amount, fee, *self._signature(voucher, found.session)

    def _signature(self, message: Message, key: LocalAccount) -> tuple[bytes, bytes]:
        signature = sign(self.domain, message, key.key)
        vs = int.from_bytes(signature[32:64], "big") | (signature[64] - 27) << 255
        return signature[:32], vs.to_bytes(32, "big")

    def _pay(self, payer: LocalAccount, amount: int, call: Any) -> int:
        data = call._encode_transaction_data()
        return self.send(payer, self.vault.functions.payAndCall(self.collector.address, amount, data))


def measure_vouchers() -> dict[str, int]:
    """Every figure by id, in gas. Takes some seconds; needs anvil."""
    with DevChain(extra=("--timestamp", str(START), "--gas-limit", "60000000", "--base-fee", "0")) as chain:
        world = VoucherWorld(chain)
        payers = [account(f"payer {i}") for i in range(BATCH)]
        for payer in payers:
            world.fund(payer, 10 * DOLLAR)
        found: dict[str, int] = {}
        channels = [
            world.channel(payer, int.from_bytes(keccak(text=payer.address)[:8], "big")) for payer in payers
        ]
        opened = [world.open(channel) for channel in channels]
        found["voucher.open"] = opened[-1]
        found["voucher.topUp"] = world.top_up(channels[0])
        # Once for all first times: the payee's account, the model's fees, each channel's second slot.
        world.collect(channels, 1)
        world.wait(CHALLENGE_WINDOW)
        world.release(channels)
        found |= _repeats(world, channels)
        world.wait(CHALLENGE_WINDOW)
        last = channels[0]
        found["voucher.exit"] = world.exit(last)
        world.wait(EXIT_PERIOD + CHALLENGE_WINDOW)
        found["voucher.close"] = world.close(last)
    # A channel that is opened, collected twice, the second time with a payout, left and closed.
    life = ("open", "collect.single", "collect.single.pays", "exit", "close")
    found["voucher.life"] = sum(found[f"voucher.{verb}"] for verb in life)
    return dict(sorted(found.items()))


def _repeats(world: VoucherWorld, channels: Sequence[OpenChannel]) -> dict[str, int]:
    """Collecting and releasing where both were done before; `pays` also releases what has rested."""
    found = {"voucher.collect.batch100": -(-world.collect(channels, 2) // BATCH)}
    world.wait(CHALLENGE_WINDOW)
    found["voucher.collect.batch100.pays"] = -(-world.collect(channels, 3) // BATCH)
    world.wait(CHALLENGE_WINDOW)
    found["voucher.release.batch100"] = -(-world.release(channels) // BATCH)
    one = channels[:1]
    found["voucher.collect.single"] = world.collect(one, 4)
    found["voucher.collect.single.resting"] = world.collect(one, 5)
    world.wait(CHALLENGE_WINDOW)
    found["voucher.collect.single.pays"] = world.collect(one, 6)
    world.wait(CHALLENGE_WINDOW)
    found["voucher.release.single"] = world.release(one)
    return found


if __name__ == "__main__":
    for name, gas in measure_vouchers().items():
        print(f"{name:34}{gas:>10,}")
