"""How long the demo takes on this machine, once set up, and its disputes."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agents.devnet.terms import DEMO
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
        return results(json.loads(report.read_text()))


def results(found: Mapping[str, Any]) -> list[Result]:
    """The figures in a demo's report."""
    assert DEMO.court is not None
    spans = {entry["kind"]: entry["seconds"] for entry in found["disputes"]}
    return [
        Result("demo.seconds", found["seconds"], "s", f"limit {LIMIT:.0f} s", "one run of `agent demo`"),
        Result(
            "dispute.seconds",
            spans["cheat"],
            "s",
            f"of it {DEMO.court.appeal_window} s in which anybody may appeal",
            "from the challenge to the ruling, three judges' processes on one machine; with an appeal of "
            f"five {spans['appeal']} s",
        ),
    ]
