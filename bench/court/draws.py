"""Panels drawn by the court's own contracts: tests/contracts/forge/court/Draws.t.sol, with more draws."""

import json
import os
import subprocess
from dataclasses import dataclass

from agents.chain.paths import cache_home
from scripts.setup.paths import ROOT, VENV

SHARES = (10, 15, 20, 25, 30, 35, 40, 45)
"""Dishonest seats, per cent, in the order in which the test counts them."""


class DrawsError(RuntimeError):
    """forge did not draw."""


@dataclass(frozen=True, slots=True)
class Draws:
    """What came of drawing one round's panel over and over.

    Args:
        draws: how many panels. size: seats of each.
        nodes: whose each seat is. seen: how often each seat was drawn, in the same order.
        wrong: in how many draws dishonest seats were a majority, by SHARES.
    """

    draws: int
    size: int
    nodes: list[int]
    seen: list[int]
    wrong: list[int]


def draw(first: int, appeals: int) -> dict[str, Draws]:
    """The rounds "first" and "appeal", drawn so often. The same number gives the same draws.

    Raises:
        DrawsError: the test failed, or there is no forge.
    """
    command = [str(VENV / "bin" / "forge"), "test", "-vv", "--match-contract", "^DrawsTest$", "--json"]
    environment = {
        "FOUNDRY_SOLC": str(cache_home() / "solc" / "solc-v0.8.30"),
        "FOUNDRY_DISABLE_NIGHTLY_WARNING": "1",
        **os.environ,
        "FOUNDRY_GAS_LIMIT": str(10**12),
        "COURT_DRAWS": str(first),
        "COURT_APPEALS": str(appeals),
    }
    try:
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    except OSError as error:
        raise DrawsError(f"{command[0]} could not be started: run `make setup-test`") from error
    if done.returncode != 0:
        raise DrawsError(f"forge failed: {' '.join(command)}\n{done.stderr[-2000:]}")
    return _read(done.stdout)


def _read(output: str) -> dict[str, Draws]:
    # What was compiled is said first.
    (suite,) = json.loads(output[output.index("{") :]).values()
    found = {}
    for name, result in suite["test_results"].items():
        (line,) = result["decoded_logs"]
        found["first" if "first" in name else "appeal"] = Draws(**json.loads(line))
    return found
