"""`ape run ask`, as somebody with ape's accounts types it."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from consumer_stage import CLIENT, PASSWORD, ROOT, NodeDouble, Stage, private_key

from agents.chain.wallet import Wallet

pytest.importorskip("ape", reason="ape is for operators: `make setup-test` installs it")


def test_an_ape_account_asks_and_pays(
    stage: Stage, node: Callable[..., NodeDouble], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node()
    monkeypatch.delenv("CAPEK_KEYSTORE")
    monkeypatch.setenv("APE_DATA_FOLDER", str(tmp_path / "ape"))
    Wallet.create("client", password=PASSWORD, private_key=private_key(CLIENT), rounds=2)
    ape = str(Path(sys.executable).with_name("ape"))
    asked = ("Hello", "--json", "--max-tokens", "4")
    ran = subprocess.run(
        [ape, "run", "ask", "--network", stage.chain.url, "--account", "client", *asked],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout.strip().splitlines()[-1])
    assert (found["accepted"], found["outcome"]) == (True, "paid")
