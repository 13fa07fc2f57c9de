"""The clone's Python environments."""

import shutil
import subprocess
import sys
from pathlib import Path

from scripts.setup import pip
from scripts.setup.errors import SetupError
from scripts.setup.pins import PYTHON_MIN

_PROBE = (
    "import sys, pip; "
    "print(sys.prefix == sys.argv[1] != sys.base_prefix "
    f"and sys.version_info >= {PYTHON_MIN})"
)


def works(venv: Path) -> bool:
    """Whether `venv` is a whole environment, made at this very place, with a Python we can use and pip."""
    try:
        done = subprocess.run(
            [venv / "bin" / "python", "-I", "-c", _PROBE, str(venv)],
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:
        return False
    # The scripts in bin/ name the folder: an environment that was moved or copied would run the old one's.
    return done.stdout.strip() == "True" and _made_here(venv)


def _made_here(venv: Path) -> bool:
    try:
        first = (venv / "bin" / "pip").read_text(errors="replace").splitlines()[0]
    except (OSError, IndexError):
        return False
    # A path too long for a shebang line is written as a shell script instead.
    return str(venv) in first or first == "#!/bin/sh"


def create(venv: Path) -> None:
    """Make `venv` afresh with the Python that runs this. Raises `SetupError`."""
    if venv.is_symlink() or venv.is_file():
        raise SetupError(f"{venv} is not a folder: remove it.")
    try:
        import ensurepip  # noqa: F401
    except ImportError as error:
        version = f"{sys.version_info[0]}.{sys.version_info[1]}"
        raise SetupError(
            f"Python {version} at {sys.executable} has no venv module. Install it (Debian or Ubuntu: "
            f"`sudo apt install python{version}-venv`)."
        ) from error
    if venv.exists():
        shutil.rmtree(venv)
    # Ours may run in the very environment that is to be made afresh.
    python = getattr(sys, "_base_executable", None) or sys.executable
    pip.run_tool([python, "-m", "venv", str(venv)], f"Could not make a Python environment in {venv}.")
