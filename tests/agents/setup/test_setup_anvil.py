import base64
import hashlib
import io
import tarfile
from pathlib import Path

import pytest
from loopback import Answer, serve

from scripts.setup import anvil
from scripts.setup.errors import SetupError
from scripts.setup.pins import FOUNDRY, NpmTarball

URL_PATH = "/npm/@scope/anvil/-/anvil-1.0.0.tgz"
WORKING = b"#!/bin/sh\necho anvil Version: 1.0.0\n"


def tarball(content: bytes, member: str = "package/bin/anvil") -> tuple[bytes, NpmTarball]:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as files:
        info = tarfile.TarInfo(member)
        info.size = len(content)
        files.addfile(info, io.BytesIO(content))
    data = buffer.getvalue()
    sri = "sha512-" + base64.b64encode(hashlib.sha512(data).digest()).decode()
    return data, NpmTarball("@scope/anvil", "1.0.0", sri, "package/bin/anvil")


def test_fetches_verifies_and_unpacks_from_the_configured_registry(tmp_path: Path) -> None:
    data, pin = tarball(WORKING)
    with serve({URL_PATH: [Answer(data)]}) as server:
        anvil.unpack_tarball(pin, tmp_path / "anvil", {"registry": f"{server.base}/npm"})
    assert (tmp_path / "anvil").read_bytes() == WORKING
    assert (tmp_path / "anvil").stat().st_mode & 0o777 == 0o755
    assert [path.name for path in tmp_path.iterdir()] == ["anvil"]


def test_a_changed_tarball_is_refused(tmp_path: Path) -> None:
    _, pin = tarball(WORKING)
    other, _ = tarball(b"#!/bin/sh\necho evil\n")
    with serve({URL_PATH: [Answer(other)]}) as server, pytest.raises(SetupError, match="sha512"):
        anvil.unpack_tarball(pin, tmp_path / "anvil", {"registry": f"{server.base}/npm"})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"#!/bin/sh\nexit 1\n", b"\x7fELF not a program", b""])
def test_a_program_that_does_not_run_here_is_refused(tmp_path: Path, content: bytes) -> None:
    data, pin = tarball(content)
    with serve({URL_PATH: [Answer(data)]}) as server, pytest.raises(SetupError, match="glibc"):
        anvil.unpack_tarball(pin, tmp_path / "anvil", {"registry": f"{server.base}/npm"})
    assert list(tmp_path.iterdir()) == []


def test_a_tarball_without_the_program_is_refused(tmp_path: Path) -> None:
    data, pin = tarball(WORKING, "package/README.md")
    with serve({URL_PATH: [Answer(data)]}) as server, pytest.raises(SetupError, match="package/bin/anvil"):
        anvil.unpack_tarball(pin, tmp_path / "anvil", {"registry": f"{server.base}/npm"})
    assert list(tmp_path.iterdir()) == []


def test_what_is_cached_is_not_fetched_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:9/")  # nothing answers there
    anvil.path().parent.mkdir(parents=True)
    anvil.path().write_bytes(WORKING)
    anvil.path().chmod(0o755)
    assert anvil.is_installed()
    anvil.install()
    assert anvil.path().read_bytes() == WORKING


def test_an_unsupported_machine_takes_the_users_own_anvil(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(anvil, "machine", lambda: ("Linux", "riscv64"))
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    own = tmp_path / "anvil"
    own.write_text("#!/bin/sh\necho anvil Version: 0.1.0\n")
    own.chmod(0o755)
    with pytest.raises(SetupError, match="riscv64.*foundryup"):
        anvil.install()
    own.write_text(f"#!/bin/sh\necho anvil Version: {FOUNDRY}\n")
    anvil.install()
    assert anvil.is_installed()
