"""PyTorch for the CPU and what trains with it, into the clone's environment, by pip and its settings."""

import platform

from scripts.setup import disk, pip
from scripts.setup.errors import SetupError
from scripts.setup.paths import ROOT, VENV, machine
from scripts.setup.pins import TORCH, TORCH_CPU_INDEX
from scripts.setup.step import Note, Stamp, digest, silent

CONSTRAINTS = ROOT / "constraints-tuning.txt"
_ADVICE = (
    "Check the network and pip's settings (`pip config list`), or install it yourself: "
    f".venv/bin/pip install torch=={TORCH} --index-url {TORCH_CPU_INDEX}"
)


def _stamp() -> Stamp:
    return Stamp(VENV / ".capek" / "tuning", digest(CONSTRAINTS, TORCH))


def is_installed() -> bool:
    """Whether this list was installed whole."""
    return _stamp().current()


def install(note: Note = silent) -> None:
    """Install torch and constraints-tuning.txt. Raises `SetupError`."""
    disk.require(VENV, 1_500_000_000, "PyTorch")
    note("PyTorch, 200 MB")
    _torch(note)
    note("what goes with it")
    pip.run(
        VENV,
        ["install", "--no-deps", "-r", str(CONSTRAINTS)],
        "The packages for tuning could not be installed. Check the network and pip's settings.",
    )
    _stamp().write()


def _torch(note: Note) -> None:
    """The CPU build: where pip finds it of itself (a mirror, a folder of wheels), else at PyTorch's index."""
    wanted = f"torch=={TORCH}+cpu" if machine()[0] == "Linux" else f"torch=={TORCH}"
    command = ["install", "--no-deps", "--only-binary", ":all:", wanted]
    failure = f"PyTorch {TORCH} could not be installed for Python {platform.python_version()}. {_ADVICE}"
    try:
        pip.run(VENV, [*command, "--quiet", "--retries", "1"], failure)
    except SetupError:
        note("PyTorch from its own index, 200 MB")
        print("  not there; asking PyTorch's own index …", flush=True)
        pip.run(VENV, [*command, "--index-url", TORCH_CPU_INDEX], failure)
