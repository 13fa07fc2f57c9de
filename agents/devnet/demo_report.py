"""What demo-report.json holds."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Report:
    """Amounts in base units, as text; times in seconds."""

    answers: list[dict[str, Any]] = field(default_factory=list)
    refused: list[dict[str, Any]] = field(default_factory=list)
    slashed: list[dict[str, Any]] = field(default_factory=list)
    disputes: list[dict[str, Any]] = field(default_factory=list)
    crash: dict[str, Any] = field(default_factory=dict)
    ledger: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(vars(self), indent=1, ensure_ascii=False) + "\n")


def answer_of(found: dict[str, Any]) -> dict[str, Any]:
    """What the report says of what `agent ask --json` printed."""
    verdict = found["verdict"]
    return {
        "text": found["text"],
        "model": found["model"],
        "version": found["version"],
        "node": found["node"],
        "price": found["price"]["payment"],
        "verdict": {key: verdict[key] for key in ("accepted", "mode", "max_margin", "mean_margin")},
    }
