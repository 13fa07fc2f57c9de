"""The EIP-712 messages of payment channels (docs/protocol.md section 8), and the model's part of a voucher.

Amounts are token base units, prices base units per million tokens, times chain seconds.
"""

from dataclasses import dataclass

from agents.protocol.messages import (
    Address,
    Bytes32,
    Completion,
    Message,
    MessageError,
    Uint8,
    Uint32,
    Uint64,
    Uint128,
)


@dataclass(frozen=True, slots=True)
class Channel(Message):
    """The terms of a channel; its struct hash is the channel's id."""

    collector: Address
    payer: Address
    payee: Address
    signer: Address
    pay_to: Address
    model_id: Uint64
    input_price: Uint64
    output_price: Uint64
    model_fee: Uint64
    nonce: Uint64


@dataclass(frozen=True, slots=True)
class ChannelAcceptance(Message):
    """A node's promise to serve a channel of at least `deposit`, opened by `expires`; its operator signs."""

    channel: Bytes32
    deposit: Uint128
    expires: Uint64


@dataclass(frozen=True, slots=True)
class Voucher(Message):
    """What a channel's session key has paid so far, and the model's part of it. Only the highest counts."""

    channel: Bytes32
    payer: Address
    payee: Address
    cumulative_amount: Uint128
    cumulative_model_fee: Uint128


@dataclass(frozen=True, slots=True)
class Receipt(Message):
    """A Completion up to here, and what its channel costs so far; the node's operator signs."""

    job_hash: Bytes32
    node: Address
    output_hash: Bytes32
    output_tokens: Uint32
    finish: Uint8
    served_at: Uint64
    pay_to: Address
    channel: Bytes32
    cumulative_amount: Uint128
    cumulative_model_fee: Uint128

    @property
    def completion(self) -> Completion:
        """The Completion that this receipt begins as."""
        return Completion(
            self.job_hash,
            self.node,
            self.output_hash,
            self.output_tokens,
            self.finish,
            self.served_at,
            self.pay_to,
        )


def least_model_fee(amount: int, input_price: int, output_price: int, model_fee: int) -> int:
    """The smallest `cumulativeModelFee` that the collector takes for this `cumulativeAmount`.

    Raises:
        MessageError: the fee lies above a price, which no channel allows, or a number is negative.
    """
    if amount < 0 or not 0 <= model_fee <= min(input_price, output_price):
        raise MessageError("the model fee must lie within both prices: take them from the channel")
    if amount == 0 or model_fee == 0:
        return 0
    return (amount - 1) * model_fee // max(input_price, output_price)
