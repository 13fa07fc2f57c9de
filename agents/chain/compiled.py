"""Compiled contracts: `artifacts/<Name>.json`, as `make contracts` wrote them.

Each is {"contractName", "abi", "bytecode", "deployedBytecode", "immutables"}; interfaces have empty bytecode.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from agents.chain.errors import ChainError

FOLDER = Path(__file__).with_name("artifacts")


class ArtifactError(ChainError):
    """A compiled contract is missing or unusable."""


@dataclass(frozen=True, slots=True, eq=False)
class Artifact:
    """`bytecode` creates the contract; `runtime` is what then lies on chain, zero where `immutables`
    (start, length) will be.
    """

    name: str
    abi: tuple[dict[str, Any], ...]
    bytecode: bytes
    runtime: bytes
    immutables: tuple[tuple[int, int], ...]

    def entries(self, kind: str) -> Iterator[dict[str, Any]]:
        """ABI entries of one type: `function`, `event`, `error`."""
        return (entry for entry in self.abi if entry.get("type") == kind)

    def matches(self, code: bytes) -> bool:
        """Whether `code`, from a chain, is this contract, whatever the values of its immutables."""
        if not code or len(code) != len(self.runtime):
            return False
        found = bytearray(code)
        for start, length in self.immutables:
            found[start : start + length] = bytes(length)
        return bytes(found) == self.runtime


@cache
def load_artifact(name: str, folder: Path = FOLDER) -> Artifact:
    """Raises ArtifactError when there is none, or it is not linked."""
    path = folder / f"{name}.json"
    try:
        found = json.loads(path.read_text())
        return Artifact(
            name=str(found["contractName"]),
            abi=tuple(found["abi"]),
            bytecode=bytes.fromhex(found["bytecode"].removeprefix("0x")),
            runtime=bytes.fromhex(found["deployedBytecode"].removeprefix("0x")),
            immutables=tuple((int(start), int(length)) for start, length in found["immutables"]),
        )
    except FileNotFoundError:
        raise ArtifactError(f"no compiled contract {name} ({path}): run `make contracts`") from None
    except (KeyError, ValueError, AttributeError) as e:
        raise ArtifactError(
            f"{path} is not a linked, compiled contract ({e}): run `make contracts`"
        ) from None


def all_artifacts(folder: Path = FOLDER) -> list[Artifact]:
    return [load_artifact(path.stem, folder) for path in sorted(folder.glob("*.json"))]
