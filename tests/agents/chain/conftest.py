from collections.abc import Iterator
from pathlib import Path

import pytest
from chain_support import FIXTURES, Anvil

from agents.chain.compiled import Artifact, load_artifact
from agents.chain.contracts import Contract
from agents.chain.devchain import DevChain, DevChainError, anvil_path, dev_wallet
from agents.chain.reverts import Reverts
from agents.chain.wallet import Wallet


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test may touch the user's keys and state."""
    monkeypatch.setenv("CAPEK_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CAPEK_KEYSTORE", str(tmp_path / "keystore"))
    for name in ("CAPEK_PASSWORD", "CAPEK_PASSWORD_FILE", "CAPEK_RPC_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def _anvil() -> None:
    try:
        anvil_path()
    except DevChainError as e:
        pytest.fail(str(e))


@pytest.fixture
def anvil(_anvil: None) -> Iterator[Anvil]:
    """A local chain of the test's own, which mines when told."""
    with DevChain(automine=False) as chain:
        yield Anvil(chain)


@pytest.fixture(scope="session")
def probe_artifact() -> Artifact:
    return load_artifact("Probe", FIXTURES)


@pytest.fixture
def probe(anvil: Anvil, probe_artifact: Artifact, monkeypatch: pytest.MonkeyPatch) -> Contract:
    """The test contract, on the chain, its errors known."""
    book = Reverts([probe_artifact])
    monkeypatch.setattr("agents.chain.contracts.known_reverts", lambda: book)
    monkeypatch.setattr("agents.chain.sender.known_reverts", lambda: book)
    return Contract(anvil.connection, probe_artifact, anvil.deploy(probe_artifact, dev_wallet(9)))


@pytest.fixture
def wallet() -> Wallet:
    return dev_wallet(0)
