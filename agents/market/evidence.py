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

_WORD = 32


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
    `block`: the one it was opened in. `unreadable`: why the evidence can't be read; the case is made up then,
    and prompt and output are empty.
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
    unreadable: str = ""


def dispute_id(opener: str, case: Case) -> bytes:
    """keccak256(abi.encode(opener, case)), 32 bytes."""
    return keccak(encode(["address", abi_type(Case)], [opener, as_tuple(case)]))


def unreadable(event: Event, why: str) -> Opened:
    """What is left of a dispute whose evidence can't be read: enough to vote on it."""
    a, nobody = event.args, "0x" + "00" * 20
    word = bytes(32)
    case = Case(word, nobody, nobody, 0, 0, 0, 0, 0, 0, 0, 0, 0, word, word)
    flags = bool(a["exact"]), bool(a["network"]), bool(a["appealable"])
    key, opener = bytes(a["id"]), str(a["opener"])
    return Opened(key, opener, case, *flags, int(a["ticket"]), (), (), event.block_number, why)


def decode_opened(event: Event) -> Opened:
    """Read a DisputeOpened.

    Raises:
        BadEvidence: it is not what a court emits.
    """
    a = event.args
    try:
        evidence = bytes(a["evidence"])
        fields, *places = decode([abi_type(Case), "uint256", "uint256"], evidence)
        prompt, output = (_part(evidence, at) for at in places)
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
    except (DecodingError, MessageError, TokenError, KeyError, TypeError, ValueError) as e:
        raise BadEvidence(f"the dispute opened in block {event.block_number} can't be read ({e})") from None
    if (len(found.prompt), len(found.output)) != (case.prompt_tokens, case.output_tokens):
        raise BadEvidence(f"the evidence of dispute 0x{found.id.hex()} is not as long as its case says")
    return found


def _part(evidence: bytes, at: int) -> bytes:
    """The `bytes` whose length stands at a place. What pads them is the opener's choice and means nothing."""
    start = at + _WORD
    end = start + int.from_bytes(evidence[at:start], "big")
    if end > len(evidence):
        raise ValueError("it ends within its tokens")
    return evidence[start:end]
