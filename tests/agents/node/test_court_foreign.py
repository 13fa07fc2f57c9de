"""Models of others run in a process of their own, and nothing they do there harms the node."""

import json
import struct
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from conftest import settings_for
from court_stage import RIGHT, case_of
from market_stage import TRAINER, Stage, until, weights_file

from agents.chain.devchain import dev_wallet
from agents.engine import EngineError
from agents.engine.errors import ModelFileError
from agents.engine.gguf import check
from agents.market.court import Opened, Vote
from agents.node.court.child import Child
from agents.node.court.examiner import EngineExaminer, Finding, NoSuchModel, NotNow, Runnable, Unrunnable
from agents.node.court.foreign import Plan
from agents.node.court.library import Library
from agents.node.speed import Speed
from agents.protocol.sampling import Sampling
from agents.storage.local import LocalStore

NODE = dev_wallet(TRAINER).address
POSITIONS = (3, 27, 9, 0, 19, 21, 22, 15)
PATIENCE = 120.0
Loaded = tuple[Any, bytes, Speed]


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "store")


def library(stage: Stage, store: LocalStore, folder: Path, *command: str, **changes: Any) -> Library:
    settings = settings_for(stage, folder, **changes)
    told: dict[str, Any] = {"command": command} if command else {}
    return Library(stage.market, {}, lambda: store, settings, lambda: "http://127.0.0.1:1", **told)


def python(program: str) -> tuple[str, ...]:
    return sys.executable, "-c", program


def dispute(stage: Stage, output: Sequence[int], **changes: Any) -> Opened:
    case = case_of(stage.model_id, NODE, RIGHT, output, **changes)
    return Opened(bytes(32), NODE, case, True, True, True, 1, RIGHT, tuple(output), 1)


def examine(models: Library, opened: Opened) -> Finding:
    return EngineExaminer(models).examine(opened, POSITIONS)


def test_a_process_of_its_own_says_what_the_engine_here_says(
    stage: Stage, store: LocalStore, tmp_path: Path, loaded: Loaded
) -> None:
    engine, bit_class, _ = loaded
    output = engine.generate(RIGHT, 8, Sampling(), ()).result(60).tokens
    opened = dispute(stage, output, bit_class=bit_class)
    models = library(stage, store, tmp_path, court_fetch_mib=0)  # the weights are on this machine
    found = examine(models, opened)
    here = EngineExaminer(_Here(Runnable(stage.manifest, engine, bit_class))).examine(opened, POSITIONS)
    assert found == here
    assert found.vote is Vote.DISMISSED
    wrong = (*output[:3], output[3] ^ 1, *output[4:])
    assert examine(models, dispute(stage, wrong, bit_class=bit_class)).vote is Vote.UPHELD
    unknown = (*output[:3], 2**32 - 1, *output[4:])  # an infinite margin, and lanes without logits
    assert examine(models, dispute(stage, unknown, bit_class=bit_class)).vote is Vote.UPHELD


class _Here:
    def __init__(self, model: Runnable) -> None:
        self._model = model

    def run(self, *_: object) -> "_Here":  # type: ignore[override]
        return self

    def __enter__(self) -> Runnable:
        return self._model

    def __exit__(self, *_: object) -> None:
        pass


def test_why_there_is_no_model(stage: Stage, store: LocalStore, tmp_path: Path) -> None:
    models = library(stage, store, tmp_path, court_fetch_mib=0)
    with pytest.raises(NoSuchModel, match="no version 3"), models.run(stage.model_id, 3, 28, PATIENCE):
        pass
    nowhere = (tmp_path / "nothing",)
    models = library(stage, store, tmp_path, court_fetch_mib=0, weights=nowhere)
    with (
        pytest.raises(Unrunnable, match="CAPEK_NODE_COURT_FETCH_MIB"),
        models.run(stage.model_id, 0, 28, PATIENCE),
    ):
        pass
    models = library(stage, store, tmp_path, court_fetch_mib=1000, weights=nowhere)
    with pytest.raises(NotNow, match="no weights"), models.run(stage.model_id, 0, 28, PATIENCE):
        pass


def test_more_memory_than_allowed_is_refused_by_the_process_alone(
    stage: Stage, store: LocalStore, tmp_path: Path
) -> None:
    models = library(stage, store, tmp_path)
    models._settings = models._settings.model_copy(update={"court_memory_mib": 1})
    found = examine(models, dispute(stage, RIGHT))
    assert found.vote is Vote.UNABLE


@pytest.mark.parametrize("reads", ["", "sys.stdin.readline();"])
def test_a_model_that_kills_its_process_is_not_run_again(
    stage: Stage, store: LocalStore, tmp_path: Path, reads: str
) -> None:
    marks = tmp_path / "marks"
    program = f"import os, sys; open({str(marks)!r}, 'a').write('x'); {reads} os.abort()"
    models = library(stage, store, tmp_path, *python(program))
    found = examine(models, dispute(stage, RIGHT))
    assert found.vote is Vote.UNABLE
    assert "process ended with code -6" in found.reason
    again = examine(models, dispute(stage, RIGHT))
    assert again.vote is Vote.UNABLE
    assert marks.read_text() == "x"


