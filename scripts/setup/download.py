"""Fetching one file over HTTP: verified, atomic, retried."""

import hashlib
import ssl
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

from scripts.setup.errors import SetupError
from scripts.setup.step import Note, silent

_CHUNK = 1 << 20
_AGENT = "capek-setup"


@dataclass(frozen=True, slots=True)
class Digest:
    """What the bytes must hash to: a `hashlib` algorithm and its raw value."""

    algorithm: str
    value: bytes


def fetch(
    url: str,
    target: Path,
    expected: Digest,
    *,
    hint: str,
    note: Note = silent,
    context: ssl.SSLContext | None = None,
    timeout: float = 30.0,
    attempts: int = 3,
) -> None:
    """Bring `url` to `target`, which appears only once its digest is right.

    `hint` tells the reader what to do instead. The caller holds the lock for `target`. `timeout` (seconds)
    is for each network operation, not for the whole file. Raises `SetupError` when the server can't be
    reached, refuses, or sends other bytes than expected.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.part")
    try:
        for attempt in range(1, attempts + 1):
            try:
                found = _stream(url, part, expected.algorithm, context, timeout, note)
                break
            except urllib.error.HTTPError as error:
                error.close()
                if error.code < 500 or attempt == attempts:
                    raise SetupError(f"{url} answered {error.code} {error.reason}. {hint}") from error
            except (
                urllib.error.URLError,
                HTTPException,
                TimeoutError,
                ConnectionError,
                ssl.SSLError,
            ) as error:
                if attempt == attempts:
                    reason = getattr(error, "reason", None) or error
                    raise SetupError(f"Could not download {url}: {reason}. {hint}") from error
            time.sleep(attempt)
        if found != expected.value:
            raise SetupError(
                f"{url} sent a file whose {expected.algorithm} is {found.hex()}, not {expected.value.hex()}: "
                f"it was thrown away. A proxy or mirror may have changed it. {hint}"
            )
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _stream(
    url: str, part: Path, algorithm: str, context: ssl.SSLContext | None, timeout: float, note: Note
) -> bytes:
    total = hashlib.new(algorithm)
    request = urllib.request.Request(url, headers={"User-Agent": _AGENT})
    with urllib.request.urlopen(request, timeout=timeout, context=context) as answer, part.open("wb") as file:
        length = int(answer.headers.get("Content-Length") or 0)
        size = 0
        while chunk := answer.read(_CHUNK):
            file.write(chunk)
            total.update(chunk)
            size += len(chunk)
            if length:
                note(f"{100 * size // length} % of {length / 1e6:.0f} MB")
        if size < length:
            raise ConnectionError(f"the connection ended after {size} of {length} bytes")
    return total.digest()
