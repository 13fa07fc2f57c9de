"""A node's registration and stake, done by its owner's key."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from eth_abi.abi import encode

from agents.chain.contracts import Contract
from agents.chain.outbox import Intent, Outbox
from agents.market.reads import Market, Provision, Registered
from agents.node.errors import StakeError


@dataclass(frozen=True, slots=True)
class StakeReport:
    """Where an owner's money is, in base units; `ether` in wei. `jobs` is how many more each provision lets
    be open. `court` are the provisions to the court, for seats.
    """

    node: Registered
    ether: int
    tokens: int
    balance: int
    idle: int
    provisions: dict[int, Provision]
    jobs: dict[int, int]
    court: dict[int, Provision]


class Staking:
    """Each verb says what is missing before it sends anything, and waits until its transactions are done.
    Killed half-way and repeated, it does what is left to do.

    Raises (every verb): StakeError, and what `Outbox.wait` raises.
    """

    def __init__(self, market: Market, outbox: Outbox, *, patience: float = 300.0) -> None:
        self.market = market
        self._outbox = outbox
        self._patience = patience
        self.owner = outbox.address

    def report(self, model_ids: Sequence[int]) -> StakeReport:
        return report(self.market, self.owner, model_ids)

    def register(self, operator: str, encryption_key: bytes, endpoint: str) -> list[Intent]:
        """Create the node, or change it; nothing is sent when all is as wanted."""
        if self.market.node(self.owner) == Registered(operator, encryption_key, endpoint):
            return []
        return self._send((self.market.nodes, "setNode", operator, encryption_key, endpoint))

    def ensure(self, model_id: int, jobs: int) -> list[Intent]:
        """Have free stake for this many jobs of a model at once: deposit what is missing, stake it, provision
        it.
        """
        needed = jobs * self.market.terms.penalty
        return self.provide(self.market.escrow.address, model_id, needed, f"stake for {jobs} jobs")

    def provide(self, module: str, model_id: int, needed: int, what: str) -> list[Intent]:
        """Have `needed` free stake with `module`, the escrow or the court; `what` says what it is for."""
        self._finish_earlier()
        if not self.market.node(self.owner).exists:
            raise StakeError(f"{self.owner} is no node yet: run `agent node register` first")
        return self._send(*self.steps(module, model_id, needed, what))

    def steps(self, module: str, model_id: int, needed: int, what: str) -> list[tuple[Any, ...]]:
        """The calls that `provide` sends: (contract, function, arguments …). None when all is there.

        Raises:
            StakeError: the owner has too little.
        """
        market = self.market
        missing = needed - market.provision(self.owner, model_id, module).free
        if missing <= 0:
            return []
        steps: list[tuple[Any, ...]] = []
        stake = missing - market.idle_stake(self.owner)
        if stake > 0:
            deposit = stake - market.balance(self.owner)
            if deposit > 0:
                self._check_tokens(deposit, what)
                steps.append((market.token, "approve", market.vault.address, deposit))
                steps.append((market.vault, "deposit", self.owner, deposit))
            node = encode(["address"], [self.owner])
            steps.append((market.vault, "payAndCall", market.nodes.address, stake, node))
        steps.append((market.nodes, "provision", module, model_id, missing))
        return steps

    def thaw(self, model_id: int, amount: int | None = None, module: str | None = None) -> list[Intent]:
        """Start to take provisioned stake back, the escrow's or another `module`'s; all that is free when
        `amount` is None.
        """
        self._finish_earlier()
        free = self.market.provision(self.owner, model_id, module).free
        wanted = free if amount is None else amount
        if wanted <= 0 or wanted > free:
            raise StakeError(
                f"{self.market.money(free)} of this provision are free, {self.market.money(wanted)} were "
                "asked for: what jobs and seats have reserved comes free when they end"
            )
        place = module or self.market.escrow.address
        return self._send((self.market.nodes, "thaw", place, model_id, wanted))

    def deprovision(self, model_id: int, module: str | None = None) -> list[Intent]:
        """Make thawed stake idle again."""
        self._finish_earlier()
        found = self.market.provision(self.owner, model_id, module)
        now = self.market.clock.now()
        if not found.thawing:
            raise StakeError("nothing is thawing for this model: run `agent node unstake --thaw` first")
        if now < found.thawed_at:
            raise StakeError(
                f"{self.market.money(found.thawing)} are thawed in {found.thawed_at - now} s: try again then"
            )
        place = module or self.market.escrow.address
        return self._send((self.market.nodes, "deprovision", place, model_id))

    def unstake(self, amount: int | None = None, to: str | None = None) -> list[Intent]:
        """Move idle stake to a Vault account, the owner's own by default."""
        self._finish_earlier()
        idle = self.market.idle_stake(self.owner)
        wanted = idle if amount is None else amount
        if wanted <= 0 or wanted > idle:
            raise StakeError(
                f"{self.market.money(idle)} of stake are idle, {self.market.money(wanted)} were asked for: "
                "thaw and deprovision more first"
            )
        return self._send((self.market.nodes, "unstake", to or self.owner, wanted))

    def _check_tokens(self, deposit: int, what: str) -> None:
        here = self.market.tokens(self.owner)
        if here < deposit:
            money = self.market.money
            raise StakeError(
                f"{money(deposit - here)} short: {what} takes {money(deposit)} more and "
                f"{self.owner} has {money(here)}. Send them to {self.owner} on chain {self.market.chain_id} "
                f"(token {self.market.token.address})"
            )

    def _finish_earlier(self) -> None:
        """A run that was killed may have left transactions under way: what they do must count."""
        for intent in self._outbox.unfinished():
            self._outbox.wait(intent.subject, intent.action, self._patience)

    def _send(self, *steps: tuple[Any, ...]) -> list[Intent]:
        subject = f"stake {time.time_ns()}"
        names = []
        for i, (contract, function, *args) in enumerate(steps):
            assert isinstance(contract, Contract)
            names.append(f"{i + 1} {function}")
            self._outbox.put(subject, names[-1], contract.address, contract.data(function, *args))
        return [self._outbox.wait(subject, name, self._patience) for name in names]


def report(market: Market, owner: str, model_ids: Sequence[int]) -> StakeReport:
    """Where everything is, without a key."""
    provisions = {model_id: market.provision(owner, model_id) for model_id in model_ids}
    place = market.court.address if market.court else None
    return StakeReport(
        node=market.node(owner),
        ether=market.connection.balance(owner),
        tokens=market.tokens(owner),
        balance=market.balance(owner),
        idle=market.idle_stake(owner),
        provisions=provisions,
        jobs={model_id: max(0, p.free) // market.terms.penalty for model_id, p in provisions.items()},
        court={m: market.provision(owner, m, place) for m in model_ids} if place else {},
    )
