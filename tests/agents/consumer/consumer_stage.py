"""A local chain with a market on it, and a node double that misbehaves as told."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvicorn
from eth_abi.abi import encode
from eth_account import Account
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse

from agents.chain.connection import Receipt
from agents.chain.contracts import Contract
from agents.chain.deploy_config import DeploymentConfig
from agents.chain.deployment import deploy
from agents.chain.devchain import MNEMONIC, DevChain, dev_wallet
from agents.chain.outbox import OutboxSettings
from agents.chain.wallet import Wallet
from agents.engine.llama import LlamaEngine
from agents.market.opening import open_market
from agents.market.reads import Market, Status
from agents.protocol.manifest import Manifest
from agents.protocol.messages import (
    Acceptance,
    Completion,
    Finish,
    Job,
    as_tuple,
    from_json,
    struct_hash,
    to_json,
)
from agents.protocol.messages import model_id as model_id_of
from agents.protocol.sampling import Sampling
from agents.protocol.sealing import keypair, open_prompt, seal_output
from agents.protocol.tokens import OUTPUT, check_prompt, mask, masked_hash
from agents.protocol.wire import Offer, OfferedModel
from agents.storage.local import LocalStore

MILLION = 1_000_000
FEE = 50 * MILLION
INPUT_PRICE, OUTPUT_PRICE = 1_000 * MILLION, 2_000 * MILLION
TERMS = DeploymentConfig(
    challenge_window=60, delivery_window=40, dispute_limit=60, max_job_time=600, thaw_period=1200,
    penalty=10 * MILLION, miss_penalty=2 * MILLION,
)  # fmt: skip
PASSWORD = "correct horse"
TRAINER, CLIENT, FIRST_NODE, FAUCET = 1, 2, 3, 9
ROOT = Path(__file__).parents[3]


def weights_file() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "capek" / "models" / "SmolLM2-135M-Instruct.Q4_1.gguf"


@dataclass(frozen=True)
class Stage:
    """Chain, contracts, and one published model, whose manifest lies in the store at `store`."""

    chain: DevChain
    deployment: Path
    market: Market
    manifest: Manifest
    model_id: int
    store: Path

    @property
    def model(self) -> str:
        return f"{dev_wallet(TRAINER).address}/{self.manifest.name}"

    def pass_time(self, seconds: int) -> None:
        self.market.connection.rpc("evm_increaseTime", hex(seconds))
        self.market.connection.rpc("evm_mine")

    def send(self, wallet: Wallet, contract: Contract, function: str, *args: Any) -> Receipt:
        connection = self.market.connection
        signed = wallet.sign_transaction(
            {
                "type": 2, "chainId": connection.chain_id, "nonce": connection.nonce(wallet.address),
                "to": contract.address, "value": 0, "data": contract.data(function, *args), "gas": 3_000_000,
                "maxFeePerGas": 10**11, "maxPriorityFeePerGas": 10**9,
            }
        )  # fmt: skip
        connection.send(signed.raw)
        end = time.monotonic() + 20
        while (receipt := connection.receipt(signed.hash)) is None:
            assert time.monotonic() < end, f"{function} is not mined"
            time.sleep(0.005)
        if not receipt.success:
            contract.call(function, *args, sender=wallet.address)  # says why
        assert receipt.success
        return receipt

    def fund(self, account: str, amount: int) -> None:
        self.send(dev_wallet(FAUCET), self.market.token, "faucet", account, amount)

    def deposit(self, wallet: Wallet, amount: int) -> None:
        self.fund(wallet.address, amount)
        self.send(wallet, self.market.token, "approve", self.market.vault.address, amount)
        self.send(wallet, self.market.vault, "deposit", wallet.address, amount)

    def stake(self, wallet: Wallet, endpoint: str, key: bytes, jobs: int) -> None:
        stake = jobs * TERMS.penalty
        self.deposit(wallet, stake)
        self.send(wallet, self.market.nodes, "setNode", wallet.address, key, endpoint)
        node = encode(["address"], [wallet.address])
        self.send(wallet, self.market.vault, "payAndCall", self.market.nodes.address, stake, node)
        self.send(wallet, self.market.nodes, "provision", self.market.escrow.address, self.model_id, stake)

    def ledger(self) -> tuple[int, int]:
        """The tokens in the Vault, and the sum of all accounts there that anybody has here."""
        market = self.market
        contracts = [market.escrow, market.nodes, market.governor]
        if market.court is not None:
            contracts.append(market.court.contract)
        accounts = [c.address for c in contracts] + [dev_wallet(i).address for i in range(10)]
        accounts.append("0x000000000000000000000000000000000000dEaD")
        held = int(market.token.call("balanceOf", market.vault.address))
        return held, sum(market.balance(account) for account in accounts)

    @contextmanager
    def undone(self) -> Iterator[None]:
        """Whatever happens on the chain meanwhile is forgotten."""
        mark = self.market.connection.rpc("evm_snapshot")
        try:
            yield
        finally:
            self.market.connection.rpc("evm_revert", mark)


def build_stage(chain: DevChain, folder: Path, manifest: Manifest, terms: DeploymentConfig = TERMS) -> Stage:
    """Deploy, and register the model without the trainer's code."""
    path = folder / "deployment.json"
    deploy(chain.connect(), dev_wallet(0), terms, path, settings=OutboxSettings(poll=0.02))
    market = open_market(chain.url, path)
    trainer = dev_wallet(TRAINER)
    LocalStore(folder / "store").add_bytes(manifest.to_bytes())
    number = model_id_of(trainer.address, manifest.name)
    stage = Stage(chain, path, market, manifest, number, folder / "store")
    stage.send(trainer, market.models, "register", manifest.name, "SML", manifest.digest(), FEE, 10**24)
    return stage


