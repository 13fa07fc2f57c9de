import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from consumer_court import Bench, build_court_stage
from consumer_stage import (
    CLIENT,
    FIRST_NODE,
    MILLION,
    PASSWORD,
    TRAINER,
    NodeDouble,
    Stage,
    build_stage,
    private_key,
    weights_file,
)

from agents.chain.devchain import DevChain, dev_wallet
from agents.chain.wallet import Wallet
from agents.cli import cli
from agents.consumer.loading import load_model
from agents.consumer.running import Machine, RunningModel
from agents.engine.bitclass import bit_class
from agents.engine.llama import EngineConfig, LlamaEngine
from agents.protocol.manifest import Manifest
from agents.storage.local import LocalStore
from agents.trainer.publish import Wish, make_manifest

Ask = Callable[..., "Ran"]


class Ran:
    """What a command said and how it ended."""

    def __init__(self, result: Result) -> None:
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        self.code = result.exit_code
        self.out = result.stdout
        self.err = result.stderr

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture(scope="session")
def engine() -> Iterator[LlamaEngine]:
    """The model behind the doubles."""
    if not weights_file().exists():
        pytest.fail(f"{weights_file()} is missing: `make test` fetches it")
    with LlamaEngine(EngineConfig(weights_file(), context=1024, sequences=1, threads=1)) as found:
        yield found


@pytest.fixture(scope="session")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """As the trainer makes it."""
    wish = Wish(weights_file(), "smollm2", "Apache-2.0", 0, "SML", 1)
    return make_manifest(LocalStore(tmp_path_factory.mktemp("made")), wish, 1, lambda _: None)


@pytest.fixture(scope="session")
def our_class(engine: LlamaEngine, manifest: Manifest) -> bytes:
    return bit_class(engine, manifest.weights.cid)


@pytest.fixture(scope="session")
def _stage(manifest: Manifest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with DevChain() as chain:
        stage = build_stage(chain, tmp_path_factory.mktemp("stage"), manifest)
        stage.deposit(dev_wallet(CLIENT), 100 * MILLION)
        yield stage


@pytest.fixture(scope="session")
def _court_stage(
    manifest: Manifest, our_class: bytes, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stage]:
    with DevChain() as chain:
        stage = build_court_stage(chain, tmp_path_factory.mktemp("court"), manifest, our_class)
        stage.deposit(dev_wallet(CLIENT), 100 * MILLION)
        yield stage


class _Shared(RunningModel):
    """One client's model that the next client uses too: loading it would take most of the time."""

    def close(self) -> None:
        pass


@pytest.fixture(scope="session")
def _model(manifest: Manifest) -> Iterator[RunningModel]:
    model = _Shared(manifest, weights_file(), Machine(threads=1))
    model.bit_class(512)
    yield model
    RunningModel.close(model)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """State and keys of the test's own: nothing of the user's is touched."""
    for name in [n for n in os.environ if n.startswith("CAPEK_") and n != "CAPEK_ANVIL"]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("CAPEK_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CAPEK_KEYSTORE", str(tmp_path / "keys"))
    monkeypatch.setenv("CAPEK_PASSWORD", PASSWORD)
    return tmp_path / "home"


@pytest.fixture
def stage(
    request: pytest.FixtureRequest, _model: RunningModel, home: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Stage]:
    """The chain as it was when the model had been published; what a test does to it is undone. It has a court
    in modules that say `WITH_COURT = True`."""
    with_court = getattr(request.module, "WITH_COURT", False)
    _stage = request.getfixturevalue("_court_stage" if with_court else "_stage")
    for alias, index in (("client", CLIENT), ("trainer", TRAINER)):
        key = private_key(index)
        Wallet.create(alias, password=PASSWORD, private_key=key, rounds=2)
    settings = {
        "RPC_URL": _stage.chain.url,
        "DEPLOYMENT": str(_stage.deployment),
        "ACCOUNT": "client",
        "STORE_DIR": str(_stage.store),
        "MODEL": _stage.model,
        "THREADS": "1",
        "POLL": "0.02",
        "PATIENCE": "0",
        "MAX_TOKENS": "8",
        "OFFER_TIMEOUT": "3",
        "NODE_TIMEOUT": "5",
        "TX_TIMEOUT": "20",
    }
    for name, value in settings.items():
        monkeypatch.setenv(f"CAPEK_{name}", value)
    monkeypatch.setattr("agents.consumer.client.load_model", lambda *_: _model)
    if with_court:
        # Blocks come while a command waits: a panel is drawn by the hash of a later one.
        for module in ("ask", "challenge"):
            monkeypatch.setattr(
                f"agents.consumer.{module}.sleep", lambda _: _stage.market.connection.rpc("evm_mine")
            )
    with _stage.undone():
        yield _stage


@pytest.fixture
def own_model(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each command loads the model itself, as it does outside of tests."""
    monkeypatch.setattr("agents.consumer.client.load_model", load_model)


@pytest.fixture
def node(stage: Stage, engine: LlamaEngine, our_class: bytes) -> Iterator[Callable[..., NodeDouble]]:
    """Starts staked doubles, each with an account of its own."""
    running: list[NodeDouble] = []

    def start(jobs: int = 3, **options: Any) -> NodeDouble:
        wallet = dev_wallet(FIRST_NODE + len(running))
        options.setdefault("bit_class", our_class)
        double = NodeDouble(stage, wallet, engine, **options)
        running.append(double)
        double.stake(jobs)
        return double

    yield start
    for double in running:
        double.stop()


@pytest.fixture
def bench(stage: Stage) -> Bench:
    """The seats of the court, in modules with one."""
    return Bench(stage)


@pytest.fixture
def agent(home: Path) -> Ask:
    """Runs a command of `agent` in this process."""

    def run(*args: str, **kwargs: Any) -> Ran:
        return Ran(CliRunner(mix_stderr=False).invoke(cli, list(args), **kwargs))

    return run
