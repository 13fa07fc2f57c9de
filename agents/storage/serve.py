"""Serving blocks over HTTP in trustless-gateway form: `GET /ipfs/{cid}?format=raw`, and HEAD.

https://specs.ipfs.tech/http-gateways/trustless-gateway, blocks only: no paths, no CAR, nothing deserialised.
Everything in the store is public by this.
"""

import logging
from typing import Annotated

from fastapi import APIRouter, Header, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse

from agents.protocol.cid import Cid, CidError

from .errors import CorruptBlock, NotStored, StorageError
from .peer import RAW_BLOCK
from .store import Store

log = logging.getLogger(__name__)


def router(store: Store, max_reads: int = 32) -> APIRouter:
    """Routes that read blocks of at most 2 MiB, `max_reads` at a time; others are told to come back."""
    routes = APIRouter()
    reading = 0

    @routes.api_route("/ipfs/{cid}", methods=["GET", "HEAD"], include_in_schema=False)
    async def block(
        cid: str,
        format: str | None = None,
        accept: Annotated[str, Header()] = "",
        if_none_match: Annotated[str, Header()] = "",
    ) -> Response:
        nonlocal reading
        if format != "raw" and not (format is None and RAW_BLOCK in accept):
            return _error(
                400, "format", f"only single blocks are served: ask with ?format=raw or Accept: {RAW_BLOCK}"
            )
        try:
            wanted = Cid.parse(cid)
        except CidError as error:
            return _error(400, "cid", str(error))
        headers = _headers(wanted)
        if headers["ETag"] in if_none_match:
            return Response(status_code=304, headers=headers)
        if reading >= max_reads:
            return _error(
                429, "busy", "too many blocks are being read: try again shortly", {"Retry-After": "1"}
            )
        reading += 1
        try:
            data = await run_in_threadpool(store.get_block, wanted)
        except NotStored:
            return _error(404, "not_found", f"{wanted} is not here: ask another node")
        except (CorruptBlock, StorageError, OSError) as error:
            log.error("can't serve %s: %s", wanted, error)
            return _error(503, "unreadable", f"{wanted} can't be read here: ask another node")
        finally:
            reading -= 1
        return Response(data, headers=headers)

    return routes


def _headers(cid: Cid) -> dict[str, str]:
    return {
        "Content-Type": RAW_BLOCK,
        "ETag": f'"{cid}.raw"',
        "Cache-Control": "public, max-age=29030400, immutable",
        "X-Ipfs-Path": f"/ipfs/{cid}",
        "X-Content-Type-Options": "nosniff",
        "Content-Disposition": f'attachment; filename="{cid}.bin"',
        "Vary": "Accept",
    }


def _error(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"error": {"code": code, "message": message}}, status, headers)
