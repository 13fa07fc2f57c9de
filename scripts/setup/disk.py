"""Free space, checked before a big step rather than in the middle of it."""

import shutil
from pathlib import Path

from scripts.setup.errors import SetupError


def require(folder: Path, size: int, what: str) -> None:
    """Raise `SetupError` unless `folder`'s disk has `size` bytes free. The folder is made."""
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if free < size:
        raise SetupError(
            f"{what} needs {size / 1e6:.0f} MB free in {folder}, which has {free / 1e6:.0f} MB. "
            "Free some space, or set XDG_CACHE_HOME to a folder on a larger disk."
        )
