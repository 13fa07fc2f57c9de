import json
import re
import tomllib
from pathlib import Path

import pytest

from agents.tuning.runtime import WASMTIME
from scripts.setup import pip, tuning
from scripts.setup.errors import SetupError
from scripts.setup.paths import ROOT, TUNING_FUNCTIONS
from scripts.setup.pins import TORCH


def pins(name: str) -> dict[str, str]:
    lines = (line.split(";")[0].strip() for line in (ROOT / name).read_text().splitlines())
    return dict(line.split("==") for line in lines if "==" in line and not line.startswith("#"))


def test_what_the_extra_asks_for_is_pinned_at_the_same_versions() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        extra = tomllib.load(file)["project"]["optional-dependencies"]["tuning"]
    asked = dict(text.split("==") for text in extra)
    assert asked.pop("torch") == TORCH
    assert asked["wasmtime"] == WASMTIME
    assert asked.items() <= pins("constraints-tuning.txt").items()


def test_no_package_is_pinned_at_two_versions() -> None:
    here = pins("constraints-tuning.txt")
    for name in ("constraints.txt", "constraints-dev.txt"):
        there = pins(name)
        assert {n: v for n, v in here.items() if n in there} == {n: v for n, v in there.items() if n in here}


def test_the_compilers_lock_pins_bytes_and_names_no_server() -> None:
    for name, entry in json.loads((TUNING_FUNCTIONS / "package-lock.json").read_text())["packages"].items():
        assert "resolved" not in entry, name
        assert not name or entry["integrity"].startswith("sha512-"), name


def test_torch_is_asked_for_where_pip_looks_and_then_at_its_own_index(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked = []

    def run(venv: Path, arguments: list[str], failure: str) -> str:
        asked.append(arguments)
        if any(re.match("torch==", a) for a in arguments) and "--index-url" not in arguments:
            raise SetupError(failure)
        return ""

    monkeypatch.setattr(pip, "run", run)
    monkeypatch.setattr(tuning, "VENV", tmp_path)
    assert not tuning.is_installed()
    tuning.install()
    assert [("--index-url" in a, "-r" in a) for a in asked] == [(False, False), (True, False), (False, True)]
    assert tuning.is_installed()


def test_without_torch_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def run(venv: Path, arguments: list[str], failure: str) -> str:
        raise SetupError(failure)

    monkeypatch.setattr(pip, "run", run)
    monkeypatch.setattr(tuning, "VENV", tmp_path)
    with pytest.raises(SetupError, match=r"pip install torch=="):
        tuning.install()
    assert not tuning.is_installed()
