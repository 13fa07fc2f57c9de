"""A market on a chain where nothing is left to chance: keys, times and bytes are fixed, so that gas is too.

Calldata is paid by the byte and zero bytes are cheaper, so a hash or a timestamp that changed from one run to
the next would change the figures.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_utils.crypto import keccak
from web3 import HTTPProvider, Web3
from web3.contract import Contract
from web3.types import RPCEndpoint

from agents.chain.compiled import load_artifact
from agents.chain.devchain import DevChain
from agents.chain.tuning_config import TuningSettings
from agents.protocol.messages import (
    Acceptance,
    Completion,
    Domain,
    Finish,
    Job,
    as_tuple,
    model_id,
    sign,
    struct_hash,
)

START = 1_800_000_000
"""Chain time of the first block, seconds."""
GAS_LIMIT = 30_000_000
GAS_PRICE = 10**9
MILLION = 10**6
DOLLAR = 10**6

PROMPT_TOKENS, MAX_TOKENS, OUTPUT_TOKENS = 46, 256, 200
INPUT_PRICE, OUTPUT_PRICE, MODEL_FEE = 50_000, 200_000, 10_000
"""Base units per million tokens: 0.05, 0.20 and 0.01 dollars."""

PENALTY, MISS_PENALTY, WINNER_SHARE = 10 * DOLLAR, 2 * DOLLAR, 5000
DELIVERY_FEE, DELIVERY_FEE_PER_TOKEN = 100_000, 100
CHALLENGE_WINDOW, DELIVERY_WINDOW, DISPUTE_LIMIT, MAX_JOB_TIME = 3600, 1800, 86_400, 3600
NO_COURT = "0x" + "00" * 20
# In the order of the contract's EscrowConfig, after the addresses.
TERMS = (PENALTY, MISS_PENALTY, WINNER_SHARE, DELIVERY_FEE, DELIVERY_FEE_PER_TOKEN)
TIMES = (CHALLENGE_WINDOW, DELIVERY_WINDOW, DISPUTE_LIMIT, MAX_JOB_TIME)
THAW_PERIOD = 14 * 86_400


class GasError(RuntimeError):
    """A transaction that the measurement needs failed."""


def account(name: str) -> LocalAccount:
    key: LocalAccount = Account.from_key(keccak(text=f"capek gas {name}"))
    return key


@dataclass(frozen=True, slots=True)
class OpenJob:
    """A job, what the node accepted it with, and what it completed it with."""

    job: Job
    completion: Completion
    output: bytes
    client: LocalAccount
    call: bytes
    """What is handed to the escrow with the ceiling."""

    @property
    def job_tuple(self) -> tuple[Any, ...]:
        return as_tuple(self.job)

    @property
    def both(self) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        return self.job_tuple, as_tuple(self.completion)


class World:
    """Everything deployed, one model, one staked node, and transactions with receipts."""

    def __init__(self, chain: DevChain) -> None:
        self.web3 = Web3(HTTPProvider(chain.url, request_kwargs={"timeout": 60}))
        self.time = START
        self.deployer, self.trainer = account("deployer"), account("trainer")
        self.node, self.operator, self.payee = account("node"), account("operator"), account("payee")
        self._nonces: dict[str, int] = {}
        self._jobs = 0
        self.token = self._deploy("DevUSD")
        self.vault = self._deploy("Vault", self.token.address)
        self.registry = self._deploy("NodeRegistry", self.vault.address, THAW_PERIOD)
        self.tasks, self.governor = self._tuning(NO_COURT)
        self.models = self._bind("ModelRegistry", self.governor.functions.models().call())
        neighbours = [c.address for c in (self.vault, self.registry, self.models, self.governor)]
        self.escrow = self._deploy("JobEscrow", (*neighbours, NO_COURT, *TERMS, *TIMES))
        self._payments = self._bind("IJobEscrowPayments", self.escrow.address)
        self.domain = Domain(chain.chain_id, self.vault.address)
        self.model_id = model_id(self.trainer.address, "smollm2-135m")

    # --- transactions

    def send(self, sender: LocalAccount, call: Any) -> int:
        """Mine one call, one second after the last; returns the gas of its receipt.

        Raises:
            GasError: it reverted.
        """
        return self._mine(sender, {"to": call.address, "data": call._encode_transaction_data()})

    def wait(self, seconds: int) -> None:
        self.time += seconds

    def mine(self, blocks: int) -> None:
        """Empty blocks, one second each: told their times, or anvil's own clock would change their hashes."""
        for _ in range(blocks):
            self.time += 1
            self._rpc("evm_setNextBlockTimestamp", [self.time])
            self._rpc("evm_mine", [])

    def _mine(self, sender: LocalAccount, fields: dict[str, Any]) -> int:
        if sender.address not in self._nonces:
            self._rpc("anvil_setBalance", [sender.address, hex(10**20)])
        nonce = self._nonces.get(sender.address, 0)
        self._nonces[sender.address] = nonce + 1
        transaction = {
            "nonce": nonce,
            "gas": GAS_LIMIT,
            "gasPrice": GAS_PRICE,
            "chainId": 31337,
            "value": 0,
            **fields,
        }
        self.time += 1
        self._rpc("evm_setNextBlockTimestamp", [self.time])
        raw = sender.sign_transaction(transaction).raw_transaction
        receipt = self.web3.eth.wait_for_transaction_receipt(self.web3.eth.send_raw_transaction(raw))
        if receipt["status"] != 1:
            raise GasError(f"{receipt['transactionHash'].to_0x_hex()} reverted: the contracts changed")
        self._created = receipt["contractAddress"]
        return int(receipt["gasUsed"])

    def _rpc(self, method: str, params: list[Any]) -> None:
        answer = self.web3.provider.make_request(RPCEndpoint(method), params)
        if "error" in answer:
            raise GasError(f"{method}: {answer['error']}")

    def _deploy(self, name: str, *arguments: Any) -> Contract:
        artifact = load_artifact(name)
        factory = self.web3.eth.contract(abi=artifact.abi, bytecode=artifact.bytecode)
        data = factory.constructor(*arguments).data_in_transaction
        self._mine(self.deployer, {"to": b"", "data": data})
        assert self._created is not None
        return self._bind(name, self._created)

    def _tuning(self, court: str) -> tuple[Contract, Contract]:
        """TuningTasks and the governor over it; the rest by another account, whose nonces move no address."""
        terms, vault, deployer = TuningSettings(), self.vault.address, self.deployer
        self.deployer = account("deployer of tuning")
        randomness = self._deploy("BlockHashRandomness", 2).address
        self.rewards = self._deploy("EpochRewards", terms.rewards(vault, court))
        neighbours = self.registry.address, court, randomness, self.rewards.address
        tasks = self._deploy("TuningTasks", terms.tasks(vault, *neighbours))
        self.deployer = deployer
        return tasks, self._deploy("TuningGovernor", terms.governor(vault, tasks.address, court, randomness))

    def _bind(self, name: str, address: str) -> Contract:
        return self.web3.eth.contract(Web3.to_checksum_address(address), abi=load_artifact(name).abi)

    # --- people

    def fund(self, who: LocalAccount, amount: int) -> int:
        """Faucet, approve, deposit; returns the gas of the deposit."""
        self.send(self.deployer, self.token.functions.faucet(who.address, amount))
        self.send(who, self.token.functions.approve(self.vault.address, amount))
        return self.send(who, self.vault.functions.deposit(who.address, amount))

    # --- jobs

    def job(self, client: LocalAccount) -> OpenJob:
        """The terms of one more job, accepted by the node; it is not sent."""
        self._jobs += 1
        secret = keccak(text=f"capek gas secret {self._jobs}")
        output = b"".join(keccak(secret + bytes([i])) for i in range(OUTPUT_TOKENS // 8))
        price = -(-(PROMPT_TOKENS * INPUT_PRICE + MAX_TOKENS * OUTPUT_PRICE) // MILLION)
        job = Job(
            collector=self.escrow.address,
            channel=bytes(32),
            client=client.address,
            node=self.node.address,
            model_id=self.model_id,
            version=0,
            prompt_hash=keccak(secret + b"prompt"),
            prompt_tokens=PROMPT_TOKENS,
            max_tokens=MAX_TOKENS,
            secret_hash=keccak(secret),
            seed=int.from_bytes(keccak(secret + b"seed")[:8], "big"),
            temperature=800_000,
            top_p=950_000,
            input_price=INPUT_PRICE,
            output_price=OUTPUT_PRICE,
            model_fee=MODEL_FEE,
            ceiling=price,
            deadline=self.time + 1800,
            bit_class=keccak(text="class"),
            client_key=keccak(secret + b"key"),
        )
        return self.accepted(job, client, output)

    def accepted(self, job: Job, client: LocalAccount, output: bytes) -> OpenJob:
        """These terms, accepted by the node and answered with `output`, 4 bytes a token; nothing is sent."""
        completion = Completion(
            job_hash=struct_hash(job),
            node=self.node.address,
            output_hash=keccak(output),
            output_tokens=len(output) // 4,
            finish=Finish.END,
            served_at=self.time + 10,
            pay_to=self.payee.address,
        )
        expires = self.time + 600
        signature = sign(self.domain, Acceptance(struct_hash(job), expires), self.operator.key)
        vs = int.from_bytes(signature[32:64], "big") | (signature[64] - 27) << 255
        call = self._payments.functions.open(as_tuple(job), expires, signature[:32], vs.to_bytes(32, "big"))
        data = bytes.fromhex(call._encode_transaction_data().removeprefix("0x"))
        return OpenJob(job, completion, output, client, data)

    def with_output_of(self, found: OpenJob, tokens: int) -> OpenJob:
        """The same job, answered with so many tokens (a multiple of 8)."""
        output = b"".join(keccak(found.output + bytes([i])) for i in range(tokens // 8))
        completion = replace(found.completion, output_tokens=tokens, output_hash=keccak(output))
        return replace(found, completion=completion, output=output)

    def open(self, found: OpenJob) -> int:
        pay = self.vault.functions.payAndCall(self.escrow.address, found.job.ceiling, found.call)
        return self.send(found.client, pay)

    def complete(self, found: OpenJob) -> int:
        return self.send(self.operator, self.escrow.functions.complete(as_tuple(found.completion)))

    def demand(self, found: OpenJob) -> int:
        tokens = found.completion.output_tokens
        data = self._payments.functions.demandDelivery(*found.both)._encode_transaction_data()
        cost = DELIVERY_FEE + DELIVERY_FEE_PER_TOKEN * tokens
        return self.send(found.client, self.vault.functions.payAndCall(self.escrow.address, cost, data))

    def finalize(self, jobs: Sequence[OpenJob]) -> int:
        both = [found.both for found in jobs]
        call = self.escrow.functions.finalize([job for job, _ in both], [done for _, done in both])
        return self.send(self.operator, call)
