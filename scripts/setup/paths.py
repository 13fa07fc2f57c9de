"""Where set-up puts things: caches are shared by all clones of a user, environments belong to one clone."""

import os
import platform
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"
ANALYSIS_VENV = ROOT / ".venv-analysis"
NODE_MODULES = ROOT / "node_modules"
TUNING_FUNCTIONS = ROOT / "agents" / "tuning" / "functions"
IPFS_DAEMON = ROOT / "tests" / "agents" / "storage" / "ipfs-daemon"


def cache() -> Path:
    """`$XDG_CACHE_HOME/capek`, by default `~/.cache/capek`; a relative XDG path does not count."""
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (base if base.is_absolute() else Path.home() / ".cache") / "capek"


def machine() -> tuple[str, str]:
    """(system, processor) with one spelling for each processor, e.g. ("Linux", "x86_64")."""
    processor = platform.machine().lower()
    return platform.system(), {"amd64": "x86_64", "aarch64": "arm64"}.get(processor, processor)
