"""How long the demo takes on this machine, once set up."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.results import Result

LIMIT = 300.0
"""Seconds it may take on two cores."""


def measure() -> list[Result]:
    """Run the demo once, as `make demo` does."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [
            sys.executable,
            "-m",
            "agents.cli",
            "demo",
            "--dir",
            f"{folder}/demo",
            "--report",
            str(report),
        ]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        seconds = json.loads(report.read_text())["seconds"]
    return [Result("demo.seconds", seconds, "s", f"limit {LIMIT:.0f} s", "one run of `agent demo`")]
