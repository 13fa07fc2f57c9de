"""Writes the ABI and bytecode that the agents deploy and call to agents/chain/artifacts, from the contracts.

    python -m scripts.setup.export_artifacts           compile and write
    python -m scripts.setup.export_artifacts --check   compile, write nothing, fail naming what is stale

The contracts are always compiled all together: what the compiler emits for one may depend on its neighbours.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scripts.setup import lock, node, solc
from scripts.setup.errors import SetupError
from scripts.setup.paths import ROOT
from scripts.setup.step import Stamp, digest

CONTRACTS = (
    "BlockHashRandomness",
    "DevUSD",
    "DisputeCourt",
    "EpochRewards",
    "JobEscrow",
    "ModelRegistry",
    "ModelToken",
    "NodeRegistry",
    "TuningGovernor",
    "TuningTasks",
    "Vault",
    "VoucherCollector",
)
# Shapes of call data only: ABI without bytecode; name -> the file it is in.
INTERFACES = {
    "IDisputeCourtPayments": "IDisputeCourt",
    "IEpochRewardsPayments": "IEpochRewards",
    "IJobEscrowPayments": "IJobEscrow",
    "ITuningGovernorPayments": "ITuningGovernor",
    "ITuningTasksPayments": "ITuningTasks",
    "IVoucherCollectorPayments": "IVoucherCollector",
}
ARTIFACTS = ROOT / "agents" / "chain" / "artifacts"
BUILT = ROOT / "build" / "artifacts"


def compile_contracts() -> None:
    """Compile into `BUILT`, unless nothing has changed since. Raises `SetupError`."""
    sources = sorted((ROOT / "contracts").rglob("*.sol"))
    settings = [ROOT / "foundry.toml", ROOT / "package-lock.json"]
    names = (str(path.relative_to(ROOT)) for path in sources)
    stamp = Stamp(BUILT / ".capek", digest(*names, *sources, *settings))
    if stamp.current():
        return
    shutil.rmtree(BUILT, ignore_errors=True)
    environment = {"FOUNDRY_SOLC": str(solc.path()), **os.environ, "FOUNDRY_PROFILE": "artifacts"}
    done = subprocess.run(
        [node.foundry("forge"), "build", "--force"],
        cwd=ROOT,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    if done.returncode != 0:
        raise SetupError(f"{done.stdout}\nThe contracts do not compile (see above).")
    stamp.write()


def artifact(name: str, compiled: Mapping[str, Any]) -> str:
    """The committed file's text, from forge's output. Raises `SetupError` if it can't be deployed."""
    bytecode = compiled["bytecode"]
    if bytecode.get("linkReferences") or bytecode["object"] in ("", "0x"):
        raise SetupError(f"{name} can't be deployed as it is: it is abstract, or needs an external library.")
    metadata = compiled["metadata"]
    settings = metadata["settings"]
    value = {
        "contractName": name,
        "abi": sorted(compiled["abi"], key=_order),
        "bytecode": bytecode["object"],
        "deployedBytecode": compiled["deployedBytecode"]["object"],
        "immutables": _immutables(compiled["deployedBytecode"]),
        "compiler": {
            "name": "solc",
            "version": metadata["compiler"]["version"],
            "evmVersion": settings["evmVersion"],
            "optimizerRuns": settings["optimizer"]["runs"],
            "viaIR": settings.get("viaIR", False),
        },
    }
    return json.dumps(value, indent=1, sort_keys=True) + "\n"


def interface(name: str, compiled: Mapping[str, Any]) -> str:
    """The committed file's text for an interface."""
    value = {
        "contractName": name,
        "abi": sorted(compiled["abi"], key=_order),
        "bytecode": "0x",
        "deployedBytecode": "0x",
        "immutables": [],
    }
    return json.dumps(value, indent=1, sort_keys=True) + "\n"


def _immutables(deployed: Mapping[str, Any]) -> list[list[int]]:
    """(start, length) of the deployed bytes that the constructor fills in: a comparison must skip them."""
    references = deployed.get("immutableReferences", {}).values()
    return sorted([place["start"], place["length"]] for places in references for place in places)


def _order(entry: Mapping[str, Any]) -> tuple[str, str, str]:
    inputs = ",".join(parameter["type"] for parameter in entry.get("inputs", []))
    return entry["type"], entry.get("name", ""), inputs


def current() -> dict[Path, str]:
    """Every artifact file and the text it must hold, from what is compiled."""
    found = {}
    for name, file in {name: name for name in CONTRACTS}.items() | INTERFACES.items():
        source = BUILT / f"{file}.sol" / f"{name}.json"
        if not source.exists():
            raise SetupError(f"The contracts hold no {name}: {source} was not built.")
        text = interface if name in INTERFACES else artifact
        found[ARTIFACTS / f"{name}.json"] = text(name, json.loads(source.read_text()))
    return found


def stale(wanted: Mapping[Path, str]) -> list[Path]:
    """Files that differ, are missing, or belong to a contract that is no longer exported."""
    folders = {path.parent for path in wanted}
    extra = {path for folder in folders for path in folder.glob("*.json")} - wanted.keys()
    different = {path for path, text in wanted.items() if not path.exists() or path.read_text() != text}
    return sorted(different | extra)


def write(wanted: Mapping[Path, str]) -> list[Path]:
    """Bring the files up to date; returns those that changed."""
    changed = stale(wanted)
    for path in changed:
        if path in wanted:
            path.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_suffix(".part")
            part.write_text(wanted[path])
            part.replace(path)
        else:
            path.unlink()
    return changed


def start(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="export_artifacts", description="ABI and bytecode for the agents.")
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit 1 if a committed file is stale"
    )
    options = parser.parse_args(arguments)
    try:
        with lock.exclusive(ROOT / "build" / ".artifacts.lock", "compiling the contracts"):
            compile_contracts()
            wanted = current()
            changed = stale(wanted) if options.check else write(wanted)
    except SetupError as error:
        print(error, file=sys.stderr)
        return 1
    names = [str(path.relative_to(ROOT)) for path in changed]
    if options.check and changed:
        print(f"stale: {', '.join(names)}. Run `make contracts` and commit the result.", file=sys.stderr)
        return 1
    print(f"wrote {', '.join(names)}" if changed else f"{len(wanted)} artifacts are up to date")
    return 0


if __name__ == "__main__":
    sys.exit(start(sys.argv[1:]))
