"""The Solidity compiler: the native one where it can be downloaded, else npm's (WebAssembly) behind a script.

Both give the same bytes. It lies in our cache, in the layout that py-solc-x (ape) expects of
`SOLCX_BINARY_PATH`; forge takes it by `FOUNDRY_SOLC`. A compiler of the user's own is never touched.
"""

import json
import shlex
import shutil
import subprocess
from pathlib import Path

from scripts.setup import lock, node
from scripts.setup.download import Digest, fetch
from scripts.setup.errors import SetupError
from scripts.setup.paths import NODE_MODULES, ROOT, cache, machine
from scripts.setup.pins import SOLC, SOLC_COMMIT, SOLC_NATIVE, SOLC_NATIVE_BASE
from scripts.setup.step import Note, silent

_SHIM = Path(__file__).with_name("solc_shim.js")


def folder() -> Path:
    return cache() / "solc"


def path() -> Path:
    return folder() / f"solc-v{SOLC}"


def is_installed() -> bool:
    return runs(path())


def runs(program: Path) -> bool:
    """Whether `program` is solc at our version; a script whose Node.js has gone is not."""
    try:
        done = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError):
        return False
    return f"{SOLC}+commit.{SOLC_COMMIT}" in done.stdout


def install(note: Note = silent) -> None:
    """Bring the compiler to `path()`. Needs the Node packages. Raises `SetupError`."""
    with lock.exclusive(folder() / ".lock", "the Solidity compiler"):
        if is_installed():
            return
        try:
            native(path(), SOLC_NATIVE_BASE, note)
        except SetupError:
            note("no native compiler to be had, using npm's")
            program = node.find()
            if program is None:
                raise SetupError(
                    "The Solidity compiler needs Node.js here: install Node.js 20 or newer."
                ) from None
            shim(path(), program, NODE_MODULES, ROOT / "package-lock.json")
        if not is_installed():
            raise SetupError(f"{path()} does not run: remove {folder()}.")


def offer_to_solcx(home: Path) -> None:
    """Let ape, run by hand, find the compiler in py-solc-x's own folder, unless one is there already."""
    link = home / ".solcx" / path().name
    if not link.exists():
        link.parent.mkdir(exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(path())


def native(target: Path, base: str, note: Note = silent) -> None:
    """Download the native compiler. Raises `SetupError` quickly where its server can't be reached."""
    pinned = SOLC_NATIVE.get(machine())
    if pinned is None:
        raise SetupError("There is no pinned native Solidity compiler for this machine.")
    below, sha256 = pinned
    downloaded = target.with_name(f"{target.name}-native")
    fetch(
        f"{base}/{below}",
        downloaded,
        Digest("sha256", bytes.fromhex(sha256)),
        hint="npm's compiler will be used.",
        note=note,
        timeout=10.0,
        attempts=1,
    )
    downloaded.chmod(0o755)
    downloaded.replace(target)


def shim(target: Path, program: Path, modules: Path, lockfile: Path) -> None:
    """Write a script at `target` that speaks solc's command line and runs npm's compiler with Node.js.

    npm's package is copied beside it, so that the script outlives the clone it came from.
    """
    home = target.parent / f"npm-{SOLC}"
    part = home.with_name(f".{home.name}.part")
    for stale in (part, home):
        if stale.exists():
            shutil.rmtree(stale)
    for name in closure("solc", json.loads(lockfile.read_text())["packages"]):
        shutil.copytree(modules / name, part / "node_modules" / name)
    shutil.copy2(_SHIM, part / "shim.js")
    part.replace(home)
    script = target.with_name(f".{target.name}.part")
    script.write_text(
        "#!/bin/sh\n"
        f"# npm's Solidity compiler {SOLC} behind solc's command line; made by Capek's set-up.\n"
        f"node={shlex.quote(str(program))}\n"
        '[ -x "$node" ] || node=node\n'
        f'exec "$node" {shlex.quote(str(home / "shim.js"))} "$@"\n'
    )
    script.chmod(0o755)
    script.replace(target)


def closure(package: str, locked: dict[str, dict[str, dict[str, str]]]) -> set[str]:
    """`package` and all it depends on, by name, from a lock file's flat `packages`."""
    found: set[str] = set()
    waiting = [package]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += locked[f"node_modules/{name}"].get("dependencies", {})
    return found
