"""A local chain with a whole market on it, and a client that does by hand what a consumer does."""

import hashlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
from eth_abi.abi import encode
from eth_utils.crypto import keccak

from agents.chain.connection import Connection, Receipt
from agents.chain.contracts import Contract, known_reverts
from agents.chain.deploy_config import DeploymentConfig
from agents.chain.deployment import deploy
from agents.chain.devchain import DevChain, dev_wallet
from agents.chain.errors import RpcFault
from agents.chain.outbox import OutboxSettings
from agents.chain.wallet import Wallet
from agents.market.opening import open_market
from agents.market.reads import Market, Status
from agents.protocol.cid import RAW, Cid
from agents.protocol.manifest import Manifest, canonical_json
from agents.protocol.messages import (
    Completion,
    Job,
    as_tuple,
    from_json,
    recover,
    struct_hash,
    to_json,
)
from agents.protocol.messages import model_id as model_id_of
from agents.protocol.pricing import full_price
from agents.protocol.sealing import keypair, open_output, seal_prompt
from agents.protocol.tokens import PROMPT, check_output, masked_hash
from agents.storage.dag import import_file
from agents.storage.local import LocalStore

WEIGHTS = "SmolLM2-135M-Instruct.Q4_1.gguf"
END_TOKEN = 2
MILLION = 1_000_000
FEE = 50 * MILLION
INPUT_PRICE, OUTPUT_PRICE = 1_000 * MILLION, 2_000 * MILLION
TERMS = DeploymentConfig(
    challenge_window=30, delivery_window=40, dispute_limit=60, max_job_time=600, thaw_period=900,
    penalty=10 * MILLION, miss_penalty=2 * MILLION,
)  # fmt: skip
TRAINER, OPERATOR, CLIENT, OTHER, STRANGER = 1, 2, 3, 4, 5


def weights_file() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "capek" / "models" / WEIGHTS


def until(what: Callable[[], Any], seconds: float = 30.0) -> Any:
    """Wait for something true, and give it; the time limit is for a test that is broken."""
    end = time.monotonic() + seconds
    while True:
        found = what()
        if found:
            return found
        assert time.monotonic() < end, f"not true after {seconds:g} s: {what}"
        time.sleep(0.02)


@dataclass(frozen=True)
class Stage:
    """Chain, contracts, and one published model."""

    url: str
    deployment: Path
    market: Market
    manifest: Manifest
    model_id: int

    @property
    def connection(self) -> Connection:
        return self.market.connection

    def pass_time(self, seconds: int) -> None:
        self.connection.rpc("evm_increaseTime", hex(seconds))
        self.connection.rpc("evm_mine")

    def send(self, wallet: Wallet, contract: Contract, function: str, *args: Any) -> Receipt:
        return self.send_data(wallet, contract, contract.data(function, *args))

    def send_data(self, wallet: Wallet, contract: Contract, data: bytes) -> Receipt:
        head = self.connection.latest()
        assert head.base_fee is not None
        signed = wallet.sign_transaction(
            {
                "type": 2,
                "chainId": self.connection.chain_id,
                "nonce": self.connection.nonce(wallet.address),
                "to": contract.address,
                "value": 0,
                "data": data,
                "gas": 3_000_000,
                "maxFeePerGas": 2 * head.base_fee + 10**9,
                "maxPriorityFeePerGas": 10**9,
            }
        )
        self.connection.send(signed.raw)
        receipt = until(lambda: self.connection.receipt(signed.hash))
        if not receipt.success:
            try:
                self.connection.call({"from": wallet.address, "to": contract.address, "data": data})
            except RpcFault as fault:
                raise AssertionError(str(known_reverts().of(fault))) from None
        assert receipt.success
        return receipt

    def fund(self, account: str, amount: int) -> None:
        """Tokens from the faucet."""
        self.send(dev_wallet(9), self.market.token, "faucet", account, amount)

    def deposit(self, wallet: Wallet, amount: int) -> None:
        self.fund(wallet.address, amount)
        self.send(wallet, self.market.token, "approve", self.market.vault.address, amount)
        self.send(wallet, self.market.vault, "deposit", wallet.address, amount)

    def staked_node(self, wallet: Wallet, jobs: int = 5, operator: str | None = None) -> None:
        """Register and stake, without the node's own code."""
        stake = jobs * TERMS.penalty
        self.deposit(wallet, stake)
        self.send(wallet, self.market.nodes, "setNode", operator or wallet.address, bytes(32), "")
        node = encode(["address"], [wallet.address])
        self.send(wallet, self.market.vault, "payAndCall", self.market.nodes.address, stake, node)
        self.send(wallet, self.market.nodes, "provision", self.market.escrow.address, self.model_id, stake)


