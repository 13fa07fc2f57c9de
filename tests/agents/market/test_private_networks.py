"""A stranger's address may not lead a client of a public chain into the client's own network."""

import pytest

from agents.market.endpoints import refusal

PRIVATE = [
    "http://127.0.0.1:8545",
    "http://localhost/x",
    "http://10.0.0.1",
    "https://192.168.1.1",
    "http://169.254.169.254/latest",
    "http://[::1]:80",
    "http://[::ffff:127.0.0.1]",
    "http://[::ffff:10.1.2.3]",
    "http://0.0.0.0",
    "http://2130706433",
    "http://100.64.0.1",
]


@pytest.mark.parametrize("url", PRIVATE)
def test_private_addresses_are_for_local_chains(url: str) -> None:
    assert refusal(url, 1) is not None
    assert refusal(url, 31337) is None
    assert refusal(url, 1, allow_private=True) is None


@pytest.mark.parametrize("url", ["http://8.8.8.8:9000", "https://[2606:4700::1111]/node"])
def test_public_addresses_may_be_called(url: str) -> None:
    assert refusal(url, 1) is None


@pytest.mark.parametrize("url", ["ftp://8.8.8.8", "http://", "file:///etc/passwd", "", "http://a b"])
def test_what_is_no_web_address_is_refused_everywhere(url: str) -> None:
    assert refusal(url, 1) is not None
