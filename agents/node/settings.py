"""How a node is told what to do: `CAPEK_NODE_*` in the environment, and the flags of `agent node`."""

import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, AliasChoices, Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from agents.chain.deploy_config import LOCAL_CHAINS
from agents.chain.outbox import OutboxSettings
from agents.chain.paths import cache_home
from agents.node.errors import NodeError
from agents.node.modelspec import ModelSpec
from agents.protocol.messages import MAX_TOKENS, is_checksum_address

_ENDPOINT = re.compile(r"https?://[^\s/?#]+(/[^\s?#]*)?")


class SettingsError(NodeError):
    """A setting is missing or out of range; the text names it."""


def _address(text: str) -> str:
    if not is_checksum_address(text):
        raise ValueError("is no checksummed address (EIP-55)")
    return text


Address = Annotated[str, AfterValidator(_address)]


def _shared(name: str) -> AliasChoices:
    """Facts that other commands use too: CAPEK_NODE_X goes before CAPEK_X."""
    return AliasChoices(f"CAPEK_NODE_{name.upper()}", f"CAPEK_{name.upper()}")


class NodeSettings(BaseSettings):
    """Everything that can be set. Money in base units of the payment token, prices per million tokens, times
    in seconds.
    """

    model_config = SettingsConfigDict(
        env_prefix="CAPEK_NODE_", extra="ignore", validate_default=True, populate_by_name=True
    )

    # Who and where.
    rpc_url: str = Field("http://127.0.0.1:8545", validation_alias=_shared("rpc_url"))
    deployment: Path | None = Field(None, validation_alias=_shared("deployment"))
    account: str | None = Field(None, validation_alias=_shared("account"))
    password_file: Path | None = Field(None, validation_alias=_shared("password_file"))
    node: Address | None = None
    """The node's owner; the account's own address where one key is both."""
    pay_to: Address | None = None
    """The Vault account that is paid; the owner's by default."""
    data_dir: Path | None = None
    """Journal and encryption key; `$CAPEK_HOME/<chain id>/node-<owner>` by default."""
    store_dir: Path | None = None
    """Content store; `$CAPEK_HOME/store` by default."""

    # HTTP.
    host: str = "127.0.0.1"
    port: int = Field(8600, ge=0, le=65535)
    endpoint: str | None = None
    """Public base address, as the registry has it; `http://host:port` by default."""
    body_seconds: float = Field(20.0, gt=0)
    """Longest that a request's head or body may take to arrive, and an answer to be taken away; a tenth of it
    for the answer where more than half of `connections` are in use.
    """
    connections: int = Field(512, ge=1)
    connections_per_ip: int = Field(64, ge=0)
    """At once from one address that is not loopback; 0 for any number, as behind a proxy on another machine.
    """

    # What is sold.
    models: Annotated[tuple[ModelSpec, ...], NoDecode] = ()
    """TRAINER/NAME or MODELID, then [@VERSION] and [=INPUT_PRICE:OUTPUT_PRICE]; commas between."""
    input_price: int = Field(100_000, ge=0, lt=1 << 64)
    output_price: int = Field(400_000, ge=0, lt=1 << 64)
    max_tokens: int = Field(2048, ge=1, le=MAX_TOKENS)
    """Most output tokens of one job."""
    max_temperature: int = Field(10_000_000, ge=0, lt=1 << 32)
    """Micro."""

    # The machine.
    weights: Annotated[tuple[Path, ...], NoDecode] = ()
    """Files or folders in which weights are looked for before peers are asked; set-up's cache by default."""
    peers: Annotated[tuple[str, ...], NoDecode] = ()
    """Base addresses to fetch models from, besides the model's other nodes."""
    allow_private: bool = Field(False, validation_alias=_shared("allow_private"))
    """Whether models may be fetched from nodes in private networks; on a local chain they always may."""
    threads: int | None = Field(None, ge=1)
    """Threads of one engine; None for the physical cores. 1 where several nodes share a machine."""
    gpu_layers: int = Field(0, ge=-1)
    parallel: int = Field(4, ge=1, le=64)
    """Jobs at once for each model."""
    context: int = Field(4096, ge=16, le=MAX_TOKENS)
    """Most tokens of prompt and answer together; less where the model has less."""

    # Promises.
    acceptance_seconds: int = Field(120, ge=5, le=3600)
    margin_seconds: int = Field(15, ge=0)
    """Kept between the expected end of a job and its deadline, for the transaction that completes it. Where
    blocks are slow the time of confirmation is added.
    """
    pending_per_client: int = Field(4, ge=1)
    """Acceptances that a client did not open, those that expired less than `acceptance_seconds` ago too."""
    pending: int = Field(64, ge=1)
    queue: int = Field(256, ge=1)

    # The court.
    seats: int = Field(0, ge=0, le=64)
    """Seats to hold for each model served; missing ones are taken. 0 leaves those there are as they are."""
    verify_only: bool = False
    """Serve no jobs: models are there for the court alone."""
    appeal: bool = True
    """Fund the appeal of a ruling against an answer of ours that our own check finds right."""
    court_fetch_mib: int = Field(4096, ge=0)
    """Largest weights fetched for one check, where another model's dispute draws this node."""
    court_memory_mib: int = Field(8192, ge=1024)
    """Most that such a check may take, its weights included; not held against a GPU's."""
    court_check_seconds: float = Field(900.0, gt=0)
    """Longest that such a check may take, from fetching the model on."""

    # The chain.
    confirmations: int | None = Field(None, ge=1)
    """Blocks, the one it is in included, before what it says counts: 1 on a local chain, 3 elsewhere."""
    poll_seconds: float = Field(1.0, gt=0)
    max_fee_gwei: float = Field(200.0, gt=0, validation_alias=_shared("max_fee_gwei"))
    sweep_seconds: float = Field(30.0, gt=0)
    finalize_batch: int = Field(50, ge=1, le=50)
    finalize_patience: int = Field(600, ge=0)
    """How long a claim waits for others to share a transaction with."""
    push_fees_seconds: float = Field(3600.0, gt=0)
    push_fees_minimum: int = Field(1_000_000, ge=1)
    keep_days: float = Field(7.0, ge=0)
    """How long prompts and outputs of ended jobs are kept."""

    # Running.
    drain: bool = False
    """Accept nothing new; finish what was accepted."""
    shutdown_seconds: float = Field(20.0, ge=0)
    """How long a stop waits for running answers. What is cut short is generated again at the next start."""
    log_level: str = Field("info", pattern="^(?i:debug|info|warning|error)$")
    log_json: bool = True

    @field_validator("models", mode="before")
    @classmethod
    def _models(cls, value: object) -> object:
        return tuple(ModelSpec.parse(item) if isinstance(item, str) else item for item in _listed(value))

    @field_validator("weights", "peers", mode="before")
    @classmethod
    def _list(cls, value: object) -> object:
        return tuple(_listed(value))

    @field_validator("endpoint")
    @classmethod
    def _endpoint(cls, value: str | None) -> str | None:
        if value is not None and (len(value.encode()) > 256 or not _ENDPOINT.fullmatch(value)):
            raise ValueError("is no http(s) base address of at most 256 bytes")
        return None if value is None else value.rstrip("/")

    @model_validator(mode="after")
    def _fits(self) -> "NodeSettings":
        if self.pending_per_client > self.pending:
            raise ValueError("pending_per_client is above pending")
        return self

    def confirmations_on(self, chain_id: int) -> int:
        if self.confirmations is not None:
            return self.confirmations
        return 1 if chain_id in LOCAL_CHAINS else 3

    def outbox(self, chain_id: int) -> OutboxSettings:
        """How transactions are sent on this chain."""
        confirmations = self.confirmations_on(chain_id)
        return OutboxSettings(
            confirmations=confirmations,
            max_fee=int(self.max_fee_gwei * 10**9),
            # A contract that refuses what our own state calls for is most often an RPC that lags.
            refusal_patience=0.0 if confirmations == 1 else 30.0,
            poll=self.poll_seconds,
        )

    def weight_places(self) -> tuple[Path, ...]:
        return self.weights or (cache_home() / "models",)


def load(**given: object) -> NodeSettings:
    """Environment and flags; what is None is not given.

    Raises:
        SettingsError: names the setting, its flag's name and its variable's.
    """
    try:
        return NodeSettings(**{key: value for key, value in given.items() if value is not None})  # type: ignore[arg-type]
    except ValidationError as error:
        parts = []
        for e in error.errors()[:5]:
            # The alias an error names is whichever was used: say the field's own name.
            why = e["msg"].removeprefix("Value error, ")
            name = str(e["loc"][0]).lower().removeprefix("capek_").removeprefix("node_") if e["loc"] else ""
            parts.append(f"{name} (CAPEK_NODE_{name.upper()}): {why}" if name else why)
        raise SettingsError("; ".join(parts)) from None


def _listed(value: object) -> list[object]:
    if isinstance(value, str):
        return [item.strip() for item in value.split(",") if item.strip()]
    if isinstance(value, (list, tuple)):
        return list(value)
    raise ValueError("must be a list, or text with commas")
