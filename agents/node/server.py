"""uvicorn in a thread, on a socket that is bound before anything else is promised."""

import asyncio
import logging
import socket
import threading
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from agents.node.app import App
from agents.node.errors import NodeError

log = logging.getLogger(__name__)

_BACKLOG = 128


class ListenError(NodeError):
    """The address can't be listened on."""


class HttpServer:
    """Listens from construction, serves from `start`, and lets requests under way finish at `stop`."""

    def __init__(self, host: str, port: int) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_STREAM)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.bind((host, port))
            self._socket.listen(_BACKLOG)
        except OSError as error:
            self._socket.close()
            raise ListenError(
                f"can't listen on {host} port {port} ({error.strerror}): choose another by --host and --port"
            ) from None
        self.port: int = self._socket.getsockname()[1]
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    def start(self, app: App, *, head_seconds: float, connections: int) -> None:
        """Serve `app`. A connection whose request's head takes longer than `head_seconds` is closed; above
        `connections` at once, more are told 503.
        """

        class Timed(_TimedHead):
            seconds = head_seconds

        config = uvicorn.Config(
            app,
            http=Timed,
            ws="none",
            lifespan="off",
            loop="asyncio",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=True,
            proxy_headers=False,
            limit_concurrency=connections,
            timeout_keep_alive=15,
            timeout_graceful_shutdown=5,
        )
        self._server = server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=lambda: server.run(sockets=[self._socket]), name="http", daemon=True
        )
        self._thread.start()
        waiting = threading.Event()
        while not server.started and self._thread.is_alive():
            waiting.wait(0.01)
        if not server.started:
            raise ListenError("the HTTP server did not start: see the log")

    def stop(self) -> None:
        if self._server and self._thread:
            self._server.should_exit = True
            self._thread.join(10)
        self._socket.close()


class _TimedHead(H11Protocol):
    """uvicorn waits for a request's first bytes as long as the client likes; this does not."""

    seconds = 20.0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect_head()

    def data_received(self, data: bytes) -> None:
        # After a request was answered, the first byte of the next one starts the clock; until then
        # keep-alive's runs.
        if self._head is None and (self.cycle is None or self.cycle.response_complete):
            self._expect_head()
        super().data_received(data)
        if self._head is not None and self.cycle is not None and not self.cycle.response_complete:
            self._disarm()

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        super().connection_lost(exc)

    def _expect_head(self) -> None:
        self._head = self.loop.call_later(self.seconds, self._give_up)

    def _disarm(self) -> None:
        if self._head is not None:
            self._head.cancel()
            self._head = None

    def _give_up(self) -> None:
        self._head = None
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()
