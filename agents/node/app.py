"""The node's HTTP interface (docs/protocol.md section 7): these routes alone, and the store's blocks."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from agents.chain.errors import ChainError
from agents.chain.journal import JournalError
from agents.node.admission import Admission
from agents.node.errors import Refusal
from agents.node.handout import Handout
from agents.node.health import Health
from agents.node.jobs import JobBook, JobRecord
from agents.node.metrics import CONTENT_TYPE, Metrics
from agents.node.offers import Offers
from agents.protocol.sealing import MAX_BOX
from agents.protocol.wire import ErrorBody, ErrorReply, JobReply

log = logging.getLogger(__name__)

MAX_BODY = 2 * MAX_BOX + 8192
"""Bytes of the largest request: the largest sealed prompt in hex, and a job."""

_HASH_LENGTH = 66

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]


def create(
    admission: Admission,
    offers: Offers,
    book: JobBook,
    handout: Handout,
    health: Health,
    metrics: Metrics,
    blocks: APIRouter,
    written: Callable[[bytes], int | None],
    body_seconds: float,
) -> App:
    """The ASGI application."""
    app = FastAPI(title="Capek node", docs_url=None, redoc_url=None, openapi_url=None)

    @app.exception_handler(Refusal)
    async def _refused(_: Request, error: Refusal) -> Response:
        metrics.refused.labels(error.code).inc()
        headers = {} if error.retry_after is None else {"Retry-After": str(error.retry_after)}
        return _error(error.status, error.code, error.message, headers)

    @app.exception_handler(ChainError)
    async def _no_chain(_: Request, error: ChainError) -> Response:
        # Its text may name the RPC, which is nobody's business.
        log.warning("the chain can't be asked: %s", error)
        return _error(
            503, "chain", "this node can't reach its chain just now: try again soon", {"Retry-After": "10"}
        )

    @app.exception_handler(JournalError)
    async def _no_journal(_: Request, error: JournalError) -> Response:
        log.error("%s", error)
        return _error(
            503, "journal", "this node can't keep its books just now: try again, or ask another node"
        )

    @app.exception_handler(HTTPException)
    async def _http(_: Request, error: HTTPException) -> Response:
        codes = {404: "not_found", 405: "method"}
        headers = dict(error.headers) if error.headers else {}
        return _error(error.status_code, codes.get(error.status_code, "http"), str(error.detail), headers)

    @app.exception_handler(Exception)
    async def _bug(_: Request, error: Exception) -> Response:
        return _error(500, "internal", "this node made a mistake: try again, or ask another node")

    @app.get("/v1/offer")
    async def offer() -> Response:
        found = await run_in_threadpool(offers.current)
        return JSONResponse(found.write())

    @app.post("/v1/jobs")
    async def accept(request: Request) -> Response:
        body = await _body(request, body_seconds)
        found = await run_in_threadpool(admission.admit, body)
        return JSONResponse(found.write())

    @app.get("/v1/jobs/{job_hash}")
    async def job(job_hash: str) -> Response:
        record = await run_in_threadpool(_find, book, job_hash)
        tokens = written(record.hash)
        reply = JobReply.model_validate(
            {
                "jobHash": record.name,
                "status": record.state.value,
                "outputTokens": record.output_tokens if tokens is None else tokens,
            }
        )
        return JSONResponse(reply.write())

    @app.get("/v1/jobs/{job_hash}/output")
    async def output(job_hash: str) -> Response:
        record = await run_in_threadpool(_find, book, job_hash)
        found = await run_in_threadpool(handout.output, record)
        return JSONResponse(found.write())

    @app.get("/health")
    async def healthy() -> Response:
        found = await run_in_threadpool(health.report)
        return JSONResponse(found, 200 if found["status"] == "ok" else 503)

    @app.get("/metrics")
    async def figures() -> Response:
        return Response(metrics.text(), media_type=CONTENT_TYPE)

    app.include_router(blocks)
    return _BodyLimit(app, MAX_BODY)


class _BodyLimit:
    """Refuses a body above the limit: by its declared length at once, else at the first byte too many. The
    connection is closed then, so that the rest is never read.
    """

    def __init__(self, app: App, limit: int) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        if declared.isdigit() and int(declared) > self._limit:
            await _too_large(self._limit)(scope, receive, send)
            return
        read, started = 0, False

        async def counted() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > self._limit:
                raise _TooLarge
            return message

        async def noted(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, counted, noted)
        except _TooLarge:
            if not started:
                await _too_large(self._limit)(scope, receive, send)


class _TooLarge(BaseException):
    """Not an Exception: nothing in between may take it for an error of the application."""


async def _body(request: Request, seconds: float) -> bytes:
    body = bytearray()
    try:
        async with asyncio.timeout(seconds):
            async for piece in request.stream():
                body += piece
    except ClientDisconnect:
        raise Refusal(400, "gone", "the connection ended before the request was whole") from None
    except TimeoutError:
        raise Refusal(
            408, "slow", f"the request did not arrive within {seconds:g} s: send it again"
        ) from None
    return bytes(body)


def _find(book: JobBook, job_hash: str) -> JobRecord:
    try:
        key = (
            bytes.fromhex(job_hash[2:])
            if len(job_hash) == _HASH_LENGTH and job_hash.startswith("0x")
            else b""
        )
    except ValueError:
        key = b""
    if len(key) != 32:
        raise Refusal(400, "malformed", "a job is named by its hash: 0x and 64 hex digits")
    record = book.find(key)
    if record is None:
        raise Refusal(
            404, "unknown_job", "this node knows no such job: it was not accepted here, or expired unopened"
        )
    return record


def _error(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> Response:
    if status in (408, 413):
        headers = {**(headers or {}), "Connection": "close"}
    return JSONResponse(ErrorReply(error=ErrorBody(code=code, message=message)).write(), status, headers)


def _too_large(limit: int) -> Response:
    return _error(413, "too_large", f"a request has at most {limit} bytes: no prompt needs more")
