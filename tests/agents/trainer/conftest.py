import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from eth_account import Account

from agents.chain.deploy_config import DeploymentConfig
from agents.chain.deployment import deploy
from agents.chain.devchain import MNEMONIC, DevChain, dev_wallet
from agents.chain.outbox import OutboxSettings
from agents.chain.wallet import Wallet
from agents.market.opening import open_market
from agents.market.reads import Market

TRAINER = 1


@pytest.fixture(scope="session")
def weights() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    path = cache / "capek" / "models" / "SmolLM2-135M-Instruct.Q4_1.gguf"
    if not path.exists():
        pytest.fail(f"{path} is missing: `make test` fetches it")
    return path


@pytest.fixture(scope="session")
def _market(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Market, DevChain, Path]]:
    path = tmp_path_factory.mktemp("market") / "deployment.json"
    with DevChain() as chain:
        deploy(chain.connect(), dev_wallet(0), DeploymentConfig(), path, settings=OutboxSettings(poll=0.02))
        yield open_market(chain.url, path), chain, path


@pytest.fixture
def market(
    _market: tuple[Market, DevChain, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Market]:
    """A fresh market, and an account `trainer` whose state is the test's own."""
    found, chain, path = _market
    for name in [n for n in os.environ if n.startswith("CAPEK_") and n != "CAPEK_ANVIL"]:
        monkeypatch.delenv(name)
    settings = {
        "HOME": str(tmp_path / "home"),
        "KEYSTORE": str(tmp_path / "keys"),
        "PASSWORD": "correct horse",
        "ACCOUNT": "trainer",
        "RPC_URL": chain.url,
        "DEPLOYMENT": str(path),
        "THREADS": "1",
        "POLL": "0.02",
        "TX_TIMEOUT": "20",
    }
    for name, value in settings.items():
        monkeypatch.setenv(f"CAPEK_{name}", value)
    Account.enable_unaudited_hdwallet_features()
    key = bytes(Account.from_mnemonic(MNEMONIC, account_path=f"m/44'/60'/0'/0/{TRAINER}").key)
    Wallet.create("trainer", password="correct horse", private_key=key, rounds=2)
    mark = found.connection.rpc("evm_snapshot")
    yield found
    found.connection.rpc("evm_revert", mark)
