"""Gas of disputes, from receipts: everybody's transactions, on a market and a court that already run."""

from dataclasses import dataclass, replace
from typing import Any, Literal

from eth_account.signers.local import LocalAccount
from eth_utils.crypto import keccak
from web3 import Web3

from agents.chain.devchain import DevChain
from gas.world import (
    DOLLAR,
    START,
    TERMS,
    TIMES,
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
BLOCKHASH, NOT, PUSH1, PUSH32 = 0x40, 0x19, 0x60, 0x7F
DRAW = 20 - 3
"""What reading a block's hash costs more than NOT, which stands in for it (see CourtWorld)."""


@dataclass(frozen=True, slots=True)
class Challenged:
    """A disputed job with its evidence."""

    found: OpenJob
    case: tuple[Any, ...]
    id: bytes
    gas: int


class CourtWorld(World):
    """A market whose escrow obeys a court, and nodes with seats.

    A block's hash covers the code of every contract, comments and all, so panels, and with them what is warm
    and which bytes are zero, would change with any word in the sources: the randomness says NOT its block's
    number in place of the hash, and the 17 gas less are added again.
    """

    def __init__(self, chain: DevChain) -> None:
        super().__init__(chain)
        randomness = self._deploy("BlockHashRandomness", 2)
        self._rpc(
            "anvil_setCode", [randomness.address, _hashless(self.web3.eth.get_code(randomness.address))]
        )
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
            (*(c.address for c in addresses), PENALTY, *TERMS[1:], *TIMES),
        )
        self.judges = {judge.address: judge for judge in (account(f"judge {i}") for i in range(JUDGES))}
        self.operators = {address: account(f"operator of {address}") for address in self.judges}
        self.bit_class = keccak(text="class")
        manifest = Web3.keccak(text="manifest")
        register = self.models.functions.register("smollm2-135m", "SMOL", manifest, 10_000, 10**24)
        self.send(self.trainer, register)

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
        for rule, bit_class in (("tolerant", bytes(32)), ("exact", self.bit_class)):
            for judge in self.judges.values():
                take = self.court.functions.takeSeat(judge.address, self.model_id, bit_class)
                found[f"court.take_seat.{rule}"] = self.send(judge, take)
        found["court.leave_seat.exact"] = self.send(judge, self.court.functions.leaveSeat(2 * JUDGES))
        self.wait(2 * PERIOD)
        # Left there for ever, so that the court's account is never cleared and written anew.
        self.send(self.node, self.vault.functions.pay(self.court.address, 1))
        return found

    def challenge(self, client: LocalAccount, tokens: int, exact: bool) -> Challenged:
        """A completed job with `tokens` in its prompt and as many in its answer, challenged."""
        found = self.job(client)
        secret = keccak(found.output)
        prompt, output = (_masked(secret, kind, tokens) for kind in (0, 1))
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
        call = self._payments.functions.challenge(*found.both, secret, prompt, output)
        pay = self.vault.functions.payAndCall(self.escrow.address, bond, call._encode_transaction_data())
        gas = self.send(client, pay)
        what = (found.completion.job_hash, client.address, self.node.address, self.model_id, job.version)
        counts = (tokens, tokens, 2 * tokens, int(found.completion.finish))
        case = (*what, *counts, job.seed, job.temperature, job.top_p, job.bit_class, secret)
        id_ = self.court.functions.disputeId(self.escrow.address, case).call()
        return Challenged(found, case, bytes(id_), gas)

    def vote(self, dispute: Challenged, round_: int, votes: list[int], draws: bool) -> dict[str, list[int]]:
        """Draw, commit and reveal; each transaction's gas by verb."""
        self.mine(3)
        calls = self.court.functions
        gas: dict[str, list[int]] = {"draw": [], "commit": [], "reveal": []}
        if draws:
            gas["draw"].append(self.send(self.trainer, calls.draw(dispute.id)) + DRAW)
        _, _, members = calls.panelOf(dispute.id, round_).call()
        witness = keccak(dispute.id)
        for index, (member, vote) in enumerate(zip(members, votes, strict=True)):
            salt = keccak(witness + bytes([index]))
            key = self.operators[member]
            sealed = calls.commitmentOf(dispute.id, round_, index, key.address, vote, witness, salt)
            drawing = 0 if draws or index else DRAW
            gas["commit"].append(self.send(key, calls.commit(dispute.id, index, sealed.call())) + drawing)
        for index, (member, vote) in enumerate(zip(members, votes, strict=True)):
            salt = keccak(witness + bytes([index]))
            reveal = calls.reveal(dispute.id, index, vote, witness, salt)
            gas["reveal"].append(self.send(self.operators[member], reveal))
        return gas

    def judges_of(self, dispute: Challenged) -> int:
        """How many nodes will sit on the first panel; mines the block that draws it."""
        self.mine(3)
        _, _, members = self.court.functions.panelOf(dispute.id, 0).call()
        return len(set(members))

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
        # Each outcome once, for the accounts that are paid for the first time, the burned among them.
        for vote in (UPHELD, DISMISSED):
            _whole(world, client, 128, vote, True, "exact")
        for tokens in (128, 512):
            whole = _whole(world, client, tokens, UPHELD, False, "exact")
            found |= {f"dispute.{verb}.{tokens}": gas for verb, gas in whole.items()}
        others = {
            "drawn": _whole(world, client, 128, UPHELD, True, "exact"),
            "tolerant": _whole(world, client, 128, UPHELD, False, "tolerant"),
            "dismissed": _whole(world, client, 128, DISMISSED, False, "exact"),
        }
        found |= {f"dispute.whole.128.{name}": whole["whole"] for name, whole in others.items()}
        found |= _appealed(world, client)
    return found


def _hashless(code: bytes) -> str:
    """The same code with NOT for its one BLOCKHASH: both take one word and leave one."""
    at = 0
    while code[at] != BLOCKHASH:
        at += 1 + max(0, code[at] - PUSH1 + 1 if code[at] <= PUSH32 else 0)
    return Web3.to_hex(code[:at] + bytes([NOT]) + code[at + 1 :])


def _masked(secret: bytes, kind: int, tokens: int) -> bytes:
    """Bytes without meaning in the place of masked tokens; a multiple of 8 of these."""
    return b"".join(keccak(secret + bytes([kind, i])) for i in range(tokens // 8))


def _whole(
    world: CourtWorld,
    client: LocalAccount,
    tokens: int,
    vote: int,
    draws: bool,
    rule: Literal["exact", "tolerant"],
) -> dict[str, int]:
    dispute = world.challenge(client, tokens, rule == "exact")
    # A node with two seats on the panel is cheaper to pay: that is luck, and left to lapse.
    while world.judges_of(dispute) < FIRST_SEATS:
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
