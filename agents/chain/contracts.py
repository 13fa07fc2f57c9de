"""A contract at an address: read it, encode calls of it, decode its logs."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, cast

from eth_typing import ABIEvent
from eth_utils.abi import event_abi_to_log_topic
from hexbytes import HexBytes
from requests import RequestException
from web3 import Web3
from web3.datastructures import AttributeDict
from web3.exceptions import BadFunctionCallOutput, ContractLogicError, Web3RPCError
from web3.types import LogReceipt

from agents.chain.compiled import Artifact, load_artifact
from agents.chain.connection import Connection, RawLog
from agents.chain.errors import ChainUnreachable, NoContract, Reverted, RpcFault
from agents.chain.reverts import Reverts


@dataclass(frozen=True, slots=True)
class Event:
    """A decoded log. `args` by ABI name; structs as named tuples, bytes as bytes."""

    contract: str
    address: str
    name: str
    args: Mapping[str, Any]
    block_number: int
    block_hash: bytes
    tx_hash: bytes
    log_index: int


class Contract:
    """Bindings made from a committed artifact; `address` is checksummed."""

    def __init__(self, connection: Connection, artifact: Artifact | str, address: str) -> None:
        self.artifact = load_artifact(artifact) if isinstance(artifact, str) else artifact
        self.name = self.artifact.name
        self.address = Web3.to_checksum_address(address)
        self._connection = connection
        self._web3 = connection.w3.eth.contract(
            address=self.address, abi=list(self.artifact.abi), decode_tuples=True
        )
        self._events = {
            event_abi_to_log_topic(cast(ABIEvent, e)): e["name"] for e in self.artifact.entries("event")
        }

    def __repr__(self) -> str:
        return f"{self.name}({self.address})"

    def call(
        self,
        function: str,
        *args: Any,
        block: int | str = "latest",
        sender: str | None = None,
        value: int = 0,
    ) -> Any:
        """Call without sending. `function` is a name, or a signature where names are overloaded.

        Structs come back as named tuples.

        Raises:
            Reverted: the contract refuses; the text is the decoded reason.
            ChainUnreachable, RpcFault: as in Connection.
            NoContract: nothing that understands this call is at the address.
        """
        tx: dict[str, Any] = {"value": value} if value else {}
        if sender:
            tx["from"] = sender
        try:
            return self._web3.functions[function](*args).call(tx, block_identifier=block)  # type: ignore[arg-type]
        except ContractLogicError as e:
            raise self.explain(e.data) from None
        except BadFunctionCallOutput:
            raise NoContract(
                f"{self.address} on chain {self._connection.chain_id} is no {self.name}: does the deployment "
                "file belong to this chain? A local chain that was restarted needs a new deployment"
            ) from None
        except Web3RPCError as e:
            raise RpcFault("eth_call", 0, str(e.message)) from None
        except RequestException as e:
            raise ChainUnreachable(f"no answer from the RPC ({type(e).__name__}): is it up?") from None

    def data(self, function: str, *args: Any) -> bytes:
        """Call data for a transaction, as the outbox takes it."""
        return bytes.fromhex(self._web3.encode_abi(function, args)[2:])

    def decode(self, log: RawLog) -> Event | None:
        """The event behind a log; None when it is not one of this contract's."""
        name = self._events.get(log.topics[0]) if log.topics else None
        if name is None or log.address != self.address:
            return None
        receipt = AttributeDict(
            {
                "address": log.address,
                "topics": [HexBytes(topic) for topic in log.topics],
                "data": HexBytes(log.data),
                "blockNumber": log.block_number,
                "blockHash": log.block_hash,
                "transactionHash": log.tx_hash,
                "transactionIndex": 0,
                "logIndex": log.log_index,
            }
        )
        args = self._web3.events[name]().process_log(cast(LogReceipt, receipt))["args"]
        return Event(
            self.name, log.address, name, args, log.block_number, log.block_hash, log.tx_hash, log.log_index
        )

    def explain(self, data: Any) -> Reverted:
        """Decoded revert data (bytes, 0x hex or none)."""
        if isinstance(data, str):
            data = bytes.fromhex(data.removeprefix("0x")) if data.startswith("0x") else b""
        return known_reverts().decode(data if isinstance(data, bytes) else b"", self.name)


@cache
def known_reverts() -> Reverts:
    """The errors of every committed artifact."""
    return Reverts()
