"""What the tests of agents/chain share."""

from pathlib import Path

from agents.chain.compiled import Artifact
from agents.chain.connection import Connection
from agents.chain.devchain import DevChain
from agents.chain.wallet import Wallet

FIXTURES = Path(__file__).parent / "fixtures"


class Anvil:
    """A connection with the cheat codes of a local chain."""

    def __init__(self, chain: DevChain) -> None:
        self.url = chain.url
        self.connection: Connection = chain.connect()
        self.rpc = self.connection.rpc

    def automine(self, on: bool) -> None:
        """With it on, a transaction is mined soon after it was sent, not before the answer."""
        self.rpc("evm_setAutomine", on)

    def mine(self, blocks: int = 1) -> None:
        for _ in range(blocks):
            self.rpc("evm_mine")

    def snapshot(self) -> str:
        return str(self.rpc("evm_snapshot"))

    def revert(self, snapshot: str) -> None:
        assert self.rpc("evm_revert", snapshot) is True

    def set_balance(self, address: str, wei: int) -> None:
        self.rpc("anvil_setBalance", address, hex(wei))

    def forget_pending(self) -> None:
        """What a node's restart does to its mempool."""
        self.rpc("anvil_dropAllTransactions")

    def pending(self) -> list[dict[str, str]]:
        by_sender = self.rpc("txpool_content")["pending"]
        return [tx for txs in by_sender.values() for tx in txs.values()]

    def deploy(self, artifact: Artifact, wallet: Wallet) -> str:
        nonce = self.connection.nonce(wallet.address)
        signed = wallet.sign_transaction(
            {
                "type": 2, "chainId": self.connection.chain_id, "nonce": nonce, "to": b"", "value": 0,
                "data": artifact.bytecode, "gas": 3_000_000,
                "maxFeePerGas": 10**11, "maxPriorityFeePerGas": 10**9,
            }
        )  # fmt: skip
        self.connection.send(signed.raw)
        self.mine()
        receipt = self.connection.receipt(signed.hash)
        assert receipt is not None
        assert receipt.contract is not None
        return receipt.contract


class Clock:
    """Seconds that pass only when told."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def key(name: str) -> bytes:
    """A bytes32."""
    return name.encode().ljust(32, b"\0")
