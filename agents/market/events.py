"""What the contracts logged, asked for by topic: for who follows nothing and wants to know of one job."""

from collections.abc import Iterator, Sequence
from typing import Any

from eth_abi.abi import encode
from eth_utils.abi import event_abi_to_log_topic

from agents.chain.contracts import Contract, Event
from agents.chain.errors import RpcFault
from agents.market.reads import Market
from agents.protocol.messages import Completion

_FIRST_RANGE, _WIDEST_RANGE = 2_000, 50_000


class Events:
    """Logs of one deployment in blocks that are `depth` deep, their own included.

    Every method raises a ChainError when the chain can't be asked. `since` is the first block looked at.
    """

    def __init__(self, market: Market, depth: int = 1) -> None:
        self._market = market
        self._depth = max(1, depth)

    def last(self) -> int:
        """The number of the last block that is deep enough."""
        return max(0, self._market.connection.latest().number - self._depth + 1)

    def completion(self, key: bytes, since: int) -> Completion | None:
        """What the contract holds as a job's answer."""
        for event in self._of_job(key, ["JobCompleted"], since):
            a = event.args
            return Completion(
                job_hash=key,
                node=str(a["node"]),
                output_hash=bytes(a["outputHash"]),
                output_tokens=int(a["outputTokens"]),
                finish=int(a["finish"]),
                served_at=int(a["servedAt"]),
                pay_to=str(a["payTo"]),
            )
        return None

    def delivered(self, key: bytes, since: int) -> bytes | None:
        """The masked output that was posted for a job."""
        for event in self._of_job(key, ["OutputDelivered"], since):
            return bytes(event.args["maskedOutput"])
        return None

    def ending(self, key: bytes, since: int) -> dict[str, Event]:
        """A job's JobPaid, JobRefunded and NodePunished, those there are, by name."""
        return {e.name: e for e in self._of_job(key, ["JobPaid", "JobRefunded", "NodePunished"], since)}

    def registered(self, trainer: str | None = None) -> Iterator[Event]:
        """ModelRegistered, oldest first; of one trainer, or of all."""
        by = [] if trainer is None else [None, _word(trainer)]
        return self._of(self._market.models, ["ModelRegistered"], by, self._market.start_block)

    def provisioned(self, node: str) -> list[tuple[str, int]]:
        """(contract, model number) pairs that a node ever gave stake to."""
        found = self._of(self._market.nodes, ["Provisioned"], [_word(node)], self._market.start_block)
        return sorted({(str(e.args["module"]), int(e.args["modelId"])) for e in found})

    def _of_job(self, key: bytes, names: Sequence[str], since: int) -> Iterator[Event]:
        return self._of(self._market.escrow, names, ["0x" + key.hex()], since)

    def _of(
        self, contract: Contract, names: Sequence[str], indexed: Sequence[Any], first: int
    ) -> Iterator[Event]:
        topics = [[_topic(contract, name) for name in names], *indexed]
        last, width = self.last(), _FIRST_RANGE
        while first <= last:
            end = min(last, first + width - 1)
            try:
                logs = self._market.connection.logs([contract.address], first, end, topics=topics)
            except RpcFault:
                # Too many blocks at once for this RPC: each has its own words for it.
                if width == 1:
                    raise
                width = max(1, width // 8)
                continue
            yield from (event for log in logs if (event := contract.decode(log)))
            first, width = end + 1, min(_WIDEST_RANGE, width * 2)


def _topic(contract: Contract, event: str) -> str:
    entry = next(e for e in contract.artifact.entries("event") if e["name"] == event)
    return "0x" + event_abi_to_log_topic(entry).hex()  # type: ignore[arg-type]


def _word(address: str) -> str:
    return "0x" + encode(["address"], [address]).hex()
