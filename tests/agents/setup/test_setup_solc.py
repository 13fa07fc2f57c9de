import hashlib
import json
import shutil
import subprocess
from pathlib import Path

import pytest
from loopback import Answer, serve

from scripts.setup import node, solc
from scripts.setup.errors import SetupError
from scripts.setup.paths import NODE_MODULES, ROOT
from scripts.setup.pins import SOLC

NODE = node.find()
needs_node = pytest.mark.skipif(
    not (NODE and node.is_installed()), reason="the Node packages are not installed"
)


def compile_with(
    program: Path, sources: dict[str, str], *options: str
) -> dict[str, dict[str, dict[str, object]]]:
    request = {
        "language": "Solidity",
        "sources": {name: {"content": text} for name, text in sources.items()},
        "settings": {"outputSelection": {"*": {"*": ["abi", "evm.bytecode.object", "ir"]}}},
    }
    done = subprocess.run(
        [program, "--standard-json", *options],
        input=json.dumps(request),
        text=True,
        capture_output=True,
        check=True,
    )
    answer: dict[str, dict[str, dict[str, object]]] = json.loads(done.stdout)
    return answer


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("solc") / f"solc-v{SOLC}"
    assert NODE is not None
    solc.shim(target, NODE, NODE_MODULES, ROOT / "package-lock.json")
    return target


@needs_node
def test_the_script_is_solc_to_its_callers(shim: Path) -> None:
    assert solc.runs(shim)
    done = subprocess.run([shim, "--gas"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stdout == ""


@needs_node
def test_output_larger_than_a_pipe_arrives_whole(shim: Path) -> None:
    functions = "".join(
        f"function f{i}(uint a) external pure returns (uint) {{ return a + {i}; }}" for i in range(400)
    )
    answer = compile_with(shim, {"A.sol": f"pragma solidity {SOLC}; contract A {{ {functions} }}"})
    assert len(json.dumps(answer)) > 1 << 18
    assert len(answer["contracts"]["A.sol"]["A"]["abi"]) == 400  # type: ignore[index, arg-type]


@needs_node
def test_imports_are_looked_up_below_the_base_and_the_include_paths(shim: Path, tmp_path: Path) -> None:
    for folder, name in (("base", "B"), ("include", "C")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / f"{name}.sol").write_text(f"pragma solidity {SOLC}; contract {name} {{}}")
    source = f'pragma solidity {SOLC}; import "B.sol"; import "C.sol"; contract A is B, C {{}}'
    options = ["--base-path", str(tmp_path / "base"), "--include-path", str(tmp_path / "include")]
    assert set(compile_with(shim, {"A.sol": source}, *options)["contracts"]) == {"A.sol", "B.sol", "C.sol"}
    missing = compile_with(shim, {"A.sol": source}, "--base-path", str(tmp_path / "base"))
    assert "C.sol" in json.dumps(missing["errors"])


@needs_node
def test_a_script_whose_compiler_has_gone_does_not_count(shim: Path, tmp_path: Path) -> None:
    copy = tmp_path / shim.name
    copy.write_text(shim.read_text().replace(str(shim.parent), str(tmp_path / "gone")))
    copy.chmod(0o755)
    assert not solc.runs(copy)


def test_a_changed_native_compiler_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = b"#!/bin/sh\necho solc\n"
    pins = {("Linux", "x86_64"): ("a/solc", hashlib.sha256(good).hexdigest())}
    monkeypatch.setattr(solc, "SOLC_NATIVE", pins)
    monkeypatch.setattr(solc, "machine", lambda: ("Linux", "x86_64"))
    with serve({"/a/solc": [Answer(b"evil"), Answer(good)]}) as server:
        with pytest.raises(SetupError):
            solc.native(tmp_path / "solc", server.base)
        assert list(tmp_path.iterdir()) == []
        solc.native(tmp_path / "solc", server.base)
    assert [path.name for path in tmp_path.iterdir()] == ["solc"]
    assert (tmp_path / "solc").stat().st_mode & 0o100


def test_a_compiler_of_the_users_own_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    own = tmp_path / "own" / ".solcx" / f"solc-v{SOLC}"
    own.parent.mkdir(parents=True)
    own.write_text("mine")
    solc.offer_to_solcx(tmp_path / "own")
    assert own.read_text() == "mine"
    assert not own.is_symlink()

    link = tmp_path / "other" / ".solcx" / f"solc-v{SOLC}"
    link.parent.parent.mkdir()
    for _ in range(2):  # the second time over a link whose target is not there
        solc.offer_to_solcx(tmp_path / "other")
        assert link.readlink() == solc.path()


def test_all_that_a_package_needs_and_nothing_else() -> None:
    locked = {
        "node_modules/a": {"dependencies": {"b": "^1"}},
        "node_modules/b": {"dependencies": {"a": "*", "c": "1"}},
        "node_modules/c": {},
        "node_modules/d": {},
    }
    assert solc.closure("a", locked) == {"a", "b", "c"}


@needs_node
def test_forge_is_the_native_program() -> None:
    assert node.foundry("forge").read_bytes()[:4] == b"\x7fELF"
    assert shutil.which(str(node.foundry("cast")))
