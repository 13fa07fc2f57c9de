"""`ape run deploy`, as an operator types it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from chain_support import Anvil

from agents.chain.deployment import Deployment
from agents.chain.devchain import dev_wallet
from agents.chain.wallet import Wallet

ROOT = Path(__file__).parents[3]
TRANSACTIONS = 16
"""A token, nine contracts of ours, and three for the one unit that each of two courts is left with."""

pytest.importorskip("ape", reason="ape is for operators: `make setup-test` installs it")


def ape(
    anvil: Anvil, tmp_path: Path, account: str, *more: str, **env: str
) -> subprocess.CompletedProcess[str]:
    command = [
        str(Path(sys.executable).with_name("ape")), "run", "deploy", "--network", anvil.url,
        "--account", account, "--output", str(tmp_path / "out.json"), *more,
    ]  # fmt: skip
    own = {"APE_DATA_FOLDER": str(tmp_path / "ape"), "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, **own, **env},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )


def test_a_keystore_account_deploys_and_a_test_account_finds_it_done(
    anvil: Anvil, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    anvil.automine(True)
    monkeypatch.delenv("CAPEK_KEYSTORE")
    monkeypatch.setenv("APE_DATA_FOLDER", str(tmp_path / "ape"))
    wallet = Wallet.create("operator", password="pw", rounds=2)
    anvil.set_balance(wallet.address, 10**18)
    password = tmp_path / "password"
    password.write_text("pw\n")
    password.chmod(0o600)

    denied = ape(anvil, tmp_path, "operator")
    assert denied.returncode != 0
    assert "CAPEK_PASSWORD_FILE" in denied.stderr
    assert anvil.connection.nonce(wallet.address) == 0

    done = ape(anvil, tmp_path, "operator", CAPEK_PASSWORD_FILE=str(password))
    assert done.returncode == 0, done.stderr
    assert "checked, and written to" in done.stdout
    assert anvil.connection.nonce(wallet.address) == TRANSACTIONS
    Deployment.load(tmp_path / "out.json", anvil.connection).check(anvil.connection)

    again = ape(anvil, tmp_path, "TEST::0")
    assert again.returncode == 0, again.stderr
    assert anvil.connection.nonce(dev_wallet(0).address) == 0


def test_an_account_of_apes_own_signs(anvil: Anvil, tmp_path: Path) -> None:
    anvil.automine(True)
    done = ape(anvil, tmp_path, "TEST::0")
    assert done.returncode == 0, done.stderr
    assert anvil.connection.nonce(dev_wallet(0).address) == TRANSACTIONS


def test_without_a_configuration_for_the_chain_it_says_so(anvil: Anvil, tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.write_text('{"chainId": 5, "token": null}')
    refused = ape(anvil, tmp_path, "TEST::0", "--config", str(config))
    assert refused.returncode != 0
    assert "token is missing" in refused.stderr