@dataclass
class Ways:
    """How a double behaves. Hooks are called in the server's thread, before it answers."""

    offer: Callable[[Offer], Offer] = lambda offer: offer
    raw_offer: Callable[[], Response] | None = None
    signer: Wallet | None = None
    accept: Callable[[dict[str, Any]], Any] = lambda reply: reply
    expires_in: int = 120
    completes: bool = True
    served_at: Callable[[int], int] = lambda now: now
    say: Callable[[tuple[int, ...]], tuple[int, ...]] = lambda tokens: tokens
    """What it commits to, in the place of what the model said."""
    hand_out: bool = True
    hand_out_other: bool = False
    """Hands out other tokens than it committed to."""
    raw_output: Callable[[], Response] | None = None
    on_job: Callable[[], None] = lambda: None
    on_status: Callable[[], None] = lambda: None
    on_output: Callable[[], None] = lambda: None


@dataclass
class NodeDouble:
    """The protocol's section 7, as far as a client sees it, with an engine behind it. `complete` is sent when
    the client asks how far its job is: so nothing depends on timing."""

    stage: Stage
    wallet: Wallet
    engine: LlamaEngine
    bit_class: bytes
    input_price: int = INPUT_PRICE
    output_price: int = OUTPUT_PRICE
    ways: Ways = field(default_factory=Ways)
    asked: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._private, self.key = keypair()
        self._jobs: dict[str, tuple[Job, bytes, list[int]]] = {}
        self._done: dict[str, tuple[Completion, tuple[int, ...]]] = {}
        app = FastAPI()
        app.get("/v1/offer")(self._offer)
        app.post("/v1/jobs")(self._accept)
        app.get("/v1/jobs/{name}")(self._status)
        app.get("/v1/jobs/{name}/output")(self._output)
        self._server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="critical", lifespan="off"))
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        end = time.monotonic() + 10
        while not self._server.started:
            assert time.monotonic() < end, "the double does not start"
            time.sleep(0.005)
        self.url = f"http://127.0.0.1:{self._server.servers[0].sockets[0].getsockname()[1]}"

    def stop(self) -> None:
        self._server.should_exit = True
        self._server.force_exit = True
        self._thread.join(5)

    def stake(self, jobs: int = 3) -> None:
        self.stage.stake(self.wallet, self.url, self.key, jobs)

    def deliver(self, name: str) -> None:
        """Answer a demand on chain."""
        job, secret, _ = self._jobs[name]
        completion, said = self._done[name]
        data = (as_tuple(job), as_tuple(completion), mask(secret, OUTPUT, said))
        self.stage.send(self.wallet, self.stage.market.escrow, "deliver", *data)

    def _offer(self) -> Response:
        self.asked.append("offer")
        if self.ways.raw_offer:
            return self.ways.raw_offer()
        market = self.stage.market
        model = OfferedModel(
            model_id=str(self.stage.model_id), version=0, input_price=str(self.input_price),
            output_price=str(self.output_price), context_length=4096, bit_class="0x" + self.bit_class.hex(),
        )  # fmt: skip
        offer = self.ways.offer(
            Offer(
                node=self.wallet.address, operator=self.wallet.address, chain_id=str(market.chain_id),
                vault=market.vault.address, encryption_key="0x" + self.key.hex(), models=(model,),
                pay_to=self.wallet.address, time=str(market.clock.now()),
            )
        )  # fmt: skip
        signer = self.ways.signer or self.wallet
        signed = offer.model_copy(update={"signature": "0x" + signer.sign_text(offer.signable().body).hex()})
        return JSONResponse(signed.write())

    async def _accept(self, request: Request) -> Response:
        self.asked.append("job")
        body = await request.json()
        job = from_json(Job, body["job"])
        secret, prompt = open_prompt(self._private, struct_hash(job), bytes.fromhex(body["prompt"][2:]))
        check_prompt(job, secret, prompt)
        name = "0x" + struct_hash(job).hex()
        self._jobs[name] = job, secret, prompt
        self.ways.on_job()
        acceptance = Acceptance(struct_hash(job), self.stage.market.clock.now() + self.ways.expires_in)
        signer = self.ways.signer or self.wallet
        signature = signer.sign_message(self.stage.market.domain, acceptance)
        reply = {"jobHash": name, "expires": str(acceptance.expires), "signature": "0x" + signature.hex()}
        found = self.ways.accept(reply)
        return found if isinstance(found, Response) else JSONResponse(found)

    def _status(self, name: str) -> Response:
        self.asked.append("status")
        self.ways.on_status()
        if self.ways.completes and self.stage.market.job_status(bytes.fromhex(name[2:]))[0] is Status.OPEN:
            self._complete(name)
        return JSONResponse({"jobHash": name, "status": "running", "outputTokens": 1})

    def _complete(self, name: str) -> None:
        job, secret, prompt = self._jobs[name]
        output = self.engine.generate(
            prompt, job.max_tokens, Sampling.of(job), self.stage.manifest.end_tokens
        ).result(60)
        said = self.ways.say(output.tokens)
        finish = Finish.END if said[-1] in self.stage.manifest.end_tokens else Finish.LENGTH
        served_at = self.ways.served_at(self.stage.market.clock.now())
        completion = Completion(
            job_hash=struct_hash(job), node=job.node, output_hash=masked_hash(secret, OUTPUT, said),
            output_tokens=len(said), finish=finish, pay_to=self.wallet.address, served_at=served_at,
        )  # fmt: skip
        self._done[name] = completion, said
        self.stage.send(self.wallet, self.stage.market.escrow, "complete", as_tuple(completion))

    def _output(self, name: str) -> Response:
        self.asked.append("output")
        self.ways.on_output()
        if self.ways.raw_output:
            return self.ways.raw_output()
        if name not in self._done or not self.ways.hand_out:
            return JSONResponse({"error": {"code": "not_ready", "message": "ask again later"}}, 404)
        completion, said = self._done[name]
        job = self._jobs[name][0]
        tokens = [7, *said[1:]] if self.ways.hand_out_other else list(said)
        signature = self.wallet.sign_message(self.stage.market.domain, completion)
        return JSONResponse(
            {
                "completion": to_json(completion),
                "signature": "0x" + signature.hex(),
                "output": "0x" + seal_output(job.client_key, struct_hash(job), tokens).hex(),
            }
        )


def with_model(offer: Offer, **changes: Any) -> Offer:
    """The offer with its model changed."""
    return offer.model_copy(update={"models": (offer.models[0].model_copy(update=changes),)})


def private_key(index: int) -> bytes:
    """The key behind anvil's account, which everybody knows."""
    Account.enable_unaudited_hdwallet_features()
    return bytes(Account.from_mnemonic(MNEMONIC, account_path=f"m/44'/60'/0'/0/{index}").key)
