from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from market_stage import (
    CLIENT,
    INPUT_PRICE,
    MILLION,
    OPERATOR,
    OUTPUT_PRICE,
    Client,
    Stage,
    build_stage,
    manifest_of,
    store_with_manifest,
    weights_file,
)

from agents.chain.devchain import DevChain, dev_wallet
from agents.engine.llama import EngineConfig, LlamaEngine
from agents.market import clock
from agents.market.models import look_up
from agents.market.reads import Market
from agents.node import models
from agents.node.models import ServedModel
from agents.node.modelspec import ModelSpec
from agents.node.run import NodeRunner
from agents.node.selftest import self_test
from agents.node.settings import NodeSettings
from agents.node.speed import Speed


def settings_for(stage: Stage, folder: Path, **changes: Any) -> NodeSettings:
    """Quick, small, and nothing of the user's."""
    store_with_manifest(folder / "store", stage.manifest)
    given: dict[str, Any] = {
        "rpc_url": stage.url,
        "deployment": stage.deployment,
        "port": 0,
        "threads": 1,
        "parallel": 2,
        "context": 512,
        "models": f"{stage.model_id}",
        "input_price": INPUT_PRICE,
        "output_price": OUTPUT_PRICE,
        "data_dir": folder / "data",
        "store_dir": folder / "store",
        "poll_seconds": 0.03,
        "sweep_seconds": 0.2,
        "finalize_patience": 0,
        "push_fees_seconds": 0.3,
        "shutdown_seconds": 5,
    }
    return NodeSettings(**given | changes)


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test may touch the user's keys and state."""
    monkeypatch.setenv("CAPEK_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CAPEK_KEYSTORE", str(tmp_path / "keystore"))
    for name in ("CAPEK_PASSWORD", "CAPEK_PASSWORD_FILE", "CAPEK_RPC_URL", "CAPEK_DEPLOYMENT"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session", autouse=True)
def _fresh_clocks() -> Iterator[None]:
    """These chains jump ahead in time: nobody may go by the time of half a second ago."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clock, "_FRESH", 0.0)
        yield


@pytest.fixture(scope="session")
def _weights() -> None:
    if not weights_file().exists():
        pytest.fail(f"{weights_file()} is missing: `make test` fetches it")


@pytest.fixture
def stage(_weights: None, tmp_path: Path) -> Iterator[Stage]:
    """A market of the test's own."""
    with DevChain() as chain:
        yield build_stage(chain, tmp_path)


class _Lent:
    """A loaded model that outlives the nodes that use it."""

    def __init__(self, engine: LlamaEngine) -> None:
        self._engine = engine

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def close(self) -> None:
        pass


@pytest.fixture(scope="session")
def loaded(_weights: None) -> Iterator[tuple[Any, bytes, Speed]]:
    """The model, loaded and tested once: (engine, bit class, speed)."""
    config = EngineConfig(weights_file(), context=512, sequences=2, threads=1)
    with LlamaEngine(config) as engine:
        yield _Lent(engine), *self_test(engine, manifest_of(weights_file()))


def lending(stage: Stage, loaded: tuple[Any, bytes, Speed]) -> Callable[..., ServedModel]:
    """What gives nodes the model that is loaded already, in the place of `models.serve`."""

    def lent(
        market: Market, store: object, spec: ModelSpec, settings: NodeSettings, *_: object, **__: object
    ) -> ServedModel:
        version = look_up(market, spec.model_id, spec.version)
        engine, bit_class, speed = loaded
        prices = settings.input_price, settings.output_price
        fresh = Speed(speed.costs)
        return ServedModel(version, stage.manifest, engine, 2, *prices, bit_class, fresh)

    return lent


@pytest.fixture
def start(
    stage: Stage, tmp_path: Path, loaded: tuple[Any, bytes, Speed], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., NodeRunner]]:
    """Starts the staked node of account OPERATOR, again and again if need be; stops what still runs. With
    `lend` (the default) it uses the model that is loaded already, else it finds, loads and tests its own.
    """
    real, lent = models.serve, lending(stage, loaded)

    stage.staked_node(dev_wallet(OPERATOR))
    stage.deposit(dev_wallet(CLIENT), 100 * MILLION)
    running: list[NodeRunner] = []

    def started(**options: Any) -> NodeRunner:
        monkeypatch.setattr(models, "serve", lent if options.pop("lend", True) else real)
        wrappers = {key: options.pop(key) for key in ("wrap_answerer", "wrap_handout") if key in options}
        runner = NodeRunner(settings_for(stage, tmp_path, **options), dev_wallet(OPERATOR), **wrappers)
        runner.start()
        running.append(runner)
        return runner

    yield started
    for runner in running:
        runner.stop(0)


@pytest.fixture(scope="session")
def shared(_weights: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stage, NodeRunner]]:
    """One node for tests that change nothing for each other."""
    folder = tmp_path_factory.mktemp("shared")
    with DevChain() as chain:
        stage = build_stage(chain, folder)
        stage.staked_node(dev_wallet(OPERATOR), jobs=20)
        stage.deposit(dev_wallet(CLIENT), 100 * MILLION)
        settings = settings_for(stage, folder, body_seconds=1.0, pending_per_client=3, margin_seconds=5)
        with NodeRunner(settings, dev_wallet(OPERATOR)) as runner:
            yield stage, runner


@pytest.fixture
def client(shared: tuple[Stage, NodeRunner]) -> Client:
    """The client of the shared node."""
    stage, runner = shared
    return Client(stage, dev_wallet(CLIENT), runner.endpoint)


@pytest.fixture
def court(
    _weights: None, tmp_path: Path, loaded: tuple[Any, bytes, Speed], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Any]:
    """A market with a court; its nodes use the model that is loaded already."""
    from court_stage import COURT_TERMS, POCKET, CourtStage

    running: list[NodeRunner] = []

    def start_node(*args: Any, **options: Any) -> NodeRunner:
        runner = NodeRunner(*args, **options)
        runner.start()
        running.append(runner)
        return runner

    with DevChain() as chain:
        stage = build_stage(chain, tmp_path, COURT_TERMS)
        monkeypatch.setattr(models, "serve", lending(stage, loaded))
        stage.deposit(dev_wallet(CLIENT), POCKET)
        yield CourtStage(stage, tmp_path, start_node)
        for runner in running:
            runner.stop(0)
