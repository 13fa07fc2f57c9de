"""The market's main job on real parts, told as it happens: paid, checked, cheated, slashed, recovered."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.table import Table

from agents.chain.contracts import Event
from agents.chain.deploy_config import DeploymentConfig
from agents.devnet.ledger import BURNED, Ledger, read_ledger
from agents.devnet.network import AGENT, Account, Network
from agents.devnet.processes import Process

CONFIG = DeploymentConfig(
    challenge_window=25, delivery_window=15, dispute_limit=60, max_job_time=300, thaw_period=600
)
"""Short windows: the demo waits for two of them."""

QUESTION = "Why is the sky blue? Answer in two sentences."
LONG_QUESTION = "Tell me a story about a lighthouse keeper, with as many details as you can."
PATIENCE = 120.0


class DemoFailed(Exception):
    """Something did not happen as it must; the text says what."""


@dataclass
class Report:
    """What demo-report.json holds."""

    answers: list[dict[str, Any]] = field(default_factory=list)
    refused: list[dict[str, Any]] = field(default_factory=list)
    slashed: list[dict[str, Any]] = field(default_factory=list)
    crash: dict[str, Any] = field(default_factory=dict)
    ledger: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(vars(self), indent=1, ensure_ascii=False) + "\n")


class Demo:
    """One run of the story. `folder` is emptied and holds every key, journal and log."""

    def __init__(self, folder: Path, console: Console) -> None:
        self._folder = folder
        self._console = console
        self.report = Report()
        self._began = time.monotonic()

    def run(self) -> Report:
        """Raises DemoFailed, CommandFailed or ProcessFailed; every process is stopped by then."""
        self._say("A local chain (anvil), and the contracts on it")
        with Network(self._folder, CONFIG) as network:
            self._network = network
            self._publish()
            self._start_nodes()
            self._honest_answer()
            self._wrong_answer()
            self._withheld_answer()
            self._crash()
            self._settle()
        self.report.seconds = round(time.monotonic() - self._began, 1)
        return self.report

    def _publish(self) -> None:
        self._say("A trainer publishes a model: weights by CID, manifest by digest, a token for its holders")
        self._trainer = self._network.account("trainer")
        self._model = self._network.publish(self._trainer)
        self._detail(f"{self._model}, weights served from {self._network.store_url}")

    def _start_nodes(self) -> None:
        self._say("Three nodes fetch the model by its CID, stake on being honest, and offer answers")
        self._consumer = self._network.account("consumer")
        self._network.run(self._consumer, "deposit", "100", "--json")
        self._nodes: dict[str, tuple[Account, Process]] = {}
        for name, price, cheat in (
            ("ada", 400_000, None),
            ("mallory", 300_000, "quantized"),
            ("oscar", 350_000, "withholding"),
        ):
            account = self._network.account(name)
            process = self._network.start_node(account, self._model, output_price=price, cheat=cheat)
            self._nodes[name] = account, process
            self._detail(
                f"{name:8} {account.address} {'(honest)' if cheat is None else f'(will cheat: {cheat})'}"
            )
        for account, process in self._nodes.values():
            self._network.wait_node(account, process)

    def _honest_answer(self) -> None:
        self._say("A consumer asks ada, checks every token of the answer, and pays")
        answer = self._ask(QUESTION, "ada", "--max-tokens", "64")
        self._expect(answer["accepted"], f"ada's honest answer was refused: {answer['verdict']}")
        self._show(answer)
        self.report.answers.append(_answer(answer))
        sampled = self._ask(
            "Name a colour and say why you like it.",
            "ada",
            "--max-tokens",
            "40",
            "--temperature",
            "0.8",
            "--top-p",
            "0.95",
        )
        self._expect(sampled["accepted"], f"ada's sampled answer was refused: {sampled['verdict']}")
        self._show(sampled)
        self.report.answers.append(_answer(sampled))

    def _wrong_answer(self) -> None:
        self._say("mallory sells the same model cheaper, and runs a cheaper quantization of it")
        answer = self._ask(LONG_QUESTION, "mallory", "--max-tokens", "96")
        self._expect(not answer["accepted"], "mallory's answer passed the check")
        self._show(answer)
        self.report.refused.append({**_answer(answer), "job": answer["job"], "approved": False})
        events = {event.name for event in self._events(answer["job"])}
        self._expect("JobPaid" not in events, "a refused answer was approved")
        self._detail(
            "until there is a court, the window pays mallory all the same: this costs custom, not yet stake"
        )

    def _withheld_answer(self) -> None:
        self._say("oscar completes a job on chain and keeps the answer to himself")
        before = self._balance(self._consumer)
        code, out, said = self._network.try_run(
            self._consumer, "ask", QUESTION, "--json", "--max-tokens", "16", "--model", self._model,
            "--node", self._nodes["oscar"][0].address,
        )  # fmt: skip
        self._expect(code != 0, "a withheld answer ended well")
        found = json.loads(out)
        punished = self._wait_for("oscar's slash", lambda: self._last_punished(self._nodes["oscar"][0]))
        self._expect(punished.args["taken"] > 0, "nothing was slashed")
        after = self._balance(self._consumer)
        taken, paid, burned = (self._usd(punished.args[name]) for name in ("taken", "paid", "burned"))
        self._detail(
            f"demanded on chain, it did not come: {taken} of oscar's stake are gone, "
            f"{paid} to the consumer and {burned} burned; "
            f"the consumer has {self._usd(after - before)} more than before"
        )
        self.report.slashed.append(
            {
                "node": punished.args["node"],
                "job": "0x" + punished.args["jobHash"].hex(),
                "why": found.get("error", said)[:300],
                "taken": str(punished.args["taken"]),
                "paid": str(punished.args["paid"]),
                "burned": str(punished.args["burned"]),
            }
        )

    def _crash(self) -> None:
        account, process = self._nodes["ada"]
        self._say("ada is killed with SIGKILL in the middle of a job, and started again")
        asking = self._network.spawn(
            self._consumer, "asking", *AGENT, "ask", LONG_QUESTION, "--json", "--max-tokens", "256",
            "--node", account.address, "--model", self._model,
        )  # fmt: skip
        job = self._wait_for("the job to run", lambda: self._running_job(asking))
        process.kill()
        self._detail(f"killed while generating {job[:14]}…")
        process.start()
        self._network.wait_node(account, process)
        self._detail("started again: it finds the job in its journal and generates the same answer")
        self._wait_for("the answer", lambda: not asking.alive)
        answer = json.loads(asking.log.read_text().strip().splitlines()[-1])
        self._expect(answer.get("accepted") is True, f"the answer after the crash: {answer}")
        self._expect(answer["job"] == job, "another job was opened")
        paid = [event for event in self._events(job) if event.name == "JobPaid"]
        self._expect(len(paid) == 1, f"the job was paid {len(paid)} times")
        self._show(answer)
        self.report.answers.append(_answer(answer))
        self.report.crash = {"killed_at": "running", "job": job, "paid_times": len(paid)}

    def _settle(self) -> None:
        self._say("Every job ends: what is due is paid, what is left comes back")
        self._network.run(self._consumer, "jobs", "--settle", "--wait", "--json")
        self._network.run(self._trainer, "trainer", "collect", self._model, "--json")
        ledger = read_ledger(self._network.connection, self._network.deployment)
        self._print_ledger(ledger)
        self._expect(ledger.adds_up, f"the ledger holds {ledger.sum}, the Vault {ledger.tokens}")
        self.report.ledger = {
            "vault_tokens": ledger.tokens,
            "sum_of_accounts": ledger.sum,
            "accounts": {self._name(account): amount for account, amount in ledger.balances.items()},
        }

    def _ask(self, question: str, node: str, *args: str) -> dict[str, Any]:
        address = self._nodes[node][0].address
        return self._network.ask(self._consumer, question, "--model", self._model, "--node", address, *args)

    def _running_job(self, asking: Process) -> str | None:
        """The hash of the job that ada is at, once some of it is generated."""
        self._expect(asking.alive, f"asking ended early:\n{asking.tail()}")
        for event in self._log("JobOpened"):
            job = f"0x{event.args['jobHash'].hex()}"
            try:
                state = httpx.get(f"{self._network.endpoints['ada']}/v1/jobs/{job}", timeout=2.0).json()
            except httpx.HTTPError:
                return None
            if state.get("status") == "running":
                return job
        return None

    def _log(self, name: str | None = None) -> list[Event]:
        """The escrow's events so far, all or those of one name."""
        connection, deployment = self._network.connection, self._network.deployment
        escrow = deployment.contract(connection, "JobEscrow")
        logs = connection.logs([escrow.address], deployment.block, connection.latest().number)
        events = [event for log in logs if (event := escrow.decode(log))]
        return [event for event in events if name in (None, event.name)]

    def _events(self, job: str) -> list[Event]:
        """All the escrow's events about a job."""
        return [e for e in self._log() if e.args.get("jobHash") == bytes.fromhex(job[2:])]

    def _last_punished(self, node: Account) -> Event | None:
        found = [event for event in self._log("NodePunished") if event.args["node"] == node.address]
        return found[-1] if found else None

    def _balance(self, account: Account) -> int:
        vault = self._network.deployment.contract(self._network.connection, "Vault")
        return int(vault.call("balanceOf", account.address))

    def _wait_for(self, what: str, look: Callable[[], Any]) -> Any:
        end = time.monotonic() + PATIENCE
        while not (found := look()):
            if time.monotonic() > end:
                raise DemoFailed(
                    f"{what} did not come in {PATIENCE:.0f} s; the logs are in {self._folder / 'logs'}"
                )
            time.sleep(0.2)
        return found

    def _expect(self, holds: bool, otherwise: str) -> None:
        if not holds:
            raise DemoFailed(otherwise)

    def _say(self, text: str) -> None:
        self._console.print(
            f"\n[bold]{time.monotonic() - self._began:5.0f} s  {text}[/bold]", highlight=False, soft_wrap=True
        )

    def _detail(self, text: str) -> None:
        self._console.print(f"         {text}", highlight=False, markup=False, soft_wrap=True)

    def _show(self, answer: dict[str, Any]) -> None:
        price, verdict = answer["price"], answer["verdict"]
        text = " ".join(str(answer["text"]).split())
        self._detail(f"“{text[:160]}{'…' if len(text) > 160 else ''}”")
        self._detail(f"verdict: {verdict['explanation']}")
        if answer["accepted"]:
            self._detail(
                f"price {self._usd(int(price['payment']))}: {self._usd(int(price['node']))} to the node, "
                f"{self._usd(int(price['treasury']))} to the model's treasury, "
                f"{self._usd(int(price['back']))} came back"
            )
        else:
            self._detail("not approved")

    def _print_ledger(self, ledger: Ledger) -> None:
        table = Table("account of the Vault", "holds", box=None, pad_edge=False)
        table.columns[1].justify = "right"
        for account, amount in sorted(ledger.balances.items(), key=lambda item: self._name(item[0])):
            table.add_row(self._name(account), self._usd(amount))
        table.add_section()
        table.add_row("sum of the accounts", self._usd(ledger.sum))
        table.add_row("tokens in the Vault", self._usd(ledger.tokens))
        self._console.print(table)

    def _name(self, address: str) -> str:
        known = {account.address: name for name, (account, _) in self._nodes.items()}
        known |= {self._consumer.address: "consumer", self._trainer.address: "trainer", BURNED: "burned"}
        known |= {d.address: name for name, d in self._network.deployment.contracts.items()}
        return known.get(address, address)

    @staticmethod
    def _usd(amount: int) -> str:
        return f"{amount / 10**6:,.6f} DevUSD"


def _answer(found: dict[str, Any]) -> dict[str, Any]:
    verdict = found["verdict"]
    return {
        "text": found["text"],
        "model": found["model"],
        "version": found["version"],
        "node": found["node"],
        "price": found["price"]["payment"],
        "verdict": {key: verdict[key] for key in ("accepted", "mode", "max_margin", "mean_margin")},
    }
