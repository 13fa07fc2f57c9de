import hashlib
from pathlib import Path

import pytest
from loopback import Answer, serve

from scripts.setup import download
from scripts.setup.download import Digest, fetch
from scripts.setup.errors import SetupError

BODY = bytes(range(256)) * 10_000
RIGHT = Digest("sha512", hashlib.sha512(BODY).digest())


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download.time, "sleep", lambda seconds: None)


def test_brings_the_file(tmp_path: Path) -> None:
    notes: list[str] = []
    with serve({"/f": [Answer(BODY)]}) as server:
        fetch(f"{server.base}/f", tmp_path / "new" / "f", RIGHT, hint="", note=notes.append)
    assert (tmp_path / "new" / "f").read_bytes() == BODY
    assert notes[-1].startswith("100 %")


def test_a_corrupt_file_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    with serve({"/f": [Answer(BODY[:-1] + b"!")]}) as server, pytest.raises(SetupError, match="thrown away"):
        fetch(f"{server.base}/f", tmp_path / "f", RIGHT, hint="")
    assert list(tmp_path.iterdir()) == []


def test_a_corrupt_file_does_not_touch_the_old_one(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"old")
    with serve({"/f": [Answer(b"bad")]}) as server, pytest.raises(SetupError):
        fetch(f"{server.base}/f", tmp_path / "f", RIGHT, hint="")
    assert (tmp_path / "f").read_bytes() == b"old"


def test_a_cut_connection_is_tried_again(tmp_path: Path) -> None:
    with serve({"/f": [Answer(BODY[:1000], missing=len(BODY) - 1000), Answer(BODY)]}) as server:
        fetch(f"{server.base}/f", tmp_path / "f", RIGHT, hint="")
        assert len(server.asked) == 2
    assert (tmp_path / "f").read_bytes() == BODY


def test_a_connection_that_is_always_cut_is_an_error(tmp_path: Path) -> None:
    with (
        serve({"/f": [Answer(BODY[:1000], missing=5)]}) as server,
        pytest.raises(SetupError, match="do this"),
    ):
        fetch(f"{server.base}/f", tmp_path / "f", RIGHT, hint="do this")
    assert list(tmp_path.iterdir()) == []


def test_a_server_error_is_tried_again_but_a_missing_file_is_not(tmp_path: Path) -> None:
    with serve({"/f": [Answer(status=503), Answer(BODY)]}) as server:
        fetch(f"{server.base}/f", tmp_path / "f", RIGHT, hint="")
        assert len(server.asked) == 2
        with pytest.raises(SetupError, match="404"):
            fetch(f"{server.base}/other", tmp_path / "g", RIGHT, hint="")
        assert server.asked[2:] == ["/other"]


def test_an_unreachable_server_is_named(tmp_path: Path) -> None:
    with serve({}) as server:
        base = server.base
    with pytest.raises(SetupError, match=f"Could not download {base}/f.*use a mirror"):
        fetch(f"{base}/f", tmp_path / "f", RIGHT, hint="use a mirror")


def test_leftovers_of_a_killed_download_do_not_matter(tmp_path: Path) -> None:
    (tmp_path / ".f.part").write_bytes(b"half")
    with serve({"/f": [Answer(BODY)]}) as server:
        fetch(f"{server.base}/f", tmp_path / "f", RIGHT, hint="")
    assert [path.name for path in tmp_path.iterdir()] == ["f"]
