"""`agent node run` as a process of its own, to be killed."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from market_stage import INPUT_PRICE, OUTPUT_PRICE, Stage, store_with_manifest, until

from agents.chain.wallet import Wallet

PASSWORD = "correct horse"
ALIAS = "operator"
ROOT = Path(__file__).parents[3]


class NodeProcess:
    """Started with the keystore account ALIAS; `logs` are its parsed lines, `raw` everything it ever said."""

    def __init__(self, stage: Stage, folder: Path, *flags: str, model: bool = True) -> None:
        self.folder = folder
        store_with_manifest(folder / "store", stage.manifest)
        environment = os.environ | {
            "PYTHONPATH": str(ROOT),
            "CAPEK_PASSWORD": PASSWORD,
            "CAPEK_NODE_POLL_SECONDS": "0.03",
            "CAPEK_NODE_SWEEP_SECONDS": "0.2",
            "CAPEK_NODE_FINALIZE_PATIENCE": "0",
        }
        command = [
            sys.executable,
            "-m",
            "agents.cli",
            "node",
            "run",
            "--account",
            ALIAS,
            "--rpc-url",
            stage.url,
        ]
        command += ["--deployment", str(stage.deployment), "--port", "0"]
        command += ["--model", str(stage.model_id)] if model else []
        command += [
            "--threads",
            "1",
            "--parallel",
            "2",
            "--context",
            "512",
            "--store-dir",
            str(folder / "store"),
        ]
        command += ["--input-price", str(INPUT_PRICE), "--output-price", str(OUTPUT_PRICE), *flags]
        self.process = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self.logs: list[dict[str, Any]] = []
        self.raw = ""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.raw += line
            try:
                self.logs.append(json.loads(line))
            except ValueError:
                continue

    def url(self) -> str:
        """Where it listens, once it does."""
        started = until(
            lambda: (
                [e for e in self.logs if e["message"] == "node started"] or self.process.poll() is not None
            )
        )
        assert started is not True, self.raw
        return str(started[0]["endpoint"])

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def interrupt(self) -> int:
        """Ctrl-C; its exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.end()

    def end(self) -> int:
        code = self.process.wait(30)
        self._reader.join(5)
        return code


def staked_operator(stage: Stage) -> Wallet:
    """A keystore, with ether, registered and staked."""
    wallet = Wallet.create(ALIAS, password=PASSWORD, rounds=2)
    stage.connection.rpc("anvil_setBalance", wallet.address, hex(10**19))
    stage.staked_node(wallet)
    return wallet
