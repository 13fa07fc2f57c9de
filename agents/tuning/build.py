"""Functions as source: the shipped ones, new ones from a template, and building them with AssemblyScript.

`asc` comes from npm in the one version of `functions/package-lock.json`, so that everybody's build of a
source has the same bytes, and with them the same CID.
"""

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from agents.tuning.errors import BuildFailed
from agents.tuning.module import Module
from agents.tuning.sandbox import Sandbox

SHIPPED = Path(__file__).parent / "functions"
NAMES = ("dpo", "best_of_n", "policy_gradient")
OPTIONS = (
    "--optimize",
    "--runtime",
    "stub",
    "--use",
    "abort=",
    "--exportStart",
    "_initialize",
    "--maximumMemory",
    "1024",
)
_NODE = 20
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")


def shipped(name: str) -> bytes:
    """The built module of a shipped function, one of `NAMES`."""
    return (SHIPPED / "built" / f"{name}.wasm").read_bytes()


def new(folder: Path, name: str, template: str = "dpo") -> Path:
    """Write a folder that builds to one function, from a shipped one; returns its source file.

    Raises:
        BuildFailed: the name is none, or the folder is not empty.
    """
    if not _NAME.fullmatch(name):
        raise BuildFailed(f"{name!r} is no name for a function: a-z, 0-9 and _, a letter first")
    if folder.exists() and any(folder.iterdir()):
        raise BuildFailed(f"{folder} is not empty: name a new folder")
    assembly = folder / "assembly"
    assembly.mkdir(parents=True, exist_ok=True)
    for file in ("package.json", "package-lock.json"):
        shutil.copy(SHIPPED / file, folder / file)
    shutil.copy(SHIPPED / "assembly" / "capek.ts", assembly / "capek.ts")
    source = assembly / f"{name}.ts"
    shutil.copy(SHIPPED / "assembly" / f"{template}.ts", source)
    (folder / ".gitignore").write_text("node_modules/\n")
    return source


def build(source: Path, target: Path, say: Callable[[str], None] = lambda _: None) -> Module:
    """Compile a source file, fetch the compiler into its folder if need be, check what comes out.

    Raises:
        BuildFailed: no Node.js, no network, or the source has errors; the text is the compiler's.
        BadFunction: it builds, but to no tuning function.
    """
    if not source.is_file():
        raise BuildFailed(f"there is no file {source}: `agent trainer function new` writes one")
    folder = _folder(source)
    compiler = folder / "node_modules" / "assemblyscript" / "bin" / "asc.js"
    if not compiler.exists():
        say("fetching AssemblyScript from npm")
        _run([_tool("npm"), "ci", "--ignore-scripts", "--no-audit", "--no-fund"], folder)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    try:
        # Paths relative to the folder: the compiler writes them into the module's messages.
        _run(
            [
                _tool("node"),
                str(compiler.relative_to(folder)),
                os.path.relpath(source, folder),
                *OPTIONS,
                "--outFile",
                os.path.relpath(part, folder),
            ],
            folder,
        )
        module = Module(part.read_bytes())
        Sandbox(module).check()
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    say(f"{target}: {module.size} bytes, sha2-256 {hashlib.sha256(target.read_bytes()).hexdigest()}")
    return module


def _folder(source: Path) -> Path:
    for folder in source.resolve().parents:
        if (folder / "package-lock.json").exists():
            return folder
    raise BuildFailed(
        f"no folder above {source} has a package-lock.json, which pins the compiler: begin with "
        "`agent trainer function new`"
    )


def _tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise BuildFailed(f"{name} is missing: install Node.js {_NODE} or newer, which brings node and npm")
    return found


def _run(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode != 0:
        lines = (done.stdout + done.stderr).strip().splitlines()
        said = "\n".join(line for line in lines if not line.startswith("npm warn"))
        raise BuildFailed(said[-2000:] or f"{Path(command[0]).name} ended with {done.returncode}")
