"""Which of the addresses that strangers registered may be called."""

import ipaddress
import socket
from urllib.parse import urlsplit

from agents.chain.deploy_config import LOCAL_CHAINS


def refusal(url: str, chain_id: int, *, allow_private: bool = False) -> str | None:
    """Why not to call this base address; None when it may be called.

    Anybody can register any address. On a public chain one that leads into the caller's own machine or
    network is a trap: the caller would knock on doors that are closed to the stranger. Blocks while the name
    is resolved.
    """
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        usable = False
    if not usable or not url.isascii() or not url.isprintable() or parts.query or parts.fragment:
        return "its address is not a plain http or https one"
    if allow_private or chain_id in LOCAL_CHAINS:
        return None
    try:
        found = socket.getaddrinfo(parts.hostname, parts.port or 443, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError, ValueError):
        return "its host's name can't be resolved"
    if all(ipaddress.ip_address(entry[4][0]).is_global for entry in found):
        return None
    return "its address leads into a private network (CAPEK_ALLOW_PRIVATE=1 allows that)"
