import json
from pathlib import Path
from typing import Any

import pytest

from scripts.setup import export_artifacts, node, solc
from scripts.setup.errors import SetupError

COMPILED: dict[str, Any] = {
    "abi": [
        {"type": "function", "name": "b", "inputs": []},
        {"type": "function", "name": "a", "inputs": [{"type": "uint256"}]},
        {"type": "function", "name": "a", "inputs": []},
        {"type": "error", "name": "No", "inputs": []},
    ],
    "bytecode": {"object": "0x6001", "linkReferences": {}},
    "deployedBytecode": {
        "object": "0x6002",
        "immutableReferences": {"9": [{"start": 40, "length": 32}], "7": [{"start": 4, "length": 32}]},
    },
    "metadata": {
        "compiler": {"version": "0.8.30+commit.73712a01"},
        "settings": {"evmVersion": "prague", "optimizer": {"runs": 200}, "viaIR": True},
    },
}


def test_an_artifact_is_sorted_and_holds_what_a_deployment_needs() -> None:
    text = export_artifacts.artifact("Thing", COMPILED)
    value = json.loads(text)
    assert list(value) == sorted(value)
    assert [(entry["name"], len(entry["inputs"])) for entry in value["abi"]] == [
        ("No", 0),
        ("a", 0),
        ("a", 1),
        ("b", 0),
    ]
    assert (value["contractName"], value["bytecode"], value["deployedBytecode"]) == (
        "Thing",
        "0x6001",
        "0x6002",
    )
    assert value["immutables"] == [[4, 32], [40, 32]]
    assert value["compiler"]["version"] == "0.8.30+commit.73712a01"
    shuffled = {**COMPILED, "abi": COMPILED["abi"][::-1]}
    assert export_artifacts.artifact("Thing", shuffled) == text


@pytest.mark.parametrize(
    "bytecode", [{"object": "0x"}, {"object": "0x60__$1$__", "linkReferences": {"L.sol": {}}}]
)
def test_what_cannot_be_deployed_is_refused(bytecode: dict[str, Any]) -> None:
    with pytest.raises(SetupError, match="can't be deployed"):
        export_artifacts.artifact("Thing", {**COMPILED, "bytecode": bytecode})


def test_stale_files_are_named_and_mended(tmp_path: Path) -> None:
    wanted = {tmp_path / "A.json": "a\n", tmp_path / "B.json": "b\n"}
    assert export_artifacts.write(wanted) == sorted(wanted)
    assert export_artifacts.stale(wanted) == []
    (tmp_path / "A.json").write_text("changed\n")
    (tmp_path / "B.json").unlink()
    (tmp_path / "Old.json").write_text("{}")
    names = [tmp_path / "A.json", tmp_path / "B.json", tmp_path / "Old.json"]
    assert export_artifacts.stale(wanted) == names
    assert export_artifacts.write(wanted) == names
    assert sorted(tmp_path.iterdir()) == sorted(wanted)


@pytest.mark.skipif(not (node.is_installed() and solc.is_installed()), reason="set up with `make setup-test`")
def test_the_committed_artifacts_are_those_of_the_contracts(capsys: pytest.CaptureFixture[str]) -> None:
    assert export_artifacts.start(["--check"]) == 0, capsys.readouterr().err
