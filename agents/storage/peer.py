"""One peer that serves blocks as an HTTP trustless gateway (https://specs.ipfs.tech/http-gateways/trustless-gateway)."""

import time

import httpx

from agents.protocol.cid import Cid

from .dag import MAX_BLOCK
from .errors import CorruptBlock, NotStored, PeerError

RAW_BLOCK = "application/vnd.ipld.raw"
BLOCK_SECONDS = 60.0
"""Longest a block may take: a peer that drips bytes is as good as gone."""


class HttpPeer:
    """Blocks from `<url>/ipfs/<cid>?format=raw`. The client is the caller's, who sets its timeouts."""

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
        deadline = time.monotonic() + BLOCK_SECONDS
        block = bytearray()
        try:
            address = f"{self._url}/ipfs/{cid}"
            with self._client.stream("GET", address, params={"format": "raw"}, headers=headers) as response:
                if response.status_code in (404, 410):
                    raise NotStored(f"{self.name} does not have {cid}")
                if response.status_code != 200:
                    raise PeerError(f"{self.name} answered {response.status_code} for {cid}")
                for piece in response.iter_raw(1 << 16):
                    block += piece
                    if len(block) > MAX_BLOCK:
                        raise CorruptBlock(f"{self.name} sent more than {MAX_BLOCK} bytes for {cid}")
                    if time.monotonic() > deadline:
                        raise PeerError(f"{self.name} took more than {BLOCK_SECONDS:.0f} s over {cid}")
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise PeerError(f"{self.name} did not deliver {cid}: {error or type(error).__name__}") from None
        if not cid.verifies(block):
            raise CorruptBlock(f"{self.name} sent {len(block)} bytes that are not {cid}")
        return bytes(block)
