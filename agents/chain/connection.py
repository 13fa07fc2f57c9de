"""One chain, over JSON-RPC and HTTP."""

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit

import requests
from web3 import HTTPProvider, Web3
from web3.types import RPCEndpoint, RPCResponse

from agents.chain.errors import ChainUnreachable, RpcFault, WrongChain

T = TypeVar("T")

RATE_LIMIT_CODES = (429, -32005, -32029)
MOST_PATIENCE = 30.0


@dataclass(frozen=True, slots=True)
class Block:
    """A block's header. `timestamp` in seconds, `base_fee` in wei per gas (EIP-1559), None before London."""

    number: int
    hash: bytes
    parent: bytes
    timestamp: int
    base_fee: int | None
    gas_limit: int


@dataclass(frozen=True, slots=True)
class RawLog:
    """A log as the chain gives it."""

    address: str
    topics: tuple[bytes, ...]
    data: bytes
    block_number: int
    block_hash: bytes
    tx_hash: bytes
    log_index: int


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a mined transaction. `fee` = gas used × price paid, in wei."""

    tx_hash: bytes
    success: bool
    block_number: int
    block_hash: bytes
    gas_used: int
    fee: int
    contract: str | None


class PatientProvider(HTTPProvider):
    """HTTP with time-outs, which backs off when it is refused or rate limited and then tries again.

    Only `eth_`, `net_` and `web3_` calls are repeated: they may be, and `evm_mine` may not.
    """

    def __init__(
        self, url: str, *, timeout: float, attempts: int, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        super().__init__(url, {"timeout": timeout}, exception_retry_configuration=None)
        self._attempts = attempts
        self._sleep = sleep
        self._name = host(url)

    def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        attempts = self._attempts if method.startswith(("eth_", "net_", "web3_")) else 1
        for attempt in range(attempts):
            advised = 0.0
            try:
                response = super().make_request(method, params)
                if not isinstance(response, dict):
                    trouble = "its answer is not JSON-RPC"
                elif not _rate_limited(response.get("error")):
                    return response
                else:
                    trouble = "it limits our rate"
            except requests.HTTPError as e:
                status = e.response.status_code
                trouble = f"HTTP {status}"
                if status in (401, 403, 404):
                    raise ChainUnreachable(
                        f"{self._name} refuses us ({trouble}): check the RPC's address and its API key"
                    ) from None
                advised = _seconds(e.response.headers.get("Retry-After"))
            except requests.Timeout:
                trouble = "it did not answer in time"
            except requests.RequestException as e:
                # Its text can hold the whole address, and so an API key.
                trouble = type(e).__name__
            except ValueError:
                trouble = "its answer is not JSON"
            if attempt + 1 < attempts:
                backoff = 0.25 * 2**attempt * random.uniform(0.75, 1.25)
                self._sleep(min(max(backoff, advised), MOST_PATIENCE))
        raise ChainUnreachable(
            f"no answer from {self._name} ({trouble}): is it up? Start a local chain (`agent devnet`) or set "
            "CAPEK_RPC_URL to an RPC that works"
        )


class Connection:
    """A chain that was asked for its id. All numbers are ints, hashes 32 bytes, addresses checksummed.

    Every method raises ChainUnreachable when the RPC gives no answer, RpcFault when it answers with an error.
    """

    def __init__(self, w3: Web3) -> None:
        self.w3 = w3
        self.chain_id = self._read(_number, "eth_chainId")
        self._genesis: bytes | None = None

    @classmethod
    def open(
        cls, url: str, expected: int | None = None, *, timeout: float = 30.0, attempts: int = 5
    ) -> "Connection":
        """Connect, and refuse a chain that is not the `expected` one.

        Raises:
            WrongChain: the RPC serves another chain.
        """
        if urlsplit(url).scheme not in ("http", "https"):
            raise ChainUnreachable(f"an RPC address starts with http:// or https://, not {url[:8]!r}…")
        w3 = Web3(PatientProvider(url, timeout=timeout, attempts=attempts))
        # It asks for the chain's id twice with every call; here that is known, and checked once.
        w3.middleware_onion.remove("validation")
        connection = cls(w3)
        connection.expect(expected)
        return connection

    def expect(self, chain_id: int | None) -> None:
        """Raises WrongChain unless this is chain `chain_id` (None: any)."""
        if chain_id is not None and chain_id != self.chain_id:
            raise WrongChain(
                f"wrong chain: expected {chain_id}, got {self.chain_id}: set CAPEK_RPC_URL to an RPC of "
                f"chain {chain_id}, or choose the deployment of chain {self.chain_id}"
            )

    def rpc(self, method: str, *params: Any) -> Any:
        """One JSON-RPC call; its `result`."""
        try:
            response = self.w3.provider.make_request(RPCEndpoint(method), params)
        except requests.RequestException as e:
            raise ChainUnreachable(f"no answer from the RPC ({type(e).__name__}): is it up?") from None
        error = response.get("error")
        if error is None:
            return response.get("result")
        if isinstance(error, str):
            raise RpcFault(method, 0, error)
        raise RpcFault(
            method,
            int(error.get("code") or 0),
            str(error.get("message", "")),
            _revert_data(error.get("data")),
        )

    def _read(self, parse: Callable[[Any], T], method: str, *params: Any) -> T:
        result = self.rpc(method, *params)
        try:
            return parse(result)
        except (KeyError, TypeError, ValueError, AttributeError):
            raise RpcFault(
                method, 0, "the RPC's answer does not have the form that Ethereum's have"
            ) from None

    @property
    def genesis(self) -> bytes:
        """The hash of block 0: tells a chain from a restarted one with the same id."""
        if self._genesis is None:
            block = self.block(0)
            if block is None:
                raise ChainUnreachable("the RPC has no block 0: it is still syncing; try again later")
            self._genesis = block.hash
        return self._genesis

    def block(self, which: int | str) -> Block | None:
        """A block by number or tag (`latest`, `safe`, `finalized`); None when the RPC does not have it."""
        name = hex(which) if isinstance(which, int) else which
        return self._read(_block, "eth_getBlockByNumber", name, False)

    def latest(self) -> Block:
        block = self.block("latest")
        if block is None:
            raise ChainUnreachable("the RPC has no block yet: it is still syncing; try again later")
        return block

    def time(self) -> int:
        """Chain time: the latest block's timestamp, in seconds."""
        return self.latest().timestamp

    def logs(
        self,
        addresses: Sequence[str],
        first: int,
        last: int,
        block_hash: bytes | None = None,
        topics: Sequence[Any] = (),
    ) -> list[RawLog]:
        """Logs of contracts in blocks `first` to `last`; with `block_hash`, of that one block (EIP-234),
        which is an error, not an empty answer, on a node that does not have it.

        `topics` filters as eth_getLogs does: 0x hex, a list of alternatives, or None, by position."""
        where = (
            {"blockHash": _hex(block_hash)} if block_hash else {"fromBlock": hex(first), "toBlock": hex(last)}
        )
        return self._read(_logs, "eth_getLogs", {"address": list(addresses), "topics": list(topics), **where})

    def balance(self, address: str) -> int:
        """In wei."""
        return self._read(_number, "eth_getBalance", address, "latest")

    def code(self, address: str) -> bytes:
        return self._read(_bytes, "eth_getCode", address, "latest")

    def nonce(self, address: str, block: int | str = "latest") -> int:
        """How many transactions of `address` are in the chain up to `block`."""
        where = hex(block) if isinstance(block, int) else block
        return self._read(_number, "eth_getTransactionCount", address, where)

    def sender_hash(self, address: str, nonce: int, block: int) -> bytes | None:
        """The hash of the transaction in `block` that used this nonce of `address`."""
        found = self._read(_senders, "eth_getBlockByNumber", hex(block), True)
        return found.get((address.lower(), nonce))

    def receipt(self, tx_hash: bytes) -> Receipt | None:
        return self._read(_receipt, "eth_getTransactionReceipt", _hex(tx_hash))

    def tip(self) -> int:
        """What validators are offered now, in wei per gas; 1 gwei where the RPC can't tell."""
        try:
            return self._read(_number, "eth_maxPriorityFeePerGas")
        except RpcFault:
            return 10**9

    def call(self, tx: dict[str, Any], block: int | str = "latest") -> bytes:
        """eth_call of a transaction given in Python values (`to`, `from`, `data`, `value`, `gas`)."""
        where = hex(block) if isinstance(block, int) else block
        return self._read(_bytes, "eth_call", _request(tx), where)

    def estimate(self, tx: dict[str, Any]) -> int:
        """Gas that the transaction would use now."""
        return self._read(_number, "eth_estimateGas", _request(tx), "latest")

    def send(self, raw: bytes) -> bytes:
        """Broadcast a signed transaction; its hash."""
        return self._read(_bytes, "eth_sendRawTransaction", _hex(raw))


