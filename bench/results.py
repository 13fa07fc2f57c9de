"""bench/results.json: one entry an id, kept sorted, so that a run of one benchmark changes one entry."""

import json
import os
import platform
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

FILE = Path(__file__).parent / "results.json"


@dataclass(frozen=True, slots=True)
class Result:
    """A measured figure. `anchor`: the peer or limit, measured in the same run, that it stands against."""

    id: str
    value: float
    unit: str
    anchor: str
    note: str


def record(results: list[Result]) -> None:
    """Put the results into the file in place of those with the same ids."""
    kept = {entry["id"]: entry for entry in _read()}
    for result in results:
        kept[result.id] = {
            **asdict(result),
            "measured": f"{datetime.now(UTC):%Y-%m-%d}",
            "machine": machine(),
        }
        print(f"{result.id:28} {result.value:>10.4g} {result.unit:10} ({result.anchor})", flush=True)
    text = json.dumps({"results": [kept[key] for key in sorted(kept)]}, indent=1, ensure_ascii=False) + "\n"
    draft = FILE.with_suffix(".tmp")
    draft.write_text(text)
    draft.replace(FILE)


def machine() -> str:
    """The processor and how many cores this process may use."""
    model = platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [
            line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line
        ]
        model = names[0] if names else model
    return f"{model}, {len(os.sched_getaffinity(0))} cores"


def _read() -> list[dict[str, object]]:
    if not FILE.exists():
        return []
    found = json.loads(FILE.read_text())["results"]
    assert isinstance(found, list)
    return found
