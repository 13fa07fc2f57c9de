"""Where the demo plays: its market, who takes part, and what the chain says of them."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from agents.chain.contracts import Event
from agents.chain.paths import cache_home
from agents.devnet.ledger import BURNED
from agents.devnet.network import Account, Network
from agents.devnet.processes import Process
from agents.devnet.telling import Teller, wait_for
from agents.market.events import Events
from agents.market.opening import open_market


@dataclass(frozen=True, slots=True)
class Role:
    """Somebody who runs a node. `about` says to the reader what they are like."""

    name: str
    about: str
    models: tuple[str, ...]
    output_price: int = 400_000
    jobs: int = 4
    """What it has stake for at once; 0 for one that only judges."""
    seats: int = 0
    cheats: tuple[str, ...] = ()


class Scene:
    """One market with a trainer, a consumer and nodes."""

    def __init__(self, network: Network, tell: Teller) -> None:
        self.network = network
        self.tell = tell
        self.market = open_market(network.chain.url, network.deployment_file)
        self.events = Events(self.market)
        self.trainer = network.account("trainer")
        self.consumer = network.account("consumer")
        self.nodes: dict[str, tuple[Account, Process]] = {}

    def start(self, roles: Iterable[Role]) -> None:
        """Start a node for each; back when all take jobs."""
        roles = list(roles)
        accounts = [self.network.account(role.name) for role in roles]

        def enlist(at: int) -> None:
            self.network.enlist(accounts[at], *roles[at].models, jobs=roles[at].jobs)

        with ThreadPoolExecutor(2) as pool:
            list(pool.map(enlist, range(len(roles))))
        for role, account in zip(roles, accounts, strict=True):
            process = self.network.launch(
                account,
                *role.models,
                output_price=role.output_price,
                jobs=role.jobs,
                seats=role.seats,
                cheats=role.cheats,
                # Who only judges has the file: six that fetch it at once would tell the reader no more.
                weights=None if role.jobs else cache_home() / "models",
            )
            self.nodes[role.name] = account, process
            self.tell.detail(f"{role.name:8} {account.address} {role.about}")
        for account, process in self.nodes.values():
            self.network.wait_node(account, process)

    def wait_for_seats(self, count: int) -> None:
        """Until so many can be drawn: they are drawn as they stood in the period before."""
        court = self.market.court
        assert court is not None

        def seated() -> bool:
            before = court.period(self.market.clock.now()) - 1
            return court.pool_size(0, bytes(32), before) >= count

        wait_for(f"{count} seats in the court", seated)

    def ask(self, question: str, model: str, node: str, *args: str) -> dict[str, Any]:
        """`agent ask --json` as the consumer, of one node; a refused answer is an answer too."""
        address = self.address(node)
        return self.network.ask(self.consumer, question, "--model", model, "--node", address, *args)

    def address(self, node: str) -> str:
        return self.nodes[node][0].address

    def log(self, name: str | None = None) -> list[Event]:
        """The escrow's events so far, all or those of one name."""
        connection, deployment = self.network.connection, self.network.deployment
        escrow = deployment.contract(connection, "JobEscrow")
        logs = connection.logs([escrow.address], deployment.block, connection.latest().number)
        events = [event for log in logs if (event := escrow.decode(log))]
        return [event for event in events if name in (None, event.name)]

    def events_of(self, job: str) -> dict[str, Event]:
        """The escrow's events about a job, the last of each name."""
        return {e.name: e for e in self.log() if e.args.get("jobHash") == bytes.fromhex(job[2:])}

    def balance(self, account: Account) -> int:
        """Free Vault balance, base units."""
        return self.market.balance(account.address)

    def name(self, address: str) -> str:
        """What the reader knows an address by."""
        known = {account.address: name for name, (account, _) in self.nodes.items()}
        known |= {self.consumer.address: "consumer", self.trainer.address: "trainer", BURNED: "burned"}
        known |= {d.address: name for name, d in self.network.deployment.contracts.items()}
        return known.get(address, address)
