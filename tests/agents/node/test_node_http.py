"""The HTTP interface against bad clients: each is told what is wrong, and none can hurt."""

import json
import socket
import time
from collections.abc import Iterator

import pytest
from market_stage import Client, Stage

from agents.node.app import MAX_BODY
from agents.node.run import NodeRunner
from agents.protocol.manifest import manifest_cid

Shared = tuple[Stage, NodeRunner]
GIGABYTE = 1 << 30


def _connect(runner: NodeRunner) -> socket.socket:
    host, port = runner.endpoint.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=10)


def _answer(connection: socket.socket) -> tuple[int, bytes]:
    data = b""
    while piece := connection.recv(65536):
        data += piece
    return int(data.split(b" ")[1]) if data else 0, data


def test_a_body_of_a_gigabyte_is_refused_unread(shared: Shared) -> None:
    _, runner = shared
    with _connect(runner) as connection:
        connection.sendall(
            f"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Length: {GIGABYTE}\r\n\r\n".encode() + b"x" * 1000
        )
        status, data = _answer(connection)  # ends: the node closes the connection
    assert status == 413
    assert b'"too_large"' in data


def test_an_undeclared_long_body_is_cut_off(shared: Shared) -> None:
    _, runner = shared
    sent = 0
    with _connect(runner) as connection:
        connection.sendall(b"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        piece = b"10000\r\n" + b"x" * 65536 + b"\r\n"
        try:
            while sent < GIGABYTE:
                connection.sendall(piece)
                sent += 65536
        except OSError:
            pass
    assert sent < 16 * MAX_BODY + (8 << 20)  # what the kernel's buffers take


def test_a_chunked_body_just_above_the_limit(client: Client) -> None:
    def pieces() -> Iterator[bytes]:
        yield b"x" * MAX_BODY
        yield b"x"

    response = client.http.post("/v1/jobs", content=pieces())
    assert response.status_code == 413


@pytest.mark.parametrize("head", [b"POST /v1/jobs HTTP/1.1\r\nHost:", b""])
def test_a_slow_head_is_given_up(shared: Shared, head: bytes) -> None:
    _, runner = shared
    with _connect(runner) as connection:
        started = time.monotonic()
        connection.sendall(head)
        assert connection.recv(100) == b""
        assert time.monotonic() - started >= 0.9


def test_a_slow_body_is_told_so(shared: Shared) -> None:
    _, runner = shared
    with _connect(runner) as connection:
        connection.sendall(b"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        status, data = _answer(connection)
    assert status == 408
    assert b'"slow"' in data


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"job":' + b"[" * 50_000, b"1" * 10_000, b'"\\ud800"']
)
def test_bodies_that_are_no_request(client: Client, body: bytes) -> None:
    response = client.http.post("/v1/jobs", content=body)
    assert response.status_code == 400
    assert response.json()["error"]["code"] == "malformed"
    assert len(response.content) < 2000


def test_bytes_that_are_no_http(shared: Shared, client: Client) -> None:
    _, runner = shared
    with _connect(runner) as connection:
        connection.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n")
        status, _ = _answer(connection)
    assert status == 400
    assert client.http.get("/health").status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1/jobs/0x12", 400, "malformed"),
        ("GET", "/v1/jobs/0x" + "zz" * 32, 400, "malformed"),
        ("GET", "/v1/jobs/0x" + "00" * 32, 404, "unknown_job"),
        ("GET", "/v1/jobs/0x" + "00" * 32 + "/output", 404, "unknown_job"),
        ("GET", "/nothing", 404, "not_found"),
        ("GET", "/docs", 404, "not_found"),
        ("GET", "/openapi.json", 404, "not_found"),
        ("DELETE", "/v1/offer", 405, "method"),
        ("GET", "/v1/jobs", 405, "method"),
        ("GET", "/ipfs/nonsense?format=raw", 400, "cid"),
    ],
)
def test_paths_that_lead_nowhere(client: Client, method: str, path: str, status: int, code: str) -> None:
    response = client.http.request(method, path)
    assert (response.status_code, response.json()["error"]["code"]) == (status, code)


def test_an_answer_is_not_handed_out_before_it_is_completed(client: Client) -> None:
    asked = client.ask()
    client.accepted(asked)
    response = client.http.get(f"/v1/jobs/{asked.name}/output")
    assert (response.status_code, response.json()["error"]["code"]) == (404, "not_ready")


def test_health_and_metrics(shared: Shared, client: Client) -> None:
    _, runner = shared
    health = client.http.get("/health").json()
    assert health["status"] == "ok"
    assert health["models"] == [m.label for m in runner.models.values()]
    client.http.get("/v1/jobs/0x12")
    text = client.http.get("/metrics").text
    assert 'capek_node_refused_total{code="malformed"}' in text
    assert "capek_node_free_stake_base_units" in text


def test_the_manifest_is_served_to_other_nodes(shared: Shared, client: Client) -> None:
    stage, _ = shared
    cid = manifest_cid(stage.manifest.digest())
    response = client.http.get(f"/ipfs/{cid}", params={"format": "raw"})
    assert json.loads(response.content) == json.loads(stage.manifest.to_bytes())