def build_stage(chain: DevChain, folder: Path, terms: DeploymentConfig = TERMS) -> Stage:
    """Deploy, and publish the model whose weights the cache has."""
    connection = chain.connect()
    path = folder / "deployment.json"
    deploy(connection, dev_wallet(0), terms, path, settings=OutboxSettings(poll=0.02))
    market = open_market(chain.url, path)
    manifest = manifest_of(weights_file())
    trainer = dev_wallet(TRAINER)
    stage = Stage(chain.url, path, market, manifest, model_id_of(trainer.address, "smollm2"))
    stage.send(trainer, market.models, "register", "smollm2", "SML", manifest.digest(), FEE, 10**24)
    return stage


def manifest_of(weights: Path, **changes: Any) -> Manifest:
    with weights.open("rb") as file:
        tree = import_file(file)
    loose = {"refuse_max": 600_000, "refuse_mean": 50_000, "slash_max": 1_500_000, "slash_mean": 250_000}
    body = {
        "format": "capek-manifest/1", "name": "smollm2", "licence": "Apache-2.0",
        "weights": {"cid": str(tree.root), "size": tree.size, "format": "gguf", "quantization": "Q4_1"},
        "adapter": None, "tokenizer": "gguf", "chat_template": "gguf", "end_tokens": [END_TOKEN],
        "context_length": 8192, "profile": "canonical/1",
        "verification": {"exact": {"slash_max": 20_000}, "tolerant": {"greedy": loose, "sampled": loose}},
        "bit_classes": [],
    }  # fmt: skip
    return Manifest.model_validate_json(canonical_json(body | changes))


def store_with_manifest(folder: Path, manifest: Manifest) -> LocalStore:
    store = LocalStore(folder)
    data = manifest.to_bytes()
    assert store.add_bytes(data) == Cid(RAW, hashlib.sha256(data).digest())
    return store


@dataclass(frozen=True)
class Asked:
    """A job with what only its client knows."""

    job: Job
    secret: bytes
    prompt: tuple[int, ...]
    key: bytes
    node_key: bytes

    @property
    def hash(self) -> bytes:
        return struct_hash(self.job)

    @property
    def name(self) -> str:
        return "0x" + self.hash.hex()

    def changed(self, **fields: Any) -> "Asked":
        return replace(self, job=replace(self.job, **fields))


