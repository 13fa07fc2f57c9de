"""The market's main job on real parts, told as it happens: paid, checked, cheated, judged, recovered."""

import json
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.table import Table

from agents.chain.contracts import Event
from agents.devnet import demo_disputes as disputes
from agents.devnet.demo_report import Report, answer_of
from agents.devnet.ledger import Ledger, read_ledger
from agents.devnet.network import AGENT, MODEL_NAME, Network
from agents.devnet.processes import Process
from agents.devnet.scene import Role, Scene
from agents.devnet.telling import Teller, expect, usd, wait_for
from agents.devnet.terms import DEMO

QUESTION = "Why is the sky blue? Answer in two sentences."
LONG_QUESTION = disputes.LONG_QUESTION
SECOND_MODEL = f"{MODEL_NAME}-copy"
"""The same weights under another name, so that there is nothing more to download."""
LAZY = "oscar"


class Demo:
    """One run of the story. `folder` is emptied and holds every key, journal and log."""

    def __init__(self, folder: Path, console: Console) -> None:
        self._folder = folder
        self._tell = Teller(console)
        self.report = Report()

    def run(self) -> Report:
        """Raises DemoFailed, CommandFailed or ProcessFailed; every process is stopped by then."""
        self._tell.say("A local chain (anvil), and the contracts on it")
        with Network(self._folder, DEMO) as network:
            self._scene = scene = Scene(network, self._tell)
            self._publish()
            self._start_nodes()
            self._honest_answers()
            scene.wait_for_seats(6)
            found = disputes.cheat_is_slashed(scene, self.report, self._model)
            disputes.guessing_earns_nothing(scene, self.report, found, LAZY)
            disputes.crying_wolf_costs(scene, self.report, self._model)
            disputes.appeal_overturns(scene, self.report, self._second)
            self._withheld_answer()
            self._crash()
            self._settle()
        self.report.seconds = round(self._tell.seconds, 1)
        return self.report

    def _publish(self) -> None:
        self._tell.say(
            "A trainer publishes two models: weights by CID, manifest by digest, a token for its holders"
        )
        network, trainer = self._scene.network, self._scene.trainer
        self._model = network.publish(trainer)
        self._second = network.publish(trainer, name=SECOND_MODEL)
        self._tell.detail(f"{self._model} and {SECOND_MODEL}, weights served from {network.store_url}")

    def _start_nodes(self) -> None:
        self._tell.say(
            "Nodes fetch them by CID, stake on being honest, offer answers, or take seats as judges"
        )
        network, first, second = self._scene.network, self._model, self._second
        network.run(self._scene.consumer, "deposit", "100", "--json")
        both = first, second
        self._scene.start(
            [
                Role("ada", "answers honestly", (first,)),
                Role("bea", "judges answers of both models", both, jobs=0, seats=1),
                Role("cyd", "judges answers of the first", (first,), jobs=0, seats=1),
                Role(LAZY, "judges too; will cheat: judges without looking, and keeps an answer to himself",
                     (first,), 350_000, seats=1, cheats=("lazy", "withholding")),
                Role("liam", "has two of three judges' seats for the second; will cheat: votes for mallory",
                     (second,), jobs=0, seats=2, cheats=("lying",)),
                Role("mallory", "answers; will cheat: with a cheaper quantization",
                     both, 300_000, cheats=("quantized",)),
            ]
        )  # fmt: skip

    def _honest_answers(self) -> None:
        self._tell.say("A consumer asks ada, checks every token of the answer, and pays")
        for question, *how in (
            (QUESTION, "--max-tokens", "64"),
            (
                "Name a colour and say why you like it.",
                *("--max-tokens", "40", "--temperature", "0.8", "--top-p", "0.95"),
            ),
        ):
            answer = self._scene.ask(question, self._model, "ada", *how)
            expect(answer["accepted"], f"ada's honest answer was refused: {answer['verdict']}")
            self._show(answer)
            self.report.answers.append(answer_of(answer))

    def _withheld_answer(self) -> None:
        self._tell.say("oscar completes a job on chain and keeps the answer to himself")
        scene, oscar = self._scene, self._scene.address("oscar")
        before = scene.balance(scene.consumer)
        code, out, said = scene.network.try_run(
            scene.consumer, "ask", QUESTION, "--json", "--max-tokens", "16", "--model", self._model,
            "--node", oscar,
        )  # fmt: skip
        expect(code != 0, "a withheld answer ended well")
        found = json.loads(out)
        punished = wait_for("oscar's slash", lambda: self._last_punished(oscar))
        expect(punished.args["taken"] > 0, "nothing was slashed")
        after = scene.balance(scene.consumer)
        taken, paid, burned = (usd(punished.args[name]) for name in ("taken", "paid", "burned"))
        self._tell.detail(
            f"demanded on chain, it did not come: {taken} of oscar's stake are gone, "
            f"{paid} to the consumer and {burned} burned; "
            f"the consumer has {usd(after - before)} more than before"
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
        scene = self._scene
        account, process = scene.nodes["ada"]
        self._tell.say("ada is killed with SIGKILL in the middle of a job, and started again")
        asking = scene.network.spawn(
            scene.consumer, "asking", *AGENT, "ask", LONG_QUESTION, "--json", "--max-tokens", "256",
            "--node", account.address, "--model", self._model,
        )  # fmt: skip
        job = wait_for("the job to run", lambda: self._running_job(asking))
        process.kill()
        self._tell.detail(f"killed while generating {job[:14]}…")
        process.start()
        scene.network.wait_node(account, process)
        self._tell.detail("started again: it finds the job in its journal and generates the same answer")
        wait_for("the answer", lambda: not asking.alive)
        answer = json.loads(asking.log.read_text().strip().splitlines()[-1])
        expect(answer.get("accepted") is True, f"the answer after the crash: {answer}")
        expect(answer["job"] == job, "another job was opened")
        paid = [e for e in scene.log("JobPaid") if e.args["jobHash"].hex() == job[2:]]
        expect(len(paid) == 1, f"the job was paid {len(paid)} times")
        self._show(answer)
        self.report.answers.append(answer_of(answer))
        self.report.crash = {"killed_at": "running", "job": job, "paid_times": len(paid)}

    def _settle(self) -> None:
        self._tell.say("Every job ends: what is due is paid, what is left comes back")
        network, scene = self._scene.network, self._scene
        network.run(scene.consumer, "jobs", "--settle", "--wait", "--json")
        network.run(scene.trainer, "trainer", "collect", self._model, "--json")
        ledger = read_ledger(network.connection, network.deployment)
        self._print_ledger(ledger)
        expect(ledger.adds_up, f"the ledger holds {ledger.sum}, the Vault {ledger.tokens}")
        self.report.ledger = {
            "vault_tokens": ledger.tokens,
            "sum_of_accounts": ledger.sum,
            "accounts": {scene.name(account): amount for account, amount in ledger.balances.items()},
        }

    def _running_job(self, asking: Process) -> str | None:
        """The hash of the job that ada is at, once some of it is generated."""
        expect(asking.alive, f"asking ended early:\n{asking.tail()}")
        for event in self._scene.log("JobOpened"):
            job = f"0x{event.args['jobHash'].hex()}"
            try:
                endpoint = self._scene.network.endpoints["ada"]
                state = httpx.get(f"{endpoint}/v1/jobs/{job}", timeout=2.0).json()
            except httpx.HTTPError:
                return None
            if state.get("status") == "running":
                return job
        return None

    def _last_punished(self, node: str) -> Event | None:
        found = [event for event in self._scene.log("NodePunished") if event.args["node"] == node]
        return found[-1] if found else None

    def _show(self, answer: dict[str, Any]) -> None:
        price, verdict = answer["price"], answer["verdict"]
        text = " ".join(str(answer["text"]).split())
        self._tell.detail(f"“{text[:160]}{'…' if len(text) > 160 else ''}”")
        self._tell.detail(f"verdict: {verdict['explanation']}")
        self._tell.detail(
            f"price {usd(int(price['payment']))}: {usd(int(price['node']))} to the node, "
            f"{usd(int(price['treasury']))} to the model's treasury, {usd(int(price['back']))} came back"
        )

    def _print_ledger(self, ledger: Ledger) -> None:
        table = Table("account of the Vault", "holds", box=None, pad_edge=False)
        table.columns[1].justify = "right"
        for account, amount in sorted(ledger.balances.items(), key=lambda item: self._scene.name(item[0])):
            table.add_row(self._scene.name(account), f"{amount / 10**6:,.6f} DevUSD")
        table.add_section()
        table.add_row("sum of the accounts", f"{ledger.sum / 10**6:,.6f} DevUSD")
        table.add_row("tokens in the Vault", f"{ledger.tokens / 10**6:,.6f} DevUSD")
        self._tell.console.print(table)
