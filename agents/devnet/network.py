"""A market on this machine: anvil, the contracts, and agents as processes with a key and a home each."""

import json
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from agents.chain.deploy_config import DeploymentConfig
from agents.chain.deployment import Deployment, deploy
from agents.chain.devchain import DevChain, dev_key, dev_wallet
from agents.chain.outbox import OutboxSettings
from agents.chain.paths import cache_home
from agents.chain.wallet import Wallet
from agents.devnet.processes import Process, ProcessFailed
from agents.devnet.reach import answers, free_port, offers

AGENT = (sys.executable, "-m", "agents.cli")
MODEL_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
MODEL_NAME = "smollm2-135m"
MODEL_FEE = "0.02"
"""Whole DevUSD per million tokens."""
POCKET_MONEY = 10_000_000_000
"""DevUSD base units that every account gets from the faucet."""

_READY = 90.0
_LIGHT_SCRYPT = 1024


@dataclass(frozen=True, slots=True)
class Account:
    """Somebody on the network. `env` makes a command theirs."""

    name: str
    address: str
    env: Mapping[str, str]


class CommandFailed(Exception):
    """A command of an agent ended with an error; the text is what it said."""

    def __init__(self, command: str, code: int, said: str) -> None:
        super().__init__(f"`agent {command}` ended with exit code {code}: {said.strip()[-2000:]}")
        self.code = code


