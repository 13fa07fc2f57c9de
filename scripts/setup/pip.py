"""Calls of pip in one of our environments, with its noise kept until it is needed."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from scripts.setup.errors import SetupError

_HEAD, _TAIL = 15, 20  # lines of a failed command that are shown


def run(venv: Path, arguments: list[str], failure: str, environment: Mapping[str, str] | None = None) -> str:
    """`pip <arguments>` in `venv`; returns its output. Raises `SetupError(failure)`, the output shown."""
    return run_tool([str(venv / "bin" / "python"), "-m", "pip", *arguments], failure, environment)


def run_tool(command: list[str], failure: str, environment: Mapping[str, str] | None = None) -> str:
    """Run a command quietly, as `run` does."""
    env = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1", **(environment or {})}
    env.pop("PYTHONPATH", None)
    done = subprocess.run(
        command, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    if done.returncode != 0:
        sys.stderr.write("\n" + shorten(done.stdout) + "\n")
        raise SetupError(explain(done.stdout, failure))
    return done.stdout


def explain(output: str, failure: str) -> str:
    """Name a cause that the output shows and that everybody meets once."""
    if "No space left on device" in output:
        return f"The disk is full. Free some space. ({failure})"
    return failure


def shorten(output: str) -> str:
    """The beginning and the end of a long output: pip tells the cause at its end, npm at its beginning."""
    lines = output.strip().splitlines()
    if len(lines) > _HEAD + _TAIL:
        lines[_HEAD:-_TAIL] = ["  …"]
    return "\n".join(lines)