def test_nonsense_from_the_process_is_no_finding(stage: Stage, store: LocalStore, tmp_path: Path) -> None:
    for said in ("oops", "{}", "[1]", '{"manifest": "x", "bit_class": "zz", "vocabulary": 1}'):
        models = library(stage, store, tmp_path, *python(f"input(); print({said!r})"))
        assert examine(models, dispute(stage, RIGHT)).vote is Vote.UNABLE


def test_what_hangs_is_given_up(stage: Stage, store: LocalStore, tmp_path: Path) -> None:
    """As where a peer drips the weights."""
    hang = python("import time; time.sleep(600)")
    models = library(stage, store, tmp_path, *hang, court_check_seconds=0.3)
    found = examine(models, dispute(stage, RIGHT))
    assert found.vote is Vote.UNABLE
    assert "within 0 s" in found.reason
    models = library(stage, store, tmp_path, *hang)
    found = EngineExaminer(models, lambda _: 0.2).examine(dispute(stage, RIGHT), POSITIONS)
    assert found.vote is Vote.UNABLE


def test_a_check_that_is_broken_off_is_no_finding(stage: Stage, store: LocalStore, tmp_path: Path) -> None:
    models = library(stage, store, tmp_path, *python("import time; time.sleep(600)"))
    told: list[BaseException] = []

    def check_it() -> None:
        try:
            examine(models, dispute(stage, RIGHT))
        except NotNow as error:
            told.append(error)

    thread = threading.Thread(target=check_it)
    thread.start()
    until(lambda: models._children)
    models.close()
    thread.join(20)
    assert "broken off" in str(told[0])


def test_the_process_knows_no_password_and_ends_with_the_node(
    store: LocalStore, stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAPEK_PASSWORD", "correct horse")
    said = tmp_path / "environment"
    program = f"import os; open({str(said)!r}, 'w').write(' '.join(os.environ)); os.abort()"
    examine(library(stage, store, tmp_path, *python(program)), dispute(stage, RIGHT))
    assert "CAPEK_PASSWORD" not in said.read_text().split()
    assert "OMP_WAIT_POLICY" in said.read_text()

    plan = Plan({}, "", (), (), 0, 1, 1, 0, 0, polite=True)
    child = Child(plan, PATIENCE)
    assert child._process.stdin is not None
    child._process.stdin.close()  # as where the node dies
    end = time.monotonic() + 30
    while child._process.poll() is None and time.monotonic() < end:
        time.sleep(0.05)
    assert child._process.poll() is not None
    child._process.stdin = None
    child.end()


def test_a_longer_text_of_an_own_model_gets_all_the_machine(
    stage: Stage, store: LocalStore, tmp_path: Path, loaded: Loaded
) -> None:
    """Its seats are fined for what they can't do; those of others are not."""
    told = tmp_path / "told"
    command = python(f"open({str(told)!r}, 'w').write(input())")
    settings = settings_for(stage, tmp_path).model_copy(update={"threads": None})
    served: Any = {(stage.model_id, 0): SimpleNamespace(manifest=stage.manifest, context=512)}
    for models, polite in ((served, False), ({}, True)):
        found = Library(stage.market, models, lambda: store, settings, lambda: "", command)
        with pytest.raises(Unrunnable), found.run(stage.model_id, 0, 600, PATIENCE):
            pass
        plan = json.loads(told.read_text())
        assert plan["threads"] is None
        assert (plan["polite"], plan["memory_mib"] > 0) == (polite, polite)


def test_logits_that_are_no_numbers_reach_the_examiner_as_such(
    stage: Stage, store: LocalStore, tmp_path: Path
) -> None:
    child = Child(
        Plan({}, "", (), (), 0, 1, 1, 0, 0, polite=True),
        PATIENCE,
        python("""input(); print('{"error": "not finite", "text": "NaN"}')"""),
    )
    try:
        with pytest.raises(EngineError) as caught:
            child.load()
        assert isinstance(caught.value.__cause__, ValueError)
    finally:
        child.end()


@pytest.mark.parametrize("layers", [0, 513])
def test_a_number_of_layers_that_ends_the_process_is_found_first(tmp_path: Path, layers: int) -> None:
    head = weights_file().read_bytes()[:4_000_000]
    key = b"llama.block_count"
    at = head.index(key) + len(key)
    (kind,) = struct.unpack_from("<I", head, at)
    assert kind == 4
    damaged = tmp_path / "damaged.gguf"
    whole = bytearray(weights_file().read_bytes())
    struct.pack_into("<I", whole, at + 4, layers)
    damaged.write_bytes(whole)
    with pytest.raises(ModelFileError, match=f"{layers} layers"):
        check(damaged)
