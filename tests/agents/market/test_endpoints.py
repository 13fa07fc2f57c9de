"""What strangers register must be their own trouble alone."""

import pytest

from agents.market.endpoints import refusal

LOCAL, PUBLIC = 31337, 1


@pytest.mark.parametrize(
    "url",
    [
        "http://[", "http://a]b", "http://℀.com", "http://", "ftp://a.example", "", "http://a.example:99999",
        "http://a.example:x", "http://a.example/\x1b]0;title\x07", "http://a.example/?x=", "http://a.example/#x",
        "http://a\ufffd.example",
    ],
)  # fmt: skip
@pytest.mark.parametrize("chain", [LOCAL, PUBLIC])
def test_what_is_no_plain_address_is_refused_and_never_raises(url: str, chain: int) -> None:
    assert refusal(url, chain)


def test_a_plain_address_is_called() -> None:
    assert refusal("http://127.0.0.1:8600", LOCAL) is None
    assert refusal("https://node.example.org/capek", LOCAL) is None


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "10.1.2.3", "169.254.169.254", "localhost"])
def test_private_networks_are_refused_on_public_chains(host: str) -> None:
    assert "private" in (refusal(f"http://{host}:80", PUBLIC) or "")
    assert refusal(f"http://{host}:80", PUBLIC, allow_private=True) is None
