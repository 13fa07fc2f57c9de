"""The contracts, read with types. Amounts in base units of the payment token, times in chain seconds."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

from eth_abi.abi import decode
from eth_utils.address import to_checksum_address

from agents.chain.connection import Connection
from agents.chain.contracts import Contract
from agents.market.clock import ChainClock
from agents.market.court import Court
from agents.protocol.messages import Domain

ZERO = "0x" + "00" * 20


class Status(IntEnum):
    """IJobEscrow.Status."""

    NONE = 0
    OPEN = 1
    COMPLETED = 2
    DEMANDED = 3
    DELIVERED = 4
    DISPUTED = 5
    RULED_UPHELD = 6
    RULED_DISMISSED = 7
    RULED_UNDECIDED = 8
    FINAL = 9


@dataclass(frozen=True, slots=True)
class Terms:
    """What the escrow was deployed with; `winner_share` in basis points."""

    penalty: int
    miss_penalty: int
    winner_share: int
    challenge_window: int
    delivery_window: int
    max_job_time: int
    has_court: bool


@dataclass(frozen=True, slots=True)
class Registered:
    """A node's record; `operator` is the zero address when there is none."""

    operator: str
    encryption_key: bytes
    endpoint: str

    @property
    def exists(self) -> bool:
        return self.operator != ZERO


@dataclass(frozen=True, slots=True)
class Provision:
    """Stake given to the escrow for one model."""

    amount: int
    reserved: int
    thawing: int
    thawed_at: int

    @property
    def free(self) -> int:
        """What new jobs can reserve."""
        return self.amount - self.reserved - self.thawing


class Market:
    """One deployment on one chain. Every method asks the chain, and raises a ChainError when it can't.

    `contracts` by name: Vault, ModelRegistry, NodeRegistry, JobEscrow, TuningGovernor, token.
    """

    def __init__(self, connection: Connection, contracts: Mapping[str, Contract], start_block: int) -> None:
        self.connection = connection
        self.start_block = start_block
        self.vault = contracts["Vault"]
        self.models = contracts["ModelRegistry"]
        self.nodes = contracts["NodeRegistry"]
        self.escrow = contracts["JobEscrow"]
        self.governor = contracts["TuningGovernor"]
        self.token = contracts["token"]
        self.domain = Domain(connection.chain_id, self.vault.address)
        self.clock = ChainClock(connection)
        self._terms: Terms | None = None
        self._court: Court | None = None
        self._unit: tuple[str, int] | None = None

    @property
    def chain_id(self) -> int:
        return self.connection.chain_id

    # The escrow.

    @property
    def terms(self) -> Terms:
        if self._terms is None:
            c = self.escrow.call("config")
            self._terms = Terms(
                penalty=c.penalty,
                miss_penalty=c.missPenalty,
                winner_share=c.winnerShare,
                challenge_window=c.challengeWindow,
                delivery_window=c.deliveryWindow,
                max_job_time=c.maxJobTime,
                has_court=str(c.court) != ZERO,
            )
        return self._terms

    @property
    def court(self) -> Court | None:
        """Who judges what the escrow's clients dispute; None where nobody does."""
        if self._court is None and self.terms.has_court:
            self._court = Court(self.connection, str(self.escrow.call("config").court))
        return self._court

    def job_status(self, job_hash: bytes, block: int | str = "latest") -> tuple[Status, int]:
        """Where a job stands, and until when (0: for good)."""
        status, until = self.escrow.call("jobStatus", job_hash, block=block)
        return Status(status), int(until)

    def delivery_cost(self, output_tokens: int) -> int:
        return int(self.escrow.call("deliveryCost", output_tokens))

    def model_fees(self, model_id: int) -> int:
        """Fees that the escrow holds for a model's treasury."""
        return int(self.escrow.call("feesOf", model_id))

    # Nodes and their stake.

    def providers(self, model_id: int, most: int) -> tuple[list[str], int]:
        """Up to `most` nodes with stake for the model, without repeats, and how many there are."""
        total = int(self.nodes.call("providerCount", self.escrow.address, model_id))
        found: dict[str, None] = {}
        for start in range(0, min(total, most), _PAGE):
            end = min(start + _PAGE, total, most)
            page = self.nodes.call("providers", self.escrow.address, model_id, start, end)
            found.update(dict.fromkeys(str(address) for address in page))
        return list(found), total

    def node(self, address: str) -> Registered:
        """Raises DecodingError when the registry's answer can't be read."""
        # A string is encoded as bytes are. Anybody can register one that is not UTF-8, and it must not be
        # everybody's error.
        call = {"to": self.nodes.address, "data": self.nodes.data("nodeOf", address)}
        (found,) = decode(["(address,bytes32,bytes)"], self.connection.call(call))
        operator, key, endpoint = found
        return Registered(to_checksum_address(operator), bytes(key), endpoint.decode(errors="replace"))

    def idle_stake(self, node: str) -> int:
        return int(self.nodes.call("idleOf", node))

    def provision(self, node: str, model_id: int, module: str | None = None) -> Provision:
        """Stake given to the escrow, or to another `module`."""
        found = self.nodes.call("provisionOf", node, module or self.escrow.address, model_id)
        return Provision(found.amount, found.reserved, found.thawing, found.thawedAt)

    # Money.

    def balance(self, account: str) -> int:
        """Free Vault balance."""
        return int(self.vault.call("balanceOf", account))

    def tokens(self, account: str) -> int:
        """Payment tokens outside the Vault."""
        return int(self.token.call("balanceOf", account))

    @property
    def unit(self) -> tuple[str, int]:
        """The payment token's symbol and decimals."""
        if self._unit is None:
            self._unit = str(self.token.call("symbol")), int(self.token.call("decimals"))
        return self._unit

    def money(self, amount: int) -> str:
        """An amount in words: `1.5 USDC`."""
        symbol, decimals = self.unit
        sign, (whole, rest) = "-" if amount < 0 else "", divmod(abs(amount), 10**decimals)
        digits = f"{rest:0{decimals}d}".rstrip("0") if decimals else ""
        return f"{sign}{whole}{'.' + digits if digits else ''} {symbol}"


_PAGE = 100
