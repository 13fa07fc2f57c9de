"""Why a contract said no, in words."""

from collections.abc import Iterable
from typing import Any, cast

from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError
from eth_typing import ABIError
from eth_utils.abi import abi_to_signature
from eth_utils.crypto import keccak

from agents.chain.compiled import Artifact, all_artifacts
from agents.chain.errors import Reverted, RpcFault

_ERROR_STRING = keccak(text="Error(string)")[:4]
_PANIC = keccak(text="Panic(uint256)")[:4]
_PANICS = {
    0x01: "an assertion failed",
    0x11: "arithmetic overflow or underflow",
    0x12: "division by zero",
    0x21: "no such enum value",
    0x31: "pop of an empty array",
    0x32: "index out of bounds",
    0x41: "too much memory",
}
_SAYS_REVERT = ("revert", "out of gas", "invalid opcode", "stack underflow", "gas required exceeds")


class Reverts:
    """Custom errors of all known contracts: an error often comes from deeper than the contract that was
    called."""

    def __init__(self, artifacts: Iterable[Artifact] | None = None) -> None:
        self._known: dict[bytes, list[tuple[str, dict[str, Any]]]] = {}
        for artifact in all_artifacts() if artifacts is None else artifacts:
            for entry in artifact.entries("error"):
                selector = keccak(text=abi_to_signature(cast(ABIError, entry)))[:4]
                self._known.setdefault(selector, []).append((artifact.name, entry))

    def decode(self, data: bytes, called: str = "") -> Reverted:
        """What revert data means; `called` names the contract that was called, if known."""
        before = f"{called}: " if called else ""
        selector, body = data[:4], data[4:]
        try:
            if not data:
                return Reverted(f"{before}reverted without a reason")
            if selector == _ERROR_STRING:
                return Reverted(f"{before}{decode(['string'], body)[0]}")
            if selector == _PANIC:
                code = decode(["uint256"], body)[0]
                return Reverted(f"{before}panic 0x{code:02x}: {_PANICS.get(code, 'unknown')}")
            found = self._known.get(selector)
            if found:
                owner, entry = next((f for f in found if f[0] == called), found[0])
                types = [_type(i) for i in entry["inputs"]]
                values = decode(types, body)
                args = {
                    i["name"] or str(n): v
                    for n, (i, v) in enumerate(zip(entry["inputs"], values, strict=True))
                }
                shown = ", ".join(f"{k}={_show(v)}" for k, v in args.items())
                return Reverted(f"{owner}: {entry['name']}({shown})", entry["name"], args)
        except (DecodingError, ValueError):
            pass
        return Reverted(f"{before}unknown error 0x{data[:36].hex()}")

    def of(self, fault: RpcFault, called: str = "") -> Reverted | None:
        """The revert behind a JSON-RPC error of eth_call or eth_estimateGas; None when it is no revert."""
        if fault.data:
            return self.decode(fault.data, called)
        text = fault.message.lower()
        # Code 3 is geth's for a revert.
        if fault.code == 3 or any(word in text for word in _SAYS_REVERT):
            return Reverted(f"{called}: {fault.message}" if called else fault.message)
        return None


def _type(entry: dict[str, Any]) -> str:
    kind = str(entry["type"])
    if kind.startswith("tuple"):
        return f"({','.join(_type(c) for c in entry['components'])}){kind.removeprefix('tuple')}"
    return kind


def _show(value: Any) -> str:
    return "0x" + value.hex() if isinstance(value, bytes) else str(value)
