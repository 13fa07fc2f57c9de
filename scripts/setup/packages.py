"""Pinned Python packages into an environment: by uv, and by pip where uv can't be had."""

import os
from collections.abc import Mapping
from pathlib import Path

from scripts.setup import disk, pip
from scripts.setup.errors import SetupError
from scripts.setup.pins import UV
from scripts.setup.step import Note, silent


def install(venv: Path, arguments: list[str], what: str, note: Note = silent) -> None:
    """`pip install --no-deps <arguments>`: the lists are complete, so nothing is left to resolve.

    Raises `SetupError`.
    """
    disk.require(venv, 600_000_000, what)
    failure = f"{what} could not be installed. Check the network and pip's settings (`pip config list`)."
    if _have_uv(venv, note):
        note("uv")
        command = [
            str(venv / "bin" / "uv"),
            "pip",
            "install",
            "--python",
            str(venv / "bin" / "python"),
            "--no-deps",
        ]
        try:
            pip.run_tool([*command, *_for_uv(arguments)], failure, uv_environment(venv, os.environ))
            return
        except SetupError:
            print("  uv could not do it (see above); trying pip …", flush=True)
    note("pip")
    pip.run(venv, ["install", "--no-deps", *arguments], failure)


def _have_uv(venv: Path, note: Note) -> bool:
    program = venv / "bin" / "uv"
    if program.exists():
        return True
    note("fetching uv")
    try:
        pip.run(venv, ["install", "--only-binary", ":all:", f"uv=={UV}"], "uv could not be installed.")
    except SetupError:
        print("  uv could not be installed; using pip, which is slower …", flush=True)
        return False
    return program.exists()


def _for_uv(arguments: list[str]) -> list[str]:
    return ["--reinstall" if argument == "--force-reinstall" else argument for argument in arguments]


def uv_environment(venv: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """uv does not read pip's settings: hand it pip's index and certificates, unless it was given its own."""
    settings = _pip_settings(venv)
    found = {}
    if index := settings.get("index-url"):
        found["UV_DEFAULT_INDEX"] = index
    if certificates := settings.get("cert"):
        found["SSL_CERT_FILE"] = certificates
    given = {"UV_DEFAULT_INDEX": ("UV_DEFAULT_INDEX", "UV_INDEX_URL"), "SSL_CERT_FILE": ("SSL_CERT_FILE",)}
    return {name: value for name, value in found.items() if not any(environment.get(n) for n in given[name])}


def _pip_settings(venv: Path) -> dict[str, str]:
    """pip's effective settings; those of `install` before the general ones, the environment's before both."""
    lines = pip.run(
        venv, ["config", "list"], "pip's settings could not be read: see `pip config debug`."
    ).splitlines()
    found: dict[str, str] = {}
    for prefix in ("global.", "install.", ":env:."):
        for line in lines:
            name, separator, value = line.partition("=")
            if separator and name.startswith(prefix):
                found[name.removeprefix(prefix)] = value.strip("'\"")
    return found
