"""`make test`: runs every suite, one after the other, and ends with plain totals.

Exits 1 if any suite failed: by its exit status, or by having run nothing.
"""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass

from scripts.setup.paths import ROOT, VENV

_FORGE = re.compile(r"(\d+) tests? passed, (\d+) failed, (\d+) skipped \(\d+ total")
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True, slots=True)
class Totals:
    """Tests by outcome."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0


@dataclass(frozen=True, slots=True)
class Stage:
    name: str
    command: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Result:
    name: str
    totals: Totals
    status: int
    seconds: float

    @property
    def ok(self) -> bool:
        return self.status == 0 and self.totals.failed == 0 and self.totals.passed > 0


_MOST_WORKERS = 4
"""Each has chains, nodes and models of its own."""

_WORKERS = str(max(1, min(_MOST_WORKERS, len(os.sched_getaffinity(0)))))
# In their own order: tests that fork come before those that leave threads running.
_BY_FILE = ("-n", _WORKERS, "--dist", "loadfile", "--no-loadscope-reorder")

STAGES = (
    Stage("forge", (str(VENV / "bin" / "forge"), "test")),
    Stage("agents", (str(VENV / "bin" / "python"), "-m", "pytest", *_BY_FILE, "tests/agents")),
    Stage("ape", (str(VENV / "bin" / "ape"), "test", "tests/contracts/ape")),
)


def read_totals(lines: Iterable[str]) -> Totals:
    """The last summary line that forge or pytest printed; zeros if there is none."""
    found = Totals()
    for raw in lines:
        line = _COLOURS.sub("", raw).strip()
        if match := _FORGE.search(line):
            found = Totals(*(int(number) for number in match.groups()))
        elif line.startswith("=") and line.endswith("=") and re.search(r" in [\d.]+s", line):
            counts = {word: int(number) for number, word in re.findall(r"(\d+) (\w+)", line)}
            found = Totals(
                passed=counts.get("passed", 0) + counts.get("xfailed", 0),
                failed=counts.get("failed", 0)
                + counts.get("error", 0)
                + counts.get("errors", 0)
                + counts.get("xpassed", 0),
                skipped=counts.get("skipped", 0),
            )
    return found


def run(stage: Stage) -> Result:
    """Run one suite, passing its output through."""
    print(f"\n── {stage.name}: {' '.join(stage.command)}", flush=True)
    start = time.monotonic()
    lines: list[str] = []
    try:
        process = subprocess.Popen(
            stage.command,
            cwd=ROOT,
            text=True,
            errors="replace",
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
    except OSError as error:
        print(f"{stage.name} could not be started: {error}. Run `make setup-test`.", flush=True)
        return Result(stage.name, Totals(), 127, 0.0)
    with process:
        assert process.stdout is not None
        for line in process.stdout:
            sys.stdout.write(line)
            sys.stdout.flush()
            lines.append(line)
    return Result(stage.name, read_totals(lines), process.returncode, time.monotonic() - start)


def table(results: list[Result]) -> str:
    """The last lines of `make test`."""
    rows = [f"{'suite':<8}{'passed':>8}{'failed':>8}{'skipped':>9}{'seconds':>9}"]
    for result in results:
        counts = result.totals
        row = f"{result.name:<8}{counts.passed:>8}{counts.failed:>8}{counts.skipped:>9}{result.seconds:>9.0f}"
        if not result.ok:
            row += "  FAILED" if result.totals.passed or result.totals.failed else "  FAILED: ran no tests"
            row += f" (exit status {result.status})"
        rows.append(row)
    passed = sum(result.totals.passed for result in results)
    failed = sum(result.totals.failed for result in results)
    skipped = sum(result.totals.skipped for result in results)
    seconds = sum(result.seconds for result in results)
    rows.append(f"{'total':<8}{passed:>8}{failed:>8}{skipped:>9}{seconds:>9.0f}")
    broken = [result.name for result in results if not result.ok]
    rows.append(f"FAILED: {', '.join(broken)}" if broken else "all passed")
    return "\n".join(rows)


def run_all() -> int:
    results = [run(stage) for stage in STAGES]
    print("\n" + table(results), flush=True)
    return 0 if all(result.ok for result in results) else 1


if __name__ == "__main__":
    sys.exit(run_all())
