"""Keeps slither.db.json: findings of slither that were looked at and judged harmless, each with its reason.

    python -m scripts.setup.triage           run slither; add new findings without a reason, drop those gone
    python -m scripts.setup.triage --check   only check that every finding has a reason

slither's own triage mode would write this machine's paths, and forget all when a line moves.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from scripts.setup.errors import SetupError
from scripts.setup.paths import ANALYSIS_VENV, ROOT

DATABASE = ROOT / "slither.db.json"
CONFIG = ROOT / "slither.config.json"
_LINES = re.compile(r"#\d+(-\d+)?")

Finding = dict[str, Any]


def merge(old: list[Finding], found: list[Finding]) -> list[Finding]:
    """`found`, with the reasons of `old` for the same findings, wherever their lines are now."""
    reasons = {_same(entry): entry.get("why", "") for entry in old}
    entries = [
        {
            "id": finding["id"],
            "check": finding["check"],
            "impact": finding["impact"],
            "description": finding["description"],
        }
        for finding in found
    ]
    for entry in entries:
        entry["why"] = reasons.get(_same(entry), "")
    return sorted(entries, key=lambda entry: (entry["check"], entry["description"], entry["id"]))


def _same(entry: Finding) -> tuple[str, str]:
    return entry["check"], _LINES.sub("", entry["description"])


def unexplained(entries: list[Finding]) -> list[str]:
    """The first line of every finding without a reason."""
    return [f"{e['check']}: {e['description'].splitlines()[0]}" for e in entries if not e.get("why")]


def slither() -> list[Finding]:
    """Every finding, triaged or not. Raises `SetupError`."""
    with tempfile.TemporaryDirectory() as name:
        settings = {**json.loads(CONFIG.read_text()), "triage_database": str(Path(name) / "none.json")}
        config = Path(name) / "config.json"
        config.write_text(json.dumps(settings))
        out = Path(name) / "out.json"
        done = subprocess.run(
            [ANALYSIS_VENV / "bin" / "slither", ".", "--config-file", config, "--json", out],
            cwd=ROOT,
            env={**os.environ, "FOUNDRY_PROFILE": "slither"},
            capture_output=True,
            text=True,
            check=False,
        )
        answer: dict[str, Any] = json.loads(out.read_text()) if out.exists() else {"success": False}
    if not answer["success"]:
        raise SetupError(f"{done.stderr}\nslither failed (see above). Is it there? `make lint` installs it.")
    found: list[Finding] = answer["results"].get("detectors", [])
    return found


def start(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="triage", description="slither.db.json, with reasons.")
    parser.add_argument("--check", action="store_true", help="only check that every finding has a reason")
    options = parser.parse_args(arguments)
    entries: list[Finding] = json.loads(DATABASE.read_text()) if DATABASE.exists() else []
    if not options.check:
        try:
            entries = merge(entries, slither())
        except SetupError as error:
            print(error, file=sys.stderr)
            return 1
        DATABASE.write_text(json.dumps(entries, indent=1) + "\n")
    missing = unexplained(entries)
    if missing:
        print("Mend these, or say in slither.db.json why they are harmless:", file=sys.stderr)
        print("\n".join(f"  {line}" for line in missing), file=sys.stderr)
        return 1
    print(f"{len(entries)} findings of slither, each with a reason")
    return 0


if __name__ == "__main__":
    sys.exit(start(sys.argv[1:]))
