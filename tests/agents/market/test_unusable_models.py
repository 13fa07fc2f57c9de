"""Versions that their own bytes rule out: refused alike by all who read them, unlike what is missing."""

import hashlib
import json
import struct
from pathlib import Path

import pytest

from agents.engine import ModelFileError
from agents.engine.gguf import context_length
from agents.market.errors import NoModel, UnusableModel
from agents.market.models import ModelVersion, get_manifest, get_weights
from agents.protocol.cid import Cid
from agents.protocol.manifest import FLOORS, Manifest, canonical_json
from agents.storage.dag import import_file
from agents.storage.local import LocalStore

UINT32, UINT64, STRING = 4, 10, 8
ARCHITECTURE = ("general.architecture", STRING, "llama")


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value)) + value.encode()


def gguf(*pairs: tuple[str, int, int | str]) -> bytes:
    """A header without tensors."""
    parts = [b"GGUF", struct.pack("<IQQ", 3, 0, len(pairs))]
    for key, kind, value in pairs:
        parts += [text(key), struct.pack("<I", kind)]
        if isinstance(value, str):
            parts.append(text(value))
        else:
            parts.append(struct.pack("<I" if kind == UINT32 else "<Q", value))
    return b"".join(parts)


def of_context(tokens: int) -> bytes:
    return gguf(ARCHITECTURE, ("llama.context_length", UINT32, tokens))


def manifest_of(weights: Path, context: int) -> Manifest:
    with weights.open("rb") as file:
        tree = import_file(file)
    body = {
        "format": "capek-manifest/1", "name": "m", "licence": "MIT", "adapter": None, "tokenizer": "gguf",
        "weights": {"cid": str(tree.root), "size": tree.size, "format": "gguf", "quantization": "F32"},
        "chat_template": "gguf", "end_tokens": [2], "context_length": context, "profile": "canonical/1",
        "verification": FLOORS.model_dump(mode="json"), "bit_classes": [],
    }  # fmt: skip
    return Manifest.load(canonical_json(body))


def version_of(data: bytes) -> ModelVersion:
    return ModelVersion(1, 0, "0xTrainer", "m", hashlib.sha256(data).digest(), 0)


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "store")


def weights_for(folder: Path, content: bytes, context: int) -> tuple[ModelVersion, Manifest, Path]:
    path = folder / "m.gguf"
    path.write_bytes(content)
    manifest = manifest_of(path, context)
    return version_of(manifest.to_bytes()), manifest, path


@pytest.mark.parametrize("context", [4096, 512])
def test_a_context_within_the_weights_own_is_usable(store: LocalStore, tmp_path: Path, context: int) -> None:
    version, manifest, path = weights_for(tmp_path, of_context(4096), context)
    assert get_weights(store, version, manifest, [path], ()) == path


@pytest.mark.parametrize("context", [4097, 1 << 24])
@pytest.mark.parametrize("keep", [False, True])
def test_a_longer_context_than_the_weights_is_refused(
    store: LocalStore, tmp_path: Path, context: int, keep: bool
) -> None:
    version, manifest, path = weights_for(tmp_path, of_context(4096), context)
    for _ in range(2):  # from this machine's files, and from the store
        with pytest.raises(UnusableModel, match=f"context_length {context}, and .* made for 4096 tokens"):
            get_weights(store, version, manifest, [path], (), keep=keep)


def test_weights_of_another_size_are_refused(store: LocalStore, tmp_path: Path) -> None:
    version, manifest, path = weights_for(tmp_path, of_context(4096), 4096)
    store.add_file(path)
    size = manifest.weights.size + 1
    wrong = manifest.model_copy(update={"weights": manifest.weights.model_copy(update={"size": size})})
    with pytest.raises(UnusableModel, match="it is not their manifest"):
        get_weights(store, version, wrong, [], ())


def test_weights_larger_than_the_manifest_says_are_not_fetched(store: LocalStore, tmp_path: Path) -> None:
    version, manifest, path = weights_for(tmp_path, of_context(4096), 4096)
    data = path.read_bytes()
    store.put_block(Cid.of(data), data)
    small = manifest.model_copy(update={"weights": manifest.weights.model_copy(update={"size": 8})})
    with pytest.raises(UnusableModel):
        get_weights(store, version, small, [], ())


def test_weights_that_are_not_to_be_had_are_another_matter(store: LocalStore, tmp_path: Path) -> None:
    version, manifest, _ = weights_for(tmp_path, of_context(4096), 4096)
    with pytest.raises(NoModel, match="no weights of") as missing:
        get_weights(store, version, manifest, [], ())
    assert not isinstance(missing.value, UnusableModel)


def test_a_manifest_that_breaks_the_format_is_unusable_and_a_missing_one_is_not(
    store: LocalStore, tmp_path: Path
) -> None:
    _, manifest, _ = weights_for(tmp_path, of_context(4096), 4096)
    body = json.loads(manifest.to_bytes())
    body["verification"]["exact"]["slash_max"] = 0
    data = canonical_json(body)
    with pytest.raises(NoModel, match="no manifest of") as missing:
        get_manifest(store, version_of(data), ())
    assert not isinstance(missing.value, UnusableModel)
    store.add_bytes(data)
    with pytest.raises(UnusableModel, match=r"exact\.slash_max is 0, at least 20000"):
        get_manifest(store, version_of(data), ())


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "no sound GGUF"),
        (b"GGML" * 9, "does not begin"),
        (of_context(4096)[:-1], "ends within"),
        (gguf(ARCHITECTURE), "how long its context"),
        (gguf(ARCHITECTURE, ("gemma.context_length", UINT32, 9)), "how long its context"),
        (gguf(ARCHITECTURE, ("llama.context_length", UINT64, 9)), "how long its context"),
        (gguf(ARCHITECTURE, ("llama.context_length\0", UINT32, 9)), "zero byte"),
        (
            gguf(("general.architecture", STRING, "llama\0x"), ("llama\0x.context_length", UINT32, 9)),
            "zero byte",
        ),
    ],
    ids=["empty", "no GGUF", "cut", "none", "of another", "64 bits", "key beyond 0", "name beyond 0"],
)
def test_weights_that_do_not_say_their_context(
    store: LocalStore, tmp_path: Path, data: bytes, says: str
) -> None:
    version, manifest, path = weights_for(tmp_path, data or b"x", 4096)
    path.write_bytes(data)
    with pytest.raises(ModelFileError, match=says):
        context_length(path)
    if data:
        with pytest.raises(UnusableModel, match=says):
            get_weights(store, version, manifest, [path], ())


def test_the_context_may_stand_before_the_architecture(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(gguf(("llama.context_length", UINT32, 77), ARCHITECTURE))
    assert context_length(path) == 77