class Network:
    """Use as a context manager: whatever was started is stopped at its end.

    Args:
        folder: emptied first; keys, journals, logs and the deployment's file go there.
        config: durations and amounts of the deployment.
        block_time: seconds between blocks.
        port: of the chain's RPC; 0 takes a free one.
    """

    def __init__(
        self, folder: Path, config: DeploymentConfig, *, block_time: float = 1.0, port: int = 0
    ) -> None:
        self.folder = folder
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, mode=0o700)
        self._password = folder / "password"
        self._password.touch(mode=0o600)
        self._password.write_text(secrets.token_urlsafe(16))
        self._processes: list[Process] = []
        self._accounts: dict[str, Account] = {}
        self.endpoints: dict[str, str] = {}
        """Where each node listens, by account name."""
        self.store_url = ""
        self.chain = DevChain(port=port, block_time=block_time)
        try:
            self.connection = self.chain.connect()
            # This process deploys, and makes the keys: it has a home of its own here too.
            os.environ["CAPEK_HOME"] = str(folder / "home" / "deployer")
            os.environ["CAPEK_KEYSTORE"] = str(folder / "keystore")
            self.deployment_file = folder / "deployment.json"
            self.deployment: Deployment = deploy(
                self.connection,
                dev_wallet(0),
                config,
                self.deployment_file,
                settings=OutboxSettings(poll=0.1),
            )
        except BaseException:
            self.chain.stop()
            raise

    def __enter__(self) -> "Network":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in reversed(self._processes):
            process.stop()
        self.chain.stop()

    def account(self, name: str) -> Account:
        """Somebody with a key, ether and DevUSD; made at the first call."""
        if name not in self._accounts:
            key = dev_key(len(self._accounts) + 1)
            wallet = Wallet.create(name, password_file=self._password, private_key=key, rounds=_LIGHT_SCRYPT)
            token = self.deployment.contract(self.connection, "Token")
            self._transact(token.address, token.data("faucet", wallet.address, POCKET_MONEY))
            self._accounts[name] = Account(name, wallet.address, self._env(name))
        return self._accounts[name]

    def run(self, account: Account, *args: str, show: bool = False) -> str:
        """Run `agent ARGS` as this account and return what it prints; `show` lets its progress through.

        Raises:
            CommandFailed: its exit code is not 0.
        """
        code, out, said = self.try_run(account, *args, show=show)
        if code != 0:
            raise CommandFailed(" ".join(args[:2]), code, said or out)
        return out

    def try_run(self, account: Account, *args: str, show: bool = False) -> tuple[int, str, str]:
        """Like `run`; exit code, stdout and stderr."""
        found = subprocess.run(
            [*AGENT, *args],
            env={**os.environ, **account.env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=None if show else subprocess.PIPE,
            text=True,
            check=False,
        )
        return found.returncode, found.stdout, found.stderr or ""

    def spawn(
        self, account: Account, name: str, *command: str, env: Mapping[str, str] | None = None
    ) -> Process:
        """Start a process of this account; its log is in logs/NAME.log."""
        process = Process(name, command, {**account.env, **(env or {})}, self.folder / "logs" / f"{name}.log")
        self._processes.append(process)
        return process

    def dead(self) -> Process | None:
        """A process that has ended by itself."""
        return next((process for process in self._processes if not process.alive), None)

    def publish(self, trainer: Account, weights: Path | None = None, *, name: str = MODEL_NAME) -> str:
        """Publish the model from the cache, serve its weights, and return its full name.

        All models of a network have one trainer: it is from their store that nodes fetch.
        """
        file = weights or cache_home() / "models" / MODEL_FILE
        if not file.exists():
            raise ProcessFailed(f"no weights at {file}: run `make setup`")
        self.run(
            trainer, "trainer", "publish", str(file), "--name", name, "--licence", "Apache-2.0",
            "--fee", MODEL_FEE, "--json",
        )  # fmt: skip
        if not self.store_url:
            port = free_port()
            self.store_url = f"http://127.0.0.1:{port}"
            server = self.spawn(trainer, "store", *AGENT, "store", "serve", "--port", str(port))
            server.wait_until(lambda: answers(f"{self.store_url}/ipfs/-"), _READY)
        return f"{trainer.address}/{name}"

    def start_node(
        self,
        account: Account,
        *models: str,
        output_price: int,
        jobs: int = 4,
        seats: int = 0,
        cheats: Sequence[str] = (),
    ) -> Process:
        """Register, stake and start a node; `wait_node` says when it takes jobs.

        Args:
            jobs: of each model, how many its stake is enough for at once; 0 for a node that only judges.
            seats: in the court, for each model; taken, with their stake, when it starts.
            cheats: see cheats.py.
        """
        self.enlist(account, *models, jobs=jobs)
        return self.launch(account, *models, output_price=output_price, jobs=jobs, seats=seats, cheats=cheats)

    def enlist(self, account: Account, *models: str, jobs: int = 4) -> None:
        """Register and stake; what of `start_node` several threads may do at once."""
        self.run(account, "node", "register", "--json")
        for model in models if jobs else ():
            self.run(account, "node", "stake", "--model", model, "--jobs", str(jobs), "--json")

    def launch(
        self,
        account: Account,
        *models: str,
        output_price: int,
        jobs: int = 4,
        seats: int = 0,
        cheats: Sequence[str] = (),
        weights: Path | None = None,
    ) -> Process:
        """Start the process of a staked node; without `weights` at hand it fetches them by CID."""
        command = (
            (sys.executable, "-m", "agents.devnet.cheats", *cheats) if cheats else (*AGENT, "node", "run")
        )
        port = free_port()
        env = {
            "CAPEK_NODE_MODELS": ",".join(models),
            "CAPEK_NODE_INPUT_PRICE": "100000",
            "CAPEK_NODE_OUTPUT_PRICE": str(output_price),
            "CAPEK_NODE_SEATS": str(seats),
            "CAPEK_NODE_VERIFY_ONLY": "false" if jobs else "true",
            "CAPEK_NODE_PORT": str(port),
            "CAPEK_NODE_PEERS": self.store_url,
            "CAPEK_NODE_WEIGHTS": str(weights or self.folder / "no-weights-but-by-cid"),
            "CAPEK_NODE_THREADS": "1",
            "CAPEK_NODE_PARALLEL": "2",
            "CAPEK_NODE_CONTEXT": "2048",
            "CAPEK_NODE_POLL_SECONDS": "0.3",
            "CAPEK_NODE_SWEEP_SECONDS": "2",
            "CAPEK_NODE_FINALIZE_PATIENCE": "0",
            "CAPEK_NODE_MARGIN_SECONDS": "5",
        }
        process = self.spawn(account, account.name, *command, env=env)
        self.endpoints[account.name] = f"http://127.0.0.1:{port}"
        return process

    def wait_node(self, account: Account, process: Process) -> None:
        """Until the node answers at its endpoint."""
        process.wait_until(lambda: offers(self.endpoints[account.name]), _READY)

    def ask(self, consumer: Account, question: str, *args: str, show: bool = False) -> dict[str, Any]:
        """`agent ask --json`; a refused answer is an answer too.

        Raises:
            CommandFailed: there is no answer.
        """
        code, out, said = self.try_run(consumer, "ask", question, "--json", *args, show=show)
        found = json.loads(out) if out.strip() else {}
        if "text" not in found:
            raise CommandFailed("ask", code, said or out)
        assert isinstance(found, dict)
        return found

    def _env(self, name: str) -> dict[str, str]:
        return {
            "CAPEK_RPC_URL": self.chain.url,
            "CAPEK_DEPLOYMENT": str(self.deployment_file),
            "CAPEK_KEYSTORE": str(self.folder / "keystore"),
            "CAPEK_PASSWORD_FILE": str(self._password),
            "CAPEK_ACCOUNT": name,
            "CAPEK_HOME": str(self.folder / "home" / name),
            "CAPEK_WEIGHTS": str(self.folder / "no-weights-but-by-cid"),
            "CAPEK_THREADS": "1",
            "CAPEK_POLL": "0.3",
        }

    def _transact(self, to: str, data: bytes) -> None:
        w3 = self.connection.w3
        receipt = w3.eth.wait_for_transaction_receipt(
            w3.eth.send_transaction({"from": w3.eth.accounts[0], "to": to, "data": data})
        )
        assert receipt["status"] == 1
