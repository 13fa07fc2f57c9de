"""The HTTP server against clients that hold connections: it gets them back."""

import socket
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from market_stage import until

from agents.node import server
from agents.node.server import HttpServer

BODY = b"x" * (4 << 20)
PIPELINED = 12


async def _app(scope: Any, receive: Any, send: Any) -> None:
    body = BODY if scope["path"] == "/large" else b"ok"
    length = str(len(body)).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture
def listening() -> Iterator[HttpServer]:
    found = HttpServer("127.0.0.1", 0)
    yield found
    found.stop()


def _get(found: HttpServer, path: str = "/") -> httpx.Response | None:
    try:
        return httpx.get(f"http://127.0.0.1:{found.port}{path}", timeout=20)
    except httpx.TransportError:
        return None


def _answered(found: HttpServer) -> bool:
    response = _get(found)
    return response is not None and response.status_code == 200


def test_clients_that_never_read_lose_their_connections(
    listening: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost: list[Exception | None] = []
    forget = server._LimitedHttp.connection_lost

    def connection_lost(self: Any, error: Exception | None) -> None:
        lost.append(error)
        forget(self, error)

    monkeypatch.setattr(server._LimitedHttp, "connection_lost", connection_lost)
    listening.start(_app, seconds=2.0, connections=4)
    silent = []
    for _ in range(3):
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        client.connect(("127.0.0.1", listening.port))
        client.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n" * PIPELINED)
        silent.append(client)
    # Before anybody reads: what ends a connection is the server.
    until(lambda: len(lost) == len(silent), seconds=30)
    assert _answered(listening)
    for client in silent:
        client.settimeout(20)
        assert _read(client) < PIPELINED * len(BODY)
        client.close()


def _read(client: socket.socket) -> int:
    total = 0
    try:
        while piece := client.recv(1 << 16):
            total += len(piece)
    except ConnectionError:
        pass
    return total


def test_clients_that_read_get_everything(listening: HttpServer) -> None:
    listening.start(_app, seconds=5.0, connections=100)
    with httpx.Client(base_url=f"http://127.0.0.1:{listening.port}", timeout=20) as client:
        for _ in range(5):
            assert client.get("/large").content == BODY


def test_one_address_has_only_so_many_connections(
    listening: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    listening.start(_app, seconds=20.0, connections=100, per_ip=2)
    address = ("127.0.0.1", listening.port)
    held = [socket.create_connection(address) for _ in range(3)]
    assert _answered(listening)  # loopback is spared: a proxy, say
    monkeypatch.setattr(server, "_is_loopback", lambda _: False)
    assert _get(listening) is None
    for client in held:
        client.close()
    until(lambda: _answered(listening))


def test_which_addresses_are_loopback() -> None:
    assert server._is_loopback("127.0.0.1")
    assert server._is_loopback("::1")
    assert not server._is_loopback("203.0.113.7")
    assert not server._is_loopback("")
