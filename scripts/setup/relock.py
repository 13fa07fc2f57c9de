"""Resolves constraints*.txt again from pyproject.toml, for every Python from 3.11 and every platform."""

import tempfile
import tomllib
from pathlib import Path

from scripts.setup import packages, pip
from scripts.setup.paths import ROOT, VENV, cache
from scripts.setup.pins import UV

_HEADER = "# Made by `make lock` from pyproject.toml: all that is installed, with nothing left to resolve.\n"
# eth-ape 0.8.51 says numpy<2, but runs on numpy 2; numpy<2 has no wheels for Python 3.13.
_OVERRIDES = "numpy==2.4.6\n"


def run() -> None:
    """Write the three lists. The runtime's versions are those that resolve together with ape."""
    pip.run(VENV, ["install", "--only-binary", ":all:", f"uv=={UV}"], "uv could not be installed.")
    dev = ROOT / "constraints-dev.txt"
    _compile(["--extra", "dev"], dev)
    _compile(["--constraint", str(dev)], ROOT / "constraints.txt")
    with tempfile.TemporaryDirectory() as name:
        alone = Path(name) / "analysis.in"
        alone.write_text("\n".join(_analysis()) + "\n")
        _compile([], ROOT / "constraints-analysis.txt", source=alone)


def _compile(arguments: list[str], target: Path, source: Path = ROOT / "pyproject.toml") -> None:
    with tempfile.TemporaryDirectory() as name:
        overrides = Path(name) / "overrides.txt"
        overrides.write_text(_OVERRIDES)
        out = Path(name) / target.name
        command = [
            str(VENV / "bin" / "uv"),
            "pip",
            "compile",
            "--universal",
            "--python-version",
            "3.11",
            "--quiet",
        ]
        command += ["--no-header", "--no-annotate", "--override", str(overrides), "--output-file", str(out)]
        # llama-cpp-python is installed from our own wheel (wheel.py).
        command += ["--no-emit-package", "llama-cpp-python"]
        for folder in (cache() / "wheels").glob("llama_cpp_python-*"):
            command += ["--find-links", str(folder)]
        command += [*arguments, str(source)]
        pip.run_tool(command, f"{target.name} could not be resolved.", packages.uv_environment(VENV, {}))
        target.write_text(_HEADER + out.read_text())


def _analysis() -> list[str]:
    with (ROOT / "pyproject.toml").open("rb") as file:
        found: list[str] = tomllib.load(file)["project"]["optional-dependencies"]["analysis"]
    return found
