"""Real HTTP servers of blocks, honest and otherwise, for the tests of this folder."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import uvicorn
from fastapi import FastAPI

from agents.storage.serve import router
from agents.storage.store import Store

Behaviour = Callable[[BaseHTTPRequestHandler], None]


@contextmanager
def honest(store: Store, seen: list[str] | None = None, max_reads: int = 32) -> Iterator[str]:
    """uvicorn with the real routes; `seen` receives the path of every request. Yields its base address."""
    app = FastAPI()
    app.include_router(router(store, max_reads))

    @app.middleware("http")
    async def record(request, call_next):  # type: ignore[no-untyped-def]
        if seen is not None:
            seen.append(request.url.path)
        return await call_next(request)

    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error"))
    started = threading.Event()
    startup = server.startup

    async def startup_and_tell(*args: object, **kwargs: object) -> None:
        await startup(*args, **kwargs)  # type: ignore[arg-type]
        started.set()

    server.startup = startup_and_tell  # type: ignore[method-assign]
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        assert started.wait(20)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


@contextmanager
def hostile(behaviour: Behaviour) -> Iterator[str]:
    """A server whose every GET does as told. Yields its base address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            behaviour(self)

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def answer(handler: BaseHTTPRequestHandler, status: int, data: bytes = b"") -> None:
    """A whole HTTP answer."""
    handler.send_response(status)
    handler.send_header("Content-Length", str(len(data)))
    handler.end_headers()
    handler.wfile.write(data)
