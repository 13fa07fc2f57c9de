"""Who can be reached on this machine, and where."""

import socket

import httpx


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    assert isinstance(port, int)
    return port


def answers(url: str) -> bool:
    """Whether somebody speaks HTTP there."""
    try:
        httpx.get(url, timeout=2.0)
    except httpx.HTTPError:
        return False
    return True


def offers(endpoint: str) -> bool:
    """Whether a node is ready there."""
    try:
        return httpx.get(f"{endpoint}/v1/offer", timeout=2.0).status_code == 200
    except httpx.HTTPError:
        return False
