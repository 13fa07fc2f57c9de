"""uvicorn in a thread, on a socket that is bound before anything else is promised."""

import asyncio
import ipaddress
import logging
import socket
import threading
from dataclasses import dataclass
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

    def start(self, app: App, *, seconds: float, connections: int, per_ip: int = 0) -> None:
        """Serve `app`. A connection whose request's head takes longer than `seconds` to come, or whose answer
        is not taken away in as long, is closed; above `connections` at once, more are told 503. Above
        `per_ip` (if not 0) from one address that is not loopback, more are closed.
        """
        limits = _Limits(seconds, connections, per_ip)

        class Limited(_LimitedHttp):
            def __init__(self, *args: Any, **kwargs: Any) -> None:
                super().__init__(limits, *args, **kwargs)

        config = uvicorn.Config(
            app,
            http=Limited,
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


@dataclass(frozen=True, slots=True)
class _Limits:
    seconds: float
    connections: int
    per_ip: int


class _LimitedHttp(H11Protocol):
    """uvicorn waits for a request's first bytes as long as the client likes, and as long for the client to
    read the answer; this does not.
    """

    def __init__(self, limits: _Limits, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._limits = limits
        self._head: asyncio.TimerHandle | None = None
        self._look: asyncio.TimerHandle | None = None
        self._sending_since: float | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if self._too_many():
            transport.abort()
            return
        self._expect_head()
        self._look_again()

    def data_received(self, data: bytes) -> None:
        # After a request was answered, the first byte of the next one starts the clock; until then
        # keep-alive's runs.
        if self._head is None and (self.cycle is None or self.cycle.response_complete):
            self._expect_head()
        if not self.transport.get_write_buffer_size():
            self._sending_since = None
        super().data_received(data)
        if self._head is not None and self.cycle is not None and not self.cycle.response_complete:
            self._disarm()

    def resume_writing(self) -> None:
        self._sending_since = None
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        if self._look is not None:
            self._look.cancel()
        super().connection_lost(exc)

    def _too_many(self) -> bool:
        if not self._limits.per_ip or self.client is None or _is_loopback(self.client[0]):
            return False
        # `connections` holds this one too.
        clients = [c.client for c in self.connections if isinstance(c, H11Protocol)]
        return sum(c is not None and c[0] == self.client[0] for c in clients) > self._limits.per_ip

    def _look_again(self) -> None:
        self._look = self.loop.call_later(self._limits.seconds / 20, self._look_at_sending)

    def _look_at_sending(self) -> None:
        """Looked at until the very end: a closed transport still waits for its buffer to be read."""
        if not self.transport.get_write_buffer_size():
            self._sending_since = None
        elif self._sending_since is None:
            self._sending_since = self.loop.time()
        elif self.loop.time() - self._sending_since > self._patience():
            self.transport.abort()
            return
        self._look_again()

    def _patience(self) -> float:
        crowded = 2 * len(self.connections) > self._limits.connections
        return self._limits.seconds / 10 if crowded else self._limits.seconds

    def _expect_head(self) -> None:
        self._head = self.loop.call_later(self._limits.seconds, self._give_up)

    def _disarm(self) -> None:
        if self._head is not None:
            self._head.cancel()
            self._head = None

    def _give_up(self) -> None:
        self._head = None
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