def host(url: str) -> str:
    """The address without what may be a key: RPC addresses carry API keys in their path."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")


def _rate_limited(error: Any) -> bool:
    if not isinstance(error, dict):
        return False
    text = str(error.get("message", "")).lower()
    return error.get("code") == 429 or (
        error.get("code") in RATE_LIMIT_CODES and ("rate" in text or "too many requests" in text)
    )


def _seconds(header: str | None) -> float:
    return float(header) if header and header.isdecimal() else 0.0


def _hex(data: bytes) -> str:
    return "0x" + bytes(data).hex()


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))


def _revert_data(data: Any) -> bytes | None:
    # geth and anvil give the bytes; others wrap them in an object or put words before them.
    if isinstance(data, dict):
        data = data.get("data") or data.get("result")
    if not isinstance(data, str):
        return None
    start = data.find("0x")
    if start < 0:
        return None
    try:
        return _bytes(data[start:])
    except ValueError:
        return None


def _request(tx: dict[str, Any]) -> dict[str, str]:
    out = {}
    for key, value in tx.items():
        if value is None:
            continue
        if isinstance(value, bytes):
            value = _hex(value)
        out[key] = hex(value) if isinstance(value, int) else value
    return out


def _number(found: Any) -> int:
    return int(found, 16)


def _block(found: Any) -> Block | None:
    if found is None:
        return None
    fee = found.get("baseFeePerGas")
    return Block(
        number=_number(found["number"]),
        hash=_bytes(found["hash"]),
        parent=_bytes(found["parentHash"]),
        timestamp=_number(found["timestamp"]),
        base_fee=None if fee is None else _number(fee),
        gas_limit=_number(found["gasLimit"]),
    )


def _senders(found: Any) -> dict[tuple[str, int], bytes]:
    """The hashes of a block's transactions by (lower-case sender, nonce)."""
    transactions = found["transactions"] if found else ()
    return {(tx["from"].lower(), _number(tx["nonce"])): _bytes(tx["hash"]) for tx in transactions}


def _receipt(found: Any) -> Receipt | None:
    # Some nodes answer with a receipt of the pending block, which has no hash yet.
    if found is None or found.get("blockHash") is None:
        return None
    created = found.get("contractAddress")
    gas = _number(found["gasUsed"])
    return Receipt(
        tx_hash=_bytes(found["transactionHash"]),
        success=_number(found["status"]) == 1,
        block_number=_number(found["blockNumber"]),
        block_hash=_bytes(found["blockHash"]),
        gas_used=gas,
        fee=gas * _number(found.get("effectiveGasPrice", "0x0")),
        contract=Web3.to_checksum_address(created) if created else None,
    )


def _logs(found: Any) -> list[RawLog]:
    return [
        RawLog(
            address=Web3.to_checksum_address(entry["address"]),
            topics=tuple(_bytes(topic) for topic in entry["topics"]),
            data=_bytes(entry["data"]),
            block_number=_number(entry["blockNumber"]),
            block_hash=_bytes(entry["blockHash"]),
            tx_hash=_bytes(entry["transactionHash"]),
            log_index=_number(entry["logIndex"]),
        )
        for entry in found
        if not entry.get("removed")
    ]
