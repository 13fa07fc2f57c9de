"""A market on ape's own anvil, and the people who use it. Each test starts from the same chain."""

from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
from eth_account.messages import encode_typed_data
from eth_utils.crypto import keccak
from web3 import Web3

from agents.chain.compiled import load_artifact
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
from agents.protocol.tokens import OUTPUT, PROMPT, mask, masked_hash

DOLLAR = 10**6
PENALTY, MISS_PENALTY, WINNER_SHARE = 10 * DOLLAR, 2 * DOLLAR, 4000
DELIVERY_FEE, DELIVERY_FEE_PER_TOKEN = 100_000, 100
CHALLENGE_WINDOW, DELIVERY_WINDOW, DISPUTE_LIMIT, MAX_JOB_TIME = 3600, 1800, 86_400, 3600
THAW_PERIOD = 14 * 86_400
BURNED = "0x000000000000000000000000000000000000dEaD"
NOBODY = "0x" + "00" * 20

NAME, MODEL_FEE, SUPPLY = "smollm2-135m", 10 * DOLLAR, 10**24
INPUT_PRICE, OUTPUT_PRICE = 50 * DOLLAR, 200 * DOLLAR
SECRET = keccak(text="secret")
PROMPT_TOKENS, ANSWER = [1, 4093, 198, 2683, 49_151], [3725, 282, 2]


@dataclass(frozen=True)
class Market:
    """The deployed contracts and who is who."""

    token: Any
    vault: Any
    registry: Any
    governor: Any
    models: Any
    escrow: Any
    domain: Domain
    people: SimpleNamespace

    def call(self, verb: str, *arguments: Any) -> bytes:
        """What goes to the escrow with a payment: a call of IJobEscrowPayments.

        Not by ape's bindings: those of a file's second contract are gone once its compilation is cached.
        """
        shapes = Web3().eth.contract(abi=load_artifact("IJobEscrowPayments").abi)
        return bytes.fromhex(shapes.encode_abi(verb, list(arguments)).removeprefix("0x"))

    @property
    def model_id(self) -> int:
        return model_id(self.people.trainer.address, NAME)


@pytest.fixture(scope="session")
def people(accounts: Any) -> SimpleNamespace:
    names = ("deployer", "trainer", "node", "operator", "client", "stranger", "payee", "saver")
    return SimpleNamespace(**{name: accounts[i] for i, name in enumerate(names)})


@pytest.fixture(scope="session")
def market(project: Any, chain: Any, people: SimpleNamespace) -> Market:
    deployer = people.deployer
    token = project.DevUSD.deploy(sender=deployer)
    vault = project.Vault.deploy(token, sender=deployer)
    registry = project.NodeRegistry.deploy(vault, THAW_PERIOD, sender=deployer)
    tuning, random = TuningSettings(), project.BlockHashRandomness.deploy(2, sender=deployer)
    rewards = project.EpochRewards.deploy(tuning.rewards(vault.address, NOBODY), sender=deployer)
    neighbours = registry.address, NOBODY, random.address, rewards.address
    tasks = project.TuningTasks.deploy(tuning.tasks(vault.address, *neighbours), sender=deployer)
    terms = tuning.governor(vault.address, tasks.address, NOBODY, random.address)
    governor = project.TuningGovernor.deploy(terms, sender=deployer)
    models = project.ModelRegistry.at(governor.models())
    config = (vault, registry, models, governor, NOBODY, PENALTY, MISS_PENALTY, WINNER_SHARE, DELIVERY_FEE)
    config += (DELIVERY_FEE_PER_TOKEN, CHALLENGE_WINDOW, DELIVERY_WINDOW, DISPUTE_LIMIT, MAX_JOB_TIME)
    escrow = project.JobEscrow.deploy(config, sender=deployer)
    domain = Domain(chain.chain_id, vault.address)
    return Market(token, vault, registry, governor, models, escrow, domain, people)


@pytest.fixture(scope="session")
def fund(market: Market) -> Callable[[Any, int], None]:
    """Money for an account, through the faucet."""

    def fund(account: Any, amount: int) -> None:
        market.token.faucet(account, amount, sender=account)
        market.token.approve(market.vault, amount, sender=account)
        market.vault.deposit(account, amount, sender=account)

    return fund


