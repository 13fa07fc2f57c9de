"""The build's bookkeeping around a stand-in for pip with the same arguments: a real build takes minutes."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from scripts.setup import wheel
from scripts.setup.errors import SetupError
from scripts.setup.paths import ROOT
from scripts.setup.pins import LLAMA_CMAKE_FLAGS

FAKE_PIP = """#!/bin/sh
echo run >> "$FAKE/runs"
while [ $# -gt 0 ]; do [ "$1" = --wheel-dir ] && out=$2; shift; done
mkdir -p "$out" && echo half > "$out/llama_cpp_python-0-py3-none-any.whl"
echo "[150/300] Building CXX object ggml.o"
echo "$CMAKE_ARGS" > "$FAKE/flags"
{then}
echo whole > "$out/llama_cpp_python-0-py3-none-any.whl"
"""
HANG = 'sleep 1000 & echo $! > "$FAKE/compiler.part"; mv "$FAKE/compiler.part" "$FAKE/compiler"; wait'
BUILD = """
import signal, sys
from pathlib import Path
from scripts.setup import __main__ as setup, wheel
wheel.VENV = Path(sys.argv[1])
signal.signal(signal.SIGTERM, setup._terminated)
wheel.build()
"""


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Puts a pip that does `then` in the middle of its build into an environment, and returns that one."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("FAKE", str(tmp_path))
    monkeypatch.setattr(wheel, "VENV", tmp_path / "venv")

    def make(then: str) -> Path:
        python = tmp_path / "venv" / "bin" / "python"
        python.parent.mkdir(parents=True, exist_ok=True)
        python.write_text(FAKE_PIP.replace("{then}", then))
        python.chmod(0o755)
        return tmp_path / "venv"

    return make


def in_background(venv: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", BUILD, str(venv)], cwd=ROOT, stderr=subprocess.DEVNULL)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"


def leftovers() -> list[str]:
    """What the cache holds besides locks and logs."""
    return sorted(
        path.name for path in wheel.folder().parent.iterdir() if path.suffix not in (".lock", ".log")
    )


def test_builds_once_with_the_canonical_flags(fake: Callable[[str], Path], tmp_path: Path) -> None:
    fake("true")
    notes: list[str] = []
    assert not wheel.is_built()
    wheel.build(notes.append)
    built = wheel.path()
    assert built is not None
    assert built.read_text() == "whole\n"
    assert (tmp_path / "flags").read_text().split() == list(LLAMA_CMAKE_FLAGS)
    assert notes[-1] == "compiling, 50 %"
    wheel.build()
    assert (tmp_path / "runs").read_text() == "run\n"
    assert leftovers() == [wheel.key()]


def test_a_failed_build_leaves_nothing_and_says_why(fake: Callable[[str], Path]) -> None:
    fake("echo 'g++: fatal error: Killed signal terminated program cc1plus'; exit 1")
    with pytest.raises(SetupError, match="out of memory"):
        wheel.build()
    assert leftovers() == []
    fake("true")
    wheel.build()
    assert wheel.is_built()


def test_a_full_disk_is_named(fake: Callable[[str], Path]) -> None:
    fake("echo 'cc1plus: No space left on device'; exit 1")
    with pytest.raises(SetupError, match="disk is full"):
        wheel.build()


def test_an_interrupted_build_ends_its_compilers_and_leaves_nothing(
    fake: Callable[[str], Path], tmp_path: Path
) -> None:
    process = in_background(fake(HANG))
    wait_for((tmp_path / "compiler").exists)
    compiler = int((tmp_path / "compiler").read_text())
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) != 0
    wait_for(lambda: not alive(compiler))
    assert leftovers() == []
    assert not wheel.is_built()


def test_a_killed_build_is_repeated_from_the_start(fake: Callable[[str], Path], tmp_path: Path) -> None:
    process = in_background(fake(HANG))
    wait_for((tmp_path / "compiler").exists)
    process.kill()
    process.wait()
    os.kill(int((tmp_path / "compiler").read_text()), signal.SIGKILL)
    assert not wheel.is_built()
    assert len(leftovers()) == 1
    fake("true")
    wheel.build()
    assert leftovers() == [wheel.key()]


def test_two_clones_build_once(fake: Callable[[str], Path], tmp_path: Path) -> None:
    venv = fake('while [ ! -e "$FAKE/go" ]; do sleep 0.05; done')
    first = in_background(venv)
    wait_for((tmp_path / "runs").exists)
    second = in_background(venv)
    (tmp_path / "go").touch()
    assert first.wait(timeout=60) == 0
    assert second.wait(timeout=60) == 0
    assert (tmp_path / "runs").read_text() == "run\n"


def test_the_key_changes_with_the_flags() -> None:
    assert wheel.key() != wheel.key([*LLAMA_CMAKE_FLAGS, "-DGGML_NATIVE=ON"])


def test_the_users_own_flags_do_not_reach_the_compiler(tmp_path: Path) -> None:
    mine = {
        "CFLAGS": "-march=native",
        "CMAKE_ARGS": "-DGGML_NATIVE=ON",
        "CMAKE_BUILD_TYPE": "Debug",
        "CC": "gcc-12",
    }
    found = wheel.build_environment({**mine, "CMAKE_BUILD_PARALLEL_LEVEL": "3", "PYTHONPATH": "/x"}, tmp_path)
    assert "march" not in " ".join(found.values())
    assert "CMAKE_BUILD_TYPE" not in found
    assert "PYTHONPATH" not in found
    assert found["CMAKE_ARGS"] == " ".join(LLAMA_CMAKE_FLAGS)
    assert (found["CC"], found["CMAKE_BUILD_PARALLEL_LEVEL"]) == ("gcc-12", "3")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("  [12/300] Building CXX object x.o\n", "compiling, 4 %"),
        ("[ 45%] Building CXX object x.o\n", "compiling, 45 %"),
        ("Collecting llama-cpp-python\n", None),
    ],
)
def test_progress_of_ninja_and_make(line: str, expected: str | None) -> None:
    assert wheel.progress(line) == expected


def test_a_missing_compiler_is_named(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="apt install g\\+\\+"):
        wheel.check_compiler({"PATH": str(tmp_path)})


def test_a_processor_without_avx2_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wheel, "machine", lambda: ("Linux", "x86_64"))
    (tmp_path / "old").write_text("flags : sse4_2 avx\n")
    (tmp_path / "new").write_text("flags : sse4_2 avx avx2 fma\n")
    with pytest.raises(SetupError, match="AVX2"):
        wheel.check_instructions(tmp_path / "old")
    wheel.check_instructions(tmp_path / "new")
