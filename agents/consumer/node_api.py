"""Talking to a node over HTTP (docs/protocol.md section 7). A node is a stranger: every answer is bounded in
size and in time, nothing is followed elsewhere, and nothing is believed that is not signed."""

import asyncio
import json
import ssl
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

import httpx

from agents.protocol.sealing import MAX_BOX
from agents.protocol.wire import AcceptanceReply, ErrorReply, JobReply, Offer, OutputReply, WireError

MAX_OFFER = 1 << 18
MAX_OUTPUT = 2 * MAX_BOX + (1 << 14)
MAX_SMALL = 1 << 14

_T = TypeVar("_T")
_W = TypeVar("_W", Offer, AcceptanceReply, JobReply, OutputReply)


class NodeError(Exception):
    """A node did not do what was asked of it."""


class NodeGone(NodeError):
    """No usable answer over HTTP: unreachable, too slow, or no HTTP at all."""


class NodeRefused(NodeError):
    """The node answered with an error of its own; `status` is HTTP's, `code` the node's."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"{message} ({code})" if message else f"HTTP {status} {code}".strip())
        self.status = status
        self.code = code


class NodeLied(NodeError):
    """The answer has the wrong shape, size or signature, or does not fit what is on chain."""


@dataclass(frozen=True, slots=True)
class NodeApi:
    """One node's interface at its base address; `timeout` is for a whole exchange, in seconds."""

    url: str
    timeout: float = 20.0

    async def offer(self) -> Offer:
        """Raises NodeGone, NodeRefused, NodeLied. The signature is still to be checked."""
        return _read(Offer, await self._ask("GET", "/v1/offer", MAX_OFFER))

    def post_job(self, body: Mapping[str, Any]) -> AcceptanceReply:
        """Raises NodeGone, NodeRefused, NodeLied. The signature is still to be checked."""
        return _read(AcceptanceReply, _run(self._ask("POST", "/v1/jobs", MAX_SMALL, body)))

    def job(self, name: str) -> JobReply:
        """Raises NodeGone, NodeRefused, NodeLied."""
        return _read(JobReply, _run(self._ask("GET", f"/v1/jobs/{name}", MAX_SMALL)))

    def output(self, name: str) -> OutputReply:
        """Raises NodeGone, NodeRefused, NodeLied."""
        return _read(OutputReply, _run(self._ask("GET", f"/v1/jobs/{name}/output", MAX_OUTPUT)))

    @property
    def _shown(self) -> str:
        return printable(self.url, 100)

    async def _ask(self, method: str, path: str, most: int, body: Mapping[str, Any] | None = None) -> bytes:
        try:
            # httpx's own time-outs are for each read: one byte now and then would keep us for ever.
            async with asyncio.timeout(self.timeout):
                return await self._exchange(method, path, most, body)
        except TimeoutError:
            raise NodeGone(f"{self._shown} did not answer within {self.timeout:g} s") from None
        except NodeError:
            raise
        except Exception as error:
            # Anybody can register any address: whatever a library makes of it is that node's trouble alone.
            raise NodeGone(f"{self._shown} can't be reached ({type(error).__name__})") from None

    async def _exchange(self, method: str, path: str, most: int, body: Mapping[str, Any] | None) -> bytes:
        # Unpacked sizes can't be bounded while reading, so packed answers are not asked for and not taken.
        headers = {"accept-encoding": "identity", "accept": "application/json"}
        async with (
            httpx.AsyncClient(timeout=self.timeout, verify=_tls(), follow_redirects=False) as client,
            client.stream(method, self.url + path, json=body, headers=headers) as response,
        ):
            if response.headers.get("content-encoding", "identity") != "identity":
                raise NodeLied(f"{self._shown} packs its answer, which was not asked for")
            data = bytearray()
            async for chunk in response.aiter_raw():
                data += chunk
                if len(data) > most:
                    raise NodeLied(f"{self._shown} answers with more than {most} bytes")
        if not response.is_success:
            raise _refusal(response.status_code, bytes(data))
        return bytes(data)


@cache
def _tls() -> ssl.SSLContext:
    # Reading the machine's certificates takes longer than an exchange does.
    return httpx.create_ssl_context()


def _refusal(status: int, data: bytes) -> NodeRefused:
    try:
        error = ErrorReply.read(data).error
    except WireError:
        return NodeRefused(status, "no reason given", "")
    return NodeRefused(status, printable(error.code, 40), printable(error.message, 300))


def printable(text: str, most: int) -> str:
    """A stranger's text, fit for a terminal: no control characters, no more than `most` of them."""
    return "".join(c if c.isprintable() else " " for c in text[:most])


def _read(cls: type[_W], data: bytes) -> _W:
    try:
        return cls.read(data)
    except (WireError, json.JSONDecodeError, RecursionError) as error:
        raise NodeLied(f"its answer is not what the protocol says: {printable(str(error), 200)}") from None


def _run(exchange: Coroutine[Any, Any, _T]) -> _T:
    return asyncio.run(exchange)
