"""Gas of disputes, from receipts: every participant's transactions, on a market and a court that already run."""

from dataclasses import dataclass, replace
from typing import Any, Literal

from eth_account.signers.local import LocalAccount
from eth_utils.crypto import keccak
from web3 import Web3

from agents.chain.devchain import DevChain
from agents.protocol.messages import as_tuple
from gas.world import (
    CHALLENGE_WINDOW,
    DELIVERY_FEE,
    DELIVERY_FEE_PER_TOKEN,
    DELIVERY_WINDOW,
    DISPUTE_LIMIT,
    DOLLAR,
    MAX_JOB_TIME,
    MISS_PENALTY,
    START,
    WINNER_SHARE,
    OpenJob,
    World,
    account,
)

# In the order of the contract's CourtConfig, after its three addresses.
PENALTY = 20 * DOLLAR
SEAT_STAKE, SILENT_FINE, SEAT_FEE, SEAT_FEE_PER_TOKEN, NODE_FEE = 10 * DOLLAR, 2_500_000, 150_000, 10, 500_000
APPEAL_SHARE, FIRST_SEATS, APPEAL_SEATS, APPEAL_QUORUM = 5000, 3, 15, 6
PERIOD, DRAW_WINDOW, COMMIT_WINDOW, REVEAL_WINDOW, APPEAL_WINDOW = 3600, 600, 600, 600, 3600
JUDGES = 40
UPHELD, DISMISSED = 1, 2


@dataclass(frozen=True, slots=True)
class Challenged:
    """A disputed job with its evidence."""

    found: OpenJob
    case: tuple[Any, ...]
    id: bytes
    gas: int


