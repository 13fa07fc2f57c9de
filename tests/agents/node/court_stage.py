"""A market with a court: nodes with seats, disputes over real answers and over made-up cases."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from conftest import settings_for
from eth_abi.abi import encode
from market_stage import CLIENT, FEE, MILLION, TRAINER, Asked, Client, Stage, until

from agents.chain.court_config import CourtSettings
from agents.chain.deploy_config import DeploymentConfig
from agents.chain.devchain import dev_wallet
from agents.chain.wallet import Wallet
from agents.market.court import Case, Court, Opened, Phase, Ruling, Standing, Vote
from agents.market.court_calls import challenge_data
from agents.market.events import Events
from agents.node.run import NodeRunner
from agents.protocol.messages import Completion, Finish, abi_type, as_tuple
from agents.protocol.messages import model_id as model_id_of
from agents.protocol.tokens import OUTPUT, PROMPT, mask

PERIOD = 50
COURT = CourtSettings(
    randomness_delay=1, period=PERIOD, draw_window=60, commit_window=100, reveal_window=80, appeal_window=50
)
COURT_TERMS = DeploymentConfig(
    challenge_window=100, delivery_window=40, dispute_limit=900, max_job_time=600, thaw_period=3600,
    penalty=10 * MILLION, miss_penalty=2 * MILLION, court=COURT,
)  # fmt: skip
ADA, BEA, CYD, LIAR = 2, 6, 7, 8
POCKET = 1000 * MILLION
RIGHT = tuple(range(100, 120))


@dataclass
class CourtStage:
    """`run` starts the node of an account, registered, with stake for jobs and tokens for seats."""

    stage: Stage
    folder: Path
    start: Callable[..., NodeRunner]
    seen: set[int] = field(default_factory=set)

    @property
    def court(self) -> Court:
        court = self.stage.market.court
        assert court is not None
        return court

    @property
    def events(self) -> Events:
        return Events(self.stage.market)

    def register(self, account: int) -> Wallet:
        wallet = dev_wallet(account)
        if account not in self.seen:
            self.seen.add(account)
            self.stage.staked_node(wallet)
            self.stage.fund(wallet.address, POCKET)
        return wallet

    def stake(self, wallet: Wallet, amount: int) -> None:
        """Idle stake, from the faucet."""
        market, node = self.stage.market, encode(["address"], [wallet.address])
        self.stage.deposit(wallet, amount)
        self.stage.send(wallet, market.vault, "payAndCall", market.nodes.address, amount, node)

    def provide(self, account: int, model_id: int) -> None:
        """Stake for a few jobs of another model."""
        wallet, market = self.register(account), self.stage.market
        stake = 3 * COURT_TERMS.penalty
        self.stake(wallet, stake)
        self.stage.send(wallet, market.nodes, "provision", market.escrow.address, model_id, stake)

    def sit(self, account: int, seats: int) -> None:
        """Seats of class 0 without a node, ready to be drawn."""
        wallet, market = self.register(account), self.stage.market
        stake = seats * COURT.seat_stake
        self.stake(wallet, stake)
        model_id = self.stage.model_id
        self.stage.send(wallet, market.nodes, "provision", self.court.address, model_id, stake)
        for _ in range(seats):
            self.stage.send(wallet, self.court.contract, "takeSeat", wallet.address, model_id, bytes(32))
        self.stage.pass_time(2 * PERIOD)

    def run(self, account: int, **options: Any) -> NodeRunner:
        self.register(account)
        return self.operate(account, account, **options)

    def operate(self, owner: int, account: int, **options: Any) -> NodeRunner:
        """Start a registered node with its operator's account."""
        wallet = dev_wallet(account)
        wrappers = {key: options.pop(key) for key in list(options) if key.startswith("wrap_")}
        options |= {"node": dev_wallet(owner).address}
        settings = settings_for(self.stage, self.folder / f"node{account}", **options)
        return self.start(settings, wallet, **wrappers)

    def second_model(self) -> int:
        """Another model of the same weights."""
        trainer = dev_wallet(TRAINER)
        models, digest = self.stage.market.models, self.stage.manifest.digest()
        self.stage.send(trainer, models, "register", "second", "SEC", digest, FEE, 10**24)
        return model_id_of(trainer.address, "second")

    def seats(self, model_id: int, count: int) -> None:
        """Wait until so many were taken, and then until they can be drawn."""
        market = self.stage.market

        def there() -> bool:
            later = self.court.period(market.clock.now()) + 1
            return self.court.pool_size(model_id, bytes(32), later) >= count

        until(there)
        self.stage.pass_time(2 * PERIOD)

    def client(self, url: str) -> Client:
        return Client(self.stage, dev_wallet(CLIENT), url)

    def answer(self, client: Client, asked: Asked) -> tuple[Completion, list[int]]:
        client.submit(asked)
        client.wait(asked, "completed")
        return client.output(asked)

    def challenge(self, client: Client, asked: Asked, completion: Completion, output: Sequence[int]) -> bytes:
        """By the job's client; the dispute's id."""
        bond = self.court.bond(len(asked.prompt) + len(output))
        data = challenge_data(
            self.stage.market, asked.job, completion, asked.secret, asked.prompt, output, bond
        )
        self.transact(client.wallet, self.stage.market.vault.address, data)
        opened = self.events.dispute_of(asked.hash, 0)
        assert opened is not None
        self.mine()
        return opened.id

    def open(self, case: Case, prompt: Sequence[int], output: Sequence[int]) -> bytes:
        """A dispute that nobody's contract stands behind: the client's own account takes the ruling."""
        wallet = dev_wallet(CLIENT)
        masked = mask(case.secret, PROMPT, prompt), mask(case.secret, OUTPUT, output)
        data = encode([abi_type(Case), "bytes", "bytes"], [case.as_tuple(), *masked])
        vault, bond = self.stage.market.vault, self.court.bond(case.tokens)
        self.transact(wallet, vault.address, vault.data("payAndCall", self.court.address, bond, data))
        self.mine()
        return self.court.dispute_id(wallet.address, case)

    def judge(self, account: int, dispute: bytes, round_: int, votes: Sequence[Vote]) -> None:
        """Cast and reveal by hand the votes of a panel that is all this account's."""
        wallet, contract, salt = dev_wallet(account), self.court.contract, os.urandom(32)
        for place, vote in enumerate(votes):
            sealed = self.court.commitment(dispute, round_, place, wallet.address, vote, bytes(32), salt)
            self.stage.send(wallet, contract, "commit", dispute, place, sealed)
        for place, vote in enumerate(votes):
            self.stage.send(wallet, contract, "reveal", dispute, place, int(vote), bytes(32), salt)

    def transact(self, wallet: Wallet, to: str, data: bytes) -> None:
        assert to == self.stage.market.vault.address
        self.stage.send_data(wallet, self.stage.market.vault, data)

    def mine(self, blocks: int = 3) -> None:
        for _ in range(blocks):
            self.stage.connection.rpc("evm_mine")

    def standing(self, dispute: bytes) -> Standing:
        return self.court.standing(dispute)

    def wait(self, dispute: bytes, *phases: Phase) -> Standing:
        def there() -> Standing | None:
            found = self.standing(dispute)
            return found if found.phase in phases else None

        found: Standing = until(there)
        return found

    def closed(self, dispute: bytes) -> Ruling:
        """Wait for the end, past the time for an appeal."""
        self.wait(dispute, Phase.APPEALABLE, Phase.FINAL)
        if self.standing(dispute).phase is Phase.APPEALABLE:
            self.stage.pass_time(COURT.appeal_window + 1)
        return self.ended(dispute)

    def ended(self, dispute: bytes) -> Ruling:
        closing = until(lambda: self.events.closing(dispute, 0))
        return Ruling(closing.ruling)

    def votes(self, dispute: bytes) -> list[str]:
        return [ballot.vote.name for ballot in self.events.votes(dispute, 0)]

    def opened(self, dispute: bytes) -> Opened:
        found = self.events.dispute(dispute, 0)
        assert found is not None
        return found


def case_of(model_id: int, node: str, prompt: Sequence[int], output: Sequence[int], **changes: Any) -> Case:
    """A greedy answer that was asked for no more tokens than it has."""
    fields: dict[str, Any] = {
        "subject": os.urandom(32), "challenger": dev_wallet(CLIENT).address, "node": node,
        "model_id": model_id, "version": 0, "prompt_tokens": len(prompt), "output_tokens": len(output),
        "max_tokens": len(output), "finish": int(Finish.LENGTH), "seed": 7, "temperature": 0,
        "top_p": MILLION, "bit_class": bytes(32), "secret": os.urandom(32),
    }  # fmt: skip
    return Case(**fields | changes)


def close_dispute(stage: Stage, client: Client, asked: Asked, completion: Completion) -> None:
    """As a client does who was right."""
    stage.send(client.wallet, stage.market.escrow, "closeDispute", as_tuple(asked.job), as_tuple(completion))
