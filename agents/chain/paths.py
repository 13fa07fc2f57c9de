"""Where a user's state and caches lie."""

import os
from pathlib import Path


def home() -> Path:
    """Per-user state: `$CAPEK_HOME`, or `~/.capek`."""
    return Path(os.environ.get("CAPEK_HOME") or Path.home() / ".capek").expanduser()


def chain_home(chain_id: int) -> Path:
    """State that belongs to one chain; made with mode 0700 when missing."""
    folder = home() / str(chain_id)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def cache_home() -> Path:
    """What can be downloaded or built again: `$XDG_CACHE_HOME/capek`, or `~/.cache/capek`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").expanduser() / "capek"
