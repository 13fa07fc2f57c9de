"""How long a first set-up takes: a clone in an empty folder, a user without caches."""

import os
import subprocess
import tempfile
import time
from pathlib import Path

from bench.results import Result

ROOT = Path(__file__).parents[1]


def measure() -> list[Result]:
    """Clone, and run `make setup` with an empty home; downloads and the llama.cpp build included."""
    with tempfile.TemporaryDirectory() as folder:
        clone, home = Path(folder) / "capek", Path(folder) / "home"
        home.mkdir()
        subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("XDG_", "CAPEK_", "VIRTUAL_ENV"))}
        began = time.monotonic()
        subprocess.run(["make", "setup"], cwd=clone, env={**kept, "HOME": str(home)}, check=True)
        seconds = time.monotonic() - began
    return [
        Result(
            "setup.cold_seconds",
            round(seconds, 1),
            "s",
            "none",
            "make setup, empty caches, downloads included",
        )
    ]
