"""Sets this clone up. `make` calls it; it runs on the standard library alone, before any package is there.

python -m scripts.setup runtime    what `agent demo` and a node need
python -m scripts.setup tuning     PyTorch for the CPU, wasmtime: what tuning needs on top
python -m scripts.setup contracts  forge, OpenZeppelin and the Solidity compiler
python -m scripts.setup tests      all that `make test` needs: both of these, pytest, ape
python -m scripts.setup analysis   slither and halmos, in an environment of their own
python -m scripts.setup lock       resolve constraints*.txt again from pyproject.toml
python -m scripts.setup env        the variables that ape and forge want, for `eval "$(make -s env)"`
"""

import errno
import shlex
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from scripts.setup import anvil, lock, node, packages, relock, solc, step, tuning, venv, weights, wheel
from scripts.setup.errors import SetupError
from scripts.setup.paths import ANALYSIS_VENV, IPFS_DAEMON, ROOT, TUNING_FUNCTIONS, VENV
from scripts.setup.pins import FOUNDRY, LLAMA_CPP_PYTHON, PYTHON_MIN, SOLC, TORCH


def _environment(folder: Path) -> None:
    step.run(
        f"Python {sys.version.split()[0]} environment",
        lambda: venv.works(folder),
        lambda note: venv.create(folder),
    )


def _pinned(folder: Path, constraints: str, what: str) -> None:
    pins = ROOT / constraints
    stamp = step.Stamp(folder / ".capek" / constraints, step.digest(pins))
    count = sum(1 for line in pins.read_text().splitlines() if "==" in line)

    def work(note: step.Note) -> None:
        packages.install(folder, ["-r", str(pins)], what, note)
        stamp.write()

    step.run(f"{what} ({count})", stamp.current, work)


def _engine() -> None:
    step.run(f"llama.cpp (llama-cpp-python {LLAMA_CPP_PYTHON})", wheel.is_built, wheel.build)
    stamp = step.Stamp(VENV / ".capek" / "llama", wheel.key())

    def work(note: step.Note) -> None:
        built = wheel.path()
        assert built is not None
        packages.install(VENV, ["--force-reinstall", str(built)], "llama-cpp-python", note)
        stamp.write()

    step.run("llama-cpp-python in the environment", stamp.current, work)


def _project() -> None:
    stamp = step.Stamp(VENV / ".capek" / "project", step.digest(ROOT / "pyproject.toml", str(ROOT)))

    def work(note: step.Note) -> None:
        packages.install(VENV, ["--editable", str(ROOT)], "Capek", note)
        stamp.write()

    step.run("the command `agent`", stamp.current, work)


def _link(name: str, program: Path) -> None:
    """`.venv/bin/<name>`: on PATH for whoever activates the environment, and where ape looks for anvil."""
    link = VENV / "bin" / name
    if link.is_symlink() and link.readlink() == program:
        return
    link.unlink(missing_ok=True)
    link.symlink_to(program)


def runtime() -> None:
    _environment(VENV)
    _pinned(VENV, "constraints.txt", "Python packages")
    _engine()
    _project()
    step.run(f"anvil {FOUNDRY}", anvil.is_installed, anvil.install)
    _link("anvil", anvil.path())
    step.run("SmolLM2-135M weights", weights.is_installed, weights.install)


def train() -> None:
    runtime()
    _training()


def _training() -> None:
    step.run(f"PyTorch {TORCH} and tuning", tuning.is_installed, tuning.install)


def contracts() -> None:
    _environment(VENV)
    _compilers()


def _compilers() -> None:
    step.run("Node packages", node.is_installed, node.install)
    for tool in ("forge", "cast"):
        _link(tool, node.foundry(tool))
    step.run(f"Solidity compiler {SOLC}", solc.is_installed, solc.install)
    solc.offer_to_solcx(Path.home())


def tests() -> None:
    runtime()
    _pinned(VENV, "constraints-dev.txt", "Python packages for tests")
    _training()
    _compilers()
    step.run(
        "AssemblyScript",
        lambda: node.is_installed(TUNING_FUNCTIONS),
        lambda note: node.install(note, TUNING_FUNCTIONS),
    )
    step.run(
        "an IPFS daemon for tests",
        lambda: node.is_installed(IPFS_DAEMON),
        lambda note: node.install(note, IPFS_DAEMON, "--omit=optional"),
    )


def analysis() -> None:
    tests()
    _environment(ANALYSIS_VENV)
    _pinned(ANALYSIS_VENV, "constraints-analysis.txt", "slither and halmos")


def environment() -> None:
    for name, value in (("SOLCX_BINARY_PATH", solc.folder()), ("FOUNDRY_SOLC", solc.path())):
        print(f"export {name}={shlex.quote(str(value))}")
    print(f"export PATH={shlex.quote(str(VENV / 'bin'))}:$PATH")


def relocked() -> None:
    _environment(VENV)
    relock.run()


COMMANDS: dict[str, Callable[[], None]] = {
    "runtime": runtime,
    "tuning": train,
    "contracts": contracts,
    "tests": tests,
    "analysis": analysis,
    "lock": relocked,
    "env": environment,
}


def _terminated(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def start(arguments: list[str]) -> int:
    if sys.version_info < PYTHON_MIN:
        print("Capek needs Python 3.11 or newer.", file=sys.stderr)
        return 1
    if len(arguments) != 1 or arguments[0] not in COMMANDS:
        print(__doc__, file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, _terminated)
    try:
        if arguments[0] == "env":
            environment()
            return 0
        with lock.exclusive(ROOT / "build" / ".setup.lock", "in this folder"):
            COMMANDS[arguments[0]]()
    except SetupError as error:
        print(f"\nset-up stopped: {error}\nThen run the same command again.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nset-up was interrupted; run the same command again to go on.", file=sys.stderr)
        return 130
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        print("\nset-up stopped: the disk is full. Free some space and run it again.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(start(sys.argv[1:]))
