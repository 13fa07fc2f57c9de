"""One peer that serves blocks as an HTTP trustless gateway (https://specs.ipfs.tech/http-gateways/trustless-gateway)."""

import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import Any

import httpx

from agents.protocol.cid import Cid

from .dag import MAX_BLOCK
from .errors import CorruptBlock, NotStored, PeerError

RAW_BLOCK = "application/vnd.ipld.raw"
BLOCK_SECONDS = 60.0
"""Longest a block may take: a peer that drips bytes is as good as gone."""


class HttpPeer:
    """Blocks from `<url>/ipfs/<cid>?format=raw`. The client is the caller's, who sets its timeouts; it must
    keep no connection alive, for each block's is cut when its time is over.
    """

    def __init__(self, url: str, client: httpx.Client) -> None:
        self._url = url.rstrip("/")
        self._client = client
        if not self._url.startswith(("http://", "https://")):
            raise PeerError(f"{url!r} is no http(s) address of a peer")

    @property
    def name(self) -> str:
        """The peer's address."""
        return self._url

    def get_block(self, cid: Cid) -> bytes:
        """A block's bytes, as the peer sent them: at most 2 MiB, and verified.

        Raises:
            NotStored: the peer says that it does not have the block.
            CorruptBlock: it sent something else, or more than a block may have.
            PeerError: no connection, another status, or no whole block in time.
        """
        headers = {"Accept": RAW_BLOCK, "Accept-Encoding": "identity"}
        block = bytearray()
        cutter = _Cutter(BLOCK_SECONDS)
        try:
            address = f"{self._url}/ipfs/{cid}"
            watched = {"trace": cutter.trace}
            with (
                cutter,
                self._client.stream(
                    "GET", address, params={"format": "raw"}, headers=headers, extensions=watched
                ) as response,
            ):
                if response.status_code in (404, 410):
                    raise NotStored(f"{self.name} does not have {cid}")
                if response.status_code != 200:
                    raise PeerError(f"{self.name} answered {response.status_code} for {cid}")
                for piece in response.iter_raw(1 << 16):
                    block += piece
                    if len(block) > MAX_BLOCK:
                        raise CorruptBlock(f"{self.name} sent more than {MAX_BLOCK} bytes for {cid}")
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
            if cutter.fired:
                raise self._too_slow(cid) from None
            raise PeerError(f"{self.name} did not deliver {cid}: {error or type(error).__name__}") from None
        if cutter.fired:
            # A body without a length ends where the connection does.
            raise self._too_slow(cid)
        if not cid.verifies(block):
            raise CorruptBlock(f"{self.name} sent {len(block)} bytes that are not {cid}")
        return bytes(block)

    def _too_slow(self, cid: Cid) -> PeerError:
        return PeerError(f"{self.name} took more than {BLOCK_SECONDS:.0f} s over {cid}")


class _Cutter:
    """Ends a connection after some seconds, whatever the peer drips: httpx's own timeouts start anew with
    every byte.
    """

    def __init__(self, seconds: float) -> None:
        self.fired = False
        self._stream: Any = None
        self._timer = threading.Timer(seconds, self._fire)
        self._timer.daemon = True

    def trace(self, event: str, info: dict[str, Any]) -> None:
        """httpcore's trace hook."""
        if event.endswith(("connect_tcp.complete", "start_tls.complete")):
            self._stream = info["return_value"]

    def __enter__(self) -> "_Cutter":
        self._timer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()

    def _fire(self) -> None:
        self.fired = True
        if self._stream is not None:
            with suppress(OSError):
                self._stream.get_extra_info("socket").shutdown(socket.SHUT_RDWR)
