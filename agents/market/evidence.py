"""Cases before the court, and their evidence as the court's log has it."""

from dataclasses import dataclass
from typing import Any

from eth_abi.abi import decode, encode
from eth_abi.exceptions import DecodingError
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from agents.chain.contracts import Event
from agents.market.errors import BadEvidence
from agents.protocol.messages import (
    Address,
    Bytes32,
    Message,
    MessageError,
    Uint8,
    Uint32,
    Uint64,
    abi_type,
    as_tuple,
)
from agents.protocol.tokens import OUTPUT, PROMPT, TokenError, unmask


@dataclass(frozen=True, slots=True)
class Case(Message):
    """ICourt.Case: what is disputed. Nobody signs it; its opener has held it against what was signed.

    `subject` is the job's hash where the opener is the escrow. JSON by `messages.to_json` and `from_json`.
    """

    subject: Bytes32
    challenger: Address
    node: Address
    model_id: Uint64
    version: Uint32
    prompt_tokens: Uint32
    output_tokens: Uint32
    max_tokens: Uint32
    finish: Uint8
    seed: Uint64
    temperature: Uint32
    top_p: Uint32
    bit_class: Bytes32
    secret: Bytes32

    @property
    def tokens(self) -> int:
        """Prompt and output together: what bond, fees and witness positions go by."""
        return self.prompt_tokens + self.output_tokens

    def as_tuple(self) -> tuple[Any, ...]:
        """The fields in ABI order, as a contract call takes them."""
        return as_tuple(self)


@dataclass(frozen=True, slots=True)
class Opened:
    """A dispute as it was opened, with its evidence in the clear.

    `exact`: judged by the exact rule, by machines of the case's bit class; otherwise by the tolerant one.
    `network`: the first panel comes from all models' seats. `ticket`: the randomness that is to draw it.
    `block`: the one it was opened in.
    """

    id: bytes
    opener: str
    case: Case
    exact: bool
    network: bool
    appealable: bool
    ticket: int
    prompt: tuple[int, ...]
    output: tuple[int, ...]
    block: int


def dispute_id(opener: str, case: Case) -> bytes:
    """keccak256(abi.encode(opener, case)), 32 bytes."""
    return keccak(encode(["address", abi_type(Case)], [opener, as_tuple(case)]))


def decode_opened(event: Event) -> Opened:
    """Read a DisputeOpened.

    Raises:
        BadEvidence: it is not what a court emits.
    """
    a = event.args
    try:
        fields, prompt, output = decode([abi_type(Case), "bytes", "bytes"], bytes(a["evidence"]))
        subject, challenger, node, *rest = fields
        case = Case(subject, to_checksum_address(challenger), to_checksum_address(node), *rest)
        found = Opened(
            id=bytes(a["id"]),
            opener=str(a["opener"]),
            case=case,
            exact=bool(a["exact"]),
            network=bool(a["network"]),
            appealable=bool(a["appealable"]),
            ticket=int(a["ticket"]),
            prompt=tuple(unmask(case.secret, PROMPT, prompt)),
            output=tuple(unmask(case.secret, OUTPUT, output)),
            block=event.block_number,
        )
    except (DecodingError, MessageError, TokenError, KeyError, TypeError) as e:
        raise BadEvidence(f"the dispute opened in block {event.block_number} can't be read ({e})") from None
    if (len(found.prompt), len(found.output)) != (case.prompt_tokens, case.output_tokens):
        raise BadEvidence(f"the evidence of dispute 0x{found.id.hex()} is not as long as its case says")
    return found