class CourtWorld(World):
    """A market whose escrow obeys a court, and nodes with seats."""

    def __init__(self, chain: DevChain) -> None:
        super().__init__(chain)
        randomness = self._deploy("BlockHashRandomness", 2)
        figures = (SEAT_STAKE, SILENT_FINE, SEAT_FEE, SEAT_FEE_PER_TOKEN, NODE_FEE, APPEAL_SHARE)
        sizes = (FIRST_SEATS, APPEAL_SEATS, APPEAL_QUORUM)
        windows = (PERIOD, DRAW_WINDOW, COMMIT_WINDOW, REVEAL_WINDOW, APPEAL_WINDOW)
        self.court = self._deploy(
            "DisputeCourt",
            (self.vault.address, self.registry.address, randomness.address, *figures, *sizes, *windows),
        )
        addresses = [self.vault, self.registry, self.models, self.governor, self.court]
        self.escrow = self._deploy(
            "JobEscrow",
            (*(c.address for c in addresses), PENALTY, MISS_PENALTY, WINNER_SHARE, DELIVERY_FEE)
            + (DELIVERY_FEE_PER_TOKEN, CHALLENGE_WINDOW, DELIVERY_WINDOW, DISPUTE_LIMIT, MAX_JOB_TIME),
        )
        self.judges = {judge.address: judge for judge in (account(f"judge {i}") for i in range(JUDGES))}
        self.operators = {address: account(f"operator of {address}") for address in self.judges}
        self.bit_class = keccak(text="class")
        manifest = Web3.keccak(text="manifest")
        self.send(self.trainer, self.models.functions.register("smollm2-135m", "SMOL", manifest, 10_000, 10**24))

    def settle_in(self) -> dict[str, int]:
        """Stake and seats for everybody; the gas of taking one."""
        found = {}
        for who in (self.node, *self.judges.values()):
            key = self.operator if who is self.node else self.operators[who.address]
            self.send(who, self.registry.functions.setNode(key.address, bytes(32), ""))
            self.fund(who, 500 * DOLLAR)
            data = bytes(12) + bytes.fromhex(who.address[2:])
            stake = self.vault.functions.payAndCall(self.registry.address, 400 * DOLLAR, data)
            self.send(who, stake)
            module = self.escrow if who is self.node else self.court
            self.send(who, self.registry.functions.provision(module.address, self.model_id, 400 * DOLLAR))
        for tolerant in (True, False):
            bit_class = bytes(32) if tolerant else self.bit_class
            for judge in self.judges.values():
                take = self.court.functions.takeSeat(judge.address, self.model_id, bit_class)
                found["court.take_seat.tolerant" if tolerant else "court.take_seat.exact"] = self.send(judge, take)
        found["court.leave_seat.exact"] = self.send(judge, self.court.functions.leaveSeat(2 * JUDGES))
        self.wait(2 * PERIOD)
        # Left there for ever, so that the court's account is never cleared and written anew.
        self.send(self.node, self.vault.functions.pay(self.court.address, 1))
        return found

    def challenge(self, client: LocalAccount, tokens: int, exact: bool) -> Challenged:
        """A completed job with `tokens` in its prompt and as many in its answer, challenged."""
        found = self.job(client)
        secret = keccak(found.output)
        prompt, output = (b"".join(keccak(secret + bytes([k, i])) for i in range(tokens // 8)) for k in (0, 1))
        job = replace(
            found.job,
            prompt_hash=keccak(prompt),
            prompt_tokens=tokens,
            max_tokens=2 * tokens,
            secret_hash=keccak(secret),
            bit_class=self.bit_class if exact else bytes(32),
            ceiling=DOLLAR,
        )
        found = self.accepted(job, client, output)
        self.open(found)
        self.complete(found)
        bond = self.court.functions.bondFor(2 * tokens).call()
        data = self._payments.functions.challenge(*found.both, secret, prompt, output)._encode_transaction_data()
        gas = self.send(client, self.vault.functions.payAndCall(self.escrow.address, bond, data))
        case = (found.completion.job_hash, client.address, self.node.address, self.model_id, 0, tokens, tokens)
        case += (2 * tokens, 0, job.seed, job.temperature, job.top_p, job.bit_class, secret)
        id_ = self.court.functions.disputeId(self.escrow.address, case).call()
        return Challenged(found, case, bytes(id_), gas)

    def vote(self, dispute: Challenged, round_: int, votes: list[int], draws: bool) -> dict[str, list[int]]:
        """Draw, commit and reveal; each transaction's gas by verb."""
        self._rpc("anvil_mine", [3])
        self.time = int(self.web3.eth.get_block("latest")["timestamp"])
        calls = self.court.functions
        gas: dict[str, list[int]] = {"draw": [], "commit": [], "reveal": []}
        if draws:
            gas["draw"].append(self.send(self.trainer, calls.draw(dispute.id)))
        _, _, members = calls.panelOf(dispute.id, round_).call()
        witness = keccak(dispute.id)
        for index, (member, vote) in enumerate(zip(members, votes, strict=True)):
            salt = keccak(witness + bytes([index]))
            key = self.operators[member]
            commitment = calls.commitmentOf(dispute.id, round_, index, key.address, vote, witness, salt).call()
            gas["commit"].append(self.send(key, calls.commit(dispute.id, index, commitment)))
        for index, (member, vote) in enumerate(zip(members, votes, strict=True)):
            salt = keccak(witness + bytes([index]))
            reveal = calls.reveal(dispute.id, index, vote, witness, salt)
            gas["reveal"].append(self.send(self.operators[member], reveal))
        return gas

    def appeal(self, dispute: Challenged, funder: LocalAccount) -> int:
        cost = self.court.functions.appealCost(dispute.case[5] + dispute.case[6]).call()
        call = self._bind("IDisputeCourtPayments", self.court.address).functions.appeal(
            self.escrow.address, dispute.case
        )
        pay = self.vault.functions.payAndCall(self.court.address, cost, call._encode_transaction_data())
        return self.send(funder, pay)

    def close(self, dispute: Challenged) -> int:
        return self.send(self.trainer, self.court.functions.close(self.escrow.address, dispute.case))

    def obey(self, dispute: Challenged) -> int:
        return self.send(self.trainer, self.escrow.functions.closeDispute(*dispute.found.both))


def measure_court() -> dict[str, int]:
    """Every figure by id, in gas. Takes some seconds; needs anvil."""
    with DevChain(extra=("--timestamp", str(START), "--gas-limit", "60000000", "--base-fee", "0")) as chain:
        world = CourtWorld(chain)
        found = world.settle_in()
        client = account("client")
        world.fund(client, 100 * DOLLAR)
        # Once for all the accounts that are paid for the first time, the burned among them.
        _whole(world, client, 128, UPHELD, True, "exact")
        for _ in range(JUDGES):
            _whole(world, client, 128, DISMISSED, True, "exact")
        for tokens in (128, 512):
            whole = _whole(world, client, tokens, UPHELD, False, "exact")
            found |= {f"dispute.{verb}.{tokens}": gas for verb, gas in whole.items()}
        found |= {"dispute.whole.128.drawn": _whole(world, client, 128, UPHELD, True, "exact")["whole"]}
        found |= {"dispute.whole.128.tolerant": _whole(world, client, 128, UPHELD, False, "tolerant")["whole"]}
        found |= {"dispute.whole.128.dismissed": _whole(world, client, 128, DISMISSED, False, "exact")["whole"]}
        found |= _appealed(world, client)
    return found


def _whole(
    world: CourtWorld,
    client: LocalAccount,
    tokens: int,
    vote: int,
    draws: bool,
    rule: Literal["exact", "tolerant"],
) -> dict[str, int]:
    dispute = world.challenge(client, tokens, rule == "exact")
    gas = world.vote(dispute, 0, [vote] * FIRST_SEATS, draws)
    world.wait(APPEAL_WINDOW + 1)
    found = {"challenge": dispute.gas, "commit.draws": gas["commit"][0], "commit": gas["commit"][-1]}
    found |= {"reveal": gas["reveal"][0], "close": world.close(dispute), "obey": world.obey(dispute)}
    if draws:
        found["draw"] = gas["draw"][0]
    votes = sum(sum(spent) for spent in gas.values())
    return found | {"whole": found["challenge"] + votes + found["close"] + found["obey"]}


def _appealed(world: CourtWorld, client: LocalAccount) -> dict[str, int]:
    """An appeal that overturns: the dearest closing but for silence."""
    dispute = world.challenge(client, 128, True)
    first = world.vote(dispute, 0, [DISMISSED] * FIRST_SEATS, True)
    funded = world.appeal(dispute, client)
    second = world.vote(dispute, 1, [UPHELD] * APPEAL_SEATS, True)
    closed = world.close(dispute)
    votes = sum(sum(spent) for gas in (first, second) for spent in gas.values())
    return {
        "dispute.appeal.fund": funded,
        "dispute.appeal.draw": second["draw"][0],
        "dispute.appeal.commit": second["commit"][-1],
        "dispute.appeal.reveal": second["reveal"][0],
        "dispute.appeal.close": closed,
        "dispute.appeal.whole": dispute.gas + funded + votes + closed + world.obey(dispute),
    }


if __name__ == "__main__":
    for name, gas in measure_court().items():
        print(f"{name:32}{gas:>10,}")