class Client:
    """Asks one node, by its address."""

    def __init__(self, stage: Stage, wallet: Wallet, url: str) -> None:
        self.stage = stage
        self.market = stage.market
        self.wallet = wallet
        self.url = url
        self.http = httpx.Client(base_url=url, timeout=20)

    def ask(
        self, prompt: tuple[int, ...] = tuple(range(100, 120)), max_tokens: int = 8, **fields: Any
    ) -> Asked:
        """A job that this node's offer allows."""
        offer = self.http.get("/v1/offer").json()
        (model,) = offer["models"]
        secret, (private, public) = os.urandom(32), keypair()
        job = Job(
            collector=self.market.escrow.address,
            channel=bytes(32),
            client=self.wallet.address,
            node=offer["node"],
            model_id=int(model["modelId"]),
            version=model["version"],
            prompt_hash=masked_hash(secret, PROMPT, prompt),
            prompt_tokens=len(prompt),
            max_tokens=max_tokens,
            secret_hash=keccak(secret),
            seed=7,
            temperature=0,
            top_p=MILLION,
            input_price=int(model["inputPrice"]),
            output_price=int(model["outputPrice"]),
            model_fee=FEE,
            ceiling=0,
            deadline=self.market.clock.now() + 300,
            bit_class=bytes.fromhex(model["bitClass"][2:]),
            client_key=public,
        )
        job = replace(job, **fields)
        if "ceiling" not in fields:
            job = replace(job, ceiling=full_price(job))
        return Asked(job, secret, prompt, private, bytes.fromhex(offer["encryptionKey"][2:]))

    def body(self, asked: Asked, **changes: Any) -> dict[str, Any]:
        sealed = seal_prompt(asked.node_key, asked.hash, asked.secret, asked.prompt)
        found = {
            "job": to_json(asked.job),
            "signature": "0x" + self.wallet.sign_message(self.market.domain, asked.job).hex(),
            "prompt": "0x" + sealed.hex(),
        }
        return found | changes

    def post(self, asked: Asked, **changes: Any) -> httpx.Response:
        return self.http.post("/v1/jobs", json=self.body(asked, **changes))

    def accepted(self, asked: Asked) -> dict[str, Any]:
        response = self.post(asked)
        assert response.status_code == 200, response.text
        found: dict[str, Any] = response.json()
        return found

    def open(self, asked: Asked, reply: dict[str, Any]) -> Receipt:
        signature = bytes.fromhex(reply["signature"][2:])
        vs = int.from_bytes(signature[32:64], "big") | (signature[64] - 27) << 255
        data = self._payments().data(
            "open", as_tuple(asked.job), int(reply["expires"]), signature[:32], vs.to_bytes(32, "big")
        )
        return self._pay(asked.job.ceiling, data)

    def submit(self, asked: Asked) -> None:
        """Accepted and opened."""
        self.open(asked, self.accepted(asked))

    def status(self, asked: Asked) -> str:
        response = self.http.get(f"/v1/jobs/{asked.name}")
        return (
            str(response.json()["status"]) if response.status_code == 200 else f"HTTP {response.status_code}"
        )

    def wait(self, asked: Asked, *statuses: str, seconds: float = 30.0) -> str:
        def reached() -> str | None:
            found = self.status(asked)
            return found if found in statuses else None

        return str(until(reached, seconds))

    def output(self, asked: Asked) -> tuple[Completion, list[int]]:
        """Fetched and held against what the node signed and the chain has."""
        response = self.http.get(f"/v1/jobs/{asked.name}/output")
        assert response.status_code == 200, response.text
        found = response.json()
        completion = from_json(Completion, found["completion"])
        signature = bytes.fromhex(found["signature"][2:])
        assert recover(self.market.domain, completion, signature) == self.market.node(asked.job.node).operator
        tokens = open_output(asked.key, asked.hash, bytes.fromhex(found["output"][2:]))
        check_output(completion, asked.secret, tokens)
        return completion, tokens

    def demand(self, asked: Asked, completion: Completion) -> Receipt:
        data = self._payments().data("demandDelivery", as_tuple(asked.job), as_tuple(completion))
        return self._pay(self.market.delivery_cost(completion.output_tokens), data)

    def chain_status(self, asked: Asked) -> Status:
        return self.market.job_status(asked.hash)[0]

    def paid_times(self, asked: Asked) -> int:
        """How often the chain paid for this job."""
        logs = self.market.connection.logs(
            [self.market.escrow.address], 0, self.market.connection.latest().number
        )
        events = [self.market.escrow.decode(log) for log in logs]
        return sum(e is not None and e.name == "JobPaid" and e.args["jobHash"] == asked.hash for e in events)

    def _payments(self) -> Contract:
        return Contract(self.market.connection, "IJobEscrowPayments", self.market.escrow.address)

    def _pay(self, amount: int, data: bytes) -> Receipt:
        return self.stage.send(
            self.wallet, self.market.vault, "payAndCall", self.market.escrow.address, amount, data
        )