@pytest.fixture(scope="session")
def permit(market: Market) -> Callable[[Any, int, int], tuple[int, bytes, bytes]]:
    """An EIP-2612 permit for the Vault, as a wallet signs it."""

    def permit(owner: Any, amount: int, deadline: int) -> tuple[int, bytes, bytes]:
        domain = {
            "name": market.token.name(),
            "version": "1",
            "chainId": market.domain.chain_id,
            "verifyingContract": market.token.address,
        }
        members = {"owner": "address", "spender": "address", "value": "uint256", "nonce": "uint256"}
        types = {"Permit": [{"name": n, "type": t} for n, t in (members | {"deadline": "uint256"}).items()]}
        message = {
            "owner": owner.address,
            "spender": market.vault.address,
            "value": amount,
            "nonce": market.token.nonces(owner),
            "deadline": deadline,
        }
        signature = owner.sign_message(encode_typed_data(domain, types, message))
        return signature.v, signature.r, signature.s

    return permit


@pytest.fixture(scope="session")
def open_market(market: Market, fund: Callable[[Any, int], None]) -> Market:
    """With a model, a node that has stake, and a client that has money."""
    people = market.people
    manifest = keccak(text="manifest")
    market.models.register(NAME, "SMOL", manifest, MODEL_FEE, SUPPLY, sender=people.trainer)
    market.registry.setNode(
        people.operator, keccak(text="encryption key"), "https://node.example", sender=people.node
    )
    fund(people.node, 200 * DOLLAR)
    owner = bytes(12) + bytes.fromhex(people.node.address[2:])
    market.vault.payAndCall(market.registry, 100 * DOLLAR, owner, sender=people.node)
    market.registry.provision(market.escrow, market.model_id, 50 * DOLLAR, sender=people.node)
    fund(people.client, 20 * DOLLAR)
    return market


@pytest.fixture
def job(open_market: Market, chain: Any) -> Job:
    """What the client asks: five prompt tokens, at most sixteen for the answer."""
    return Job(
        collector=open_market.escrow.address,
        channel=bytes(32),
        client=open_market.people.client.address,
        node=open_market.people.node.address,
        model_id=open_market.model_id,
        version=0,
        prompt_hash=masked_hash(SECRET, PROMPT, PROMPT_TOKENS),
        prompt_tokens=len(PROMPT_TOKENS),
        max_tokens=16,
        secret_hash=keccak(SECRET),
        seed=7,
        temperature=0,
        top_p=DOLLAR,
        input_price=INPUT_PRICE,
        output_price=OUTPUT_PRICE,
        model_fee=MODEL_FEE,
        ceiling=(len(PROMPT_TOKENS) * INPUT_PRICE + 16 * OUTPUT_PRICE) // DOLLAR,
        deadline=chain.pending_timestamp + 600,
        bit_class=bytes(32),
        client_key=keccak(text="client key"),
    )


@pytest.fixture
def open_call(open_market: Market, chain: Any) -> Callable[[Job], bytes]:
    """What a client hands to the escrow with its money: the job, and the node's acceptance of it."""

    def open_call(job: Job) -> bytes:
        expires = chain.pending_timestamp + 60
        key = bytes.fromhex(open_market.people.operator.private_key.removeprefix("0x"))
        signature = sign(open_market.domain, Acceptance(struct_hash(job), expires), key)
        vs = int.from_bytes(signature[32:64], "big") | (signature[64] - 27) << 255
        return open_market.call("open", as_tuple(job), expires, signature[:32], vs.to_bytes(32, "big"))

    return open_call


@pytest.fixture
def opened(open_market: Market, job: Job, open_call: Callable[[Job], bytes]) -> Job:
    open_market.vault.payAndCall(
        open_market.escrow, job.ceiling, open_call(job), sender=open_market.people.client
    )
    return job


@pytest.fixture
def completion_of(open_market: Market, chain: Any) -> Callable[[Job], Completion]:
    """The node's answer to a job: three tokens, ended by itself."""

    def completion_of(job: Job) -> Completion:
        return Completion(
            job_hash=struct_hash(job),
            node=job.node,
            output_hash=masked_hash(SECRET, OUTPUT, ANSWER),
            output_tokens=len(ANSWER),
            finish=Finish.END,
            served_at=chain.pending_timestamp,
            pay_to=open_market.people.payee.address,
        )

    return completion_of


@pytest.fixture
def completed(open_market: Market, opened: Job, completion_of: Callable[[Job], Completion]) -> Completion:
    completion = completion_of(opened)
    open_market.escrow.complete(as_tuple(completion), sender=open_market.people.operator)
    return completion


@pytest.fixture(scope="session")
def masked_answer() -> bytes:
    return mask(SECRET, OUTPUT, ANSWER)
