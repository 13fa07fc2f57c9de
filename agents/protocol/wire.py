"""What nodes and consumers say to each other over HTTP (docs/protocol.md section 7).

Integers above 32 bits are decimal strings, bytes 0x hex, addresses checksummed.
"""

from typing import Annotated, Any, Literal, TypeVar

from eth_account import Account
from eth_account.messages import SignableMessage, encode_defunct
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from .manifest import canonical_json
from .messages import is_checksum_address

W = TypeVar("W", bound="_Wire")


class WireError(ValueError):
    """A message that does not have its shape; the text names the field."""


def _address(text: str) -> str:
    if not is_checksum_address(text):
        raise ValueError("not a checksummed address (EIP-55)")
    return text


AddressText = Annotated[str, AfterValidator(_address)]
HexText = Annotated[str, Field(pattern=r"^0x([0-9a-f]{2})*$")]
Hex32 = Annotated[str, Field(pattern=r"^0x[0-9a-f]{64}$")]
Decimal = Annotated[str, Field(pattern=r"^(0|[1-9][0-9]{0,38})$")]
Uint32 = Annotated[int, Field(ge=0, lt=1 << 32)]


class _Wire(BaseModel):
    # A newer peer may say more than this version knows: unknown fields are passed over.
    model_config = ConfigDict(strict=True, frozen=True, extra="ignore", populate_by_name=True)

    @classmethod
    def read(cls: type[W], data: bytes) -> W:
        """Parse a JSON body.

        Raises:
            WireError: not JSON, or a field is missing or wrong; never repeats the body.
        """
        try:
            return cls.model_validate_json(data)
        except ValidationError as error:
            parts = [f"{'.'.join(map(str, e['loc'])) or 'body'}: {e['msg']}" for e in error.errors()[:5]]
            raise WireError("; ".join(parts)) from None

    def write(self) -> dict[str, Any]:
        """The JSON object, under the protocol's names."""
        return self.model_dump(mode="json", by_alias=True)


class OfferedModel(_Wire):
    """One exact version that a node serves. Prices in base units per million tokens."""

    model_id: Decimal = Field(alias="modelId")
    version: Uint32
    input_price: Decimal = Field(alias="inputPrice")
    output_price: Decimal = Field(alias="outputPrice")
    context_length: Uint32 = Field(alias="contextLength")
    bit_class: Hex32 = Field(alias="bitClass")


class Offer(_Wire):
    """What a node serves and at what price.

    Its operator signs it by EIP-191, over the canonical JSON without `signature`.
    """

    node: AddressText
    operator: AddressText
    chain_id: Decimal = Field(alias="chainId")
    vault: AddressText
    encryption_key: Hex32 = Field(alias="encryptionKey")
    models: Annotated[tuple[OfferedModel, ...], Field(max_length=256, strict=False)]
    pay_to: AddressText = Field(alias="payTo")
    time: Decimal
    signature: HexText = ""

    def signable(self) -> SignableMessage:
        """The EIP-191 message that the operator signs."""
        body = self.write()
        del body["signature"]
        return encode_defunct(canonical_json(body))

    def signer(self) -> str:
        """The checksummed address that signed.

        Raises:
            WireError: the signature is none.
        """
        try:
            return str(Account.recover_message(self.signable(), signature=self.signature))
        except Exception:
            raise WireError("the offer's signature is none: ask the node again") from None


class JobRequest(_Wire):
    """A client's signed Job with its prompt, sealed to the node."""

    job: dict[str, Any]
    signature: HexText
    prompt: HexText


class AcceptanceReply(_Wire):
    """A node's signed Acceptance."""

    job_hash: Hex32 = Field(alias="jobHash")
    expires: Decimal
    signature: HexText


JobState = Literal["accepted", "open", "running", "done", "completed", "final", "failed"]


class JobReply(_Wire):
    """Where a job stands at its node."""

    job_hash: Hex32 = Field(alias="jobHash")
    status: JobState
    output_tokens: Uint32 = Field(alias="outputTokens")


class OutputReply(_Wire):
    """A signed Completion with the output, sealed to the job's client key."""

    completion: dict[str, Any]
    signature: HexText
    output: HexText


class ErrorBody(_Wire):
    """Why a call was refused: a stable code and a sentence that says what to do."""

    code: str
    message: str


class ErrorReply(_Wire):
    """`{"error": {"code", "message"}}`."""

    error: ErrorBody
