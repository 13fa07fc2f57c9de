"""Damaged weights files: a clear error, never a crash."""

import hashlib
import random
import signal
import subprocess
import sys

import pytest

from agents.engine import ModelFileError, gguf
from agents.engine.llama import EngineConfig, LlamaEngine
from agents.engine.tokenizer import LlamaTokenizer


@pytest.fixture
def damaged(weights, tmp_path):
    """A copy with other bytes: `damaged(keep=…)` cuts, `damaged(at=…, data=…)` writes."""

    def make(keep=None, at=None, data=b""):
        path = tmp_path / "damaged.gguf"
        content = bytearray(weights.read_bytes()[:keep])
        if at is not None:
            content[at : at + len(data)] = data
        path.write_bytes(content)
        return path

    return make


def test_the_real_file_is_sound(weights):
    with weights.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    gguf.check(weights, size=weights.stat().st_size, sha256=digest.upper())


@pytest.mark.parametrize(
    "damage",
    [
        {"keep": 0},
        {"keep": 10},
        {"keep": 100_000},
        {"keep": 1_500_000},
        {"at": 0, "data": b"GGML"},
        {"at": 4, "data": b"\x63"},
        {"at": 8, "data": b"\xff" * 8},
        {"at": 16, "data": b"\xff" * 8},
        {"at": 16, "data": b"\0" * 8},
        {"at": 24, "data": b"\xff" * 8},
    ],
    ids=str,
)
def test_a_damaged_header_is_found_before_llama_cpp_sees_it(damaged, damage):
    path = damaged(**damage)
    with pytest.raises(ModelFileError, match=r"damaged\.gguf .*: fetch the weights again"):
        gguf.check(path)


def test_a_file_cut_in_its_tensors_does_not_load(damaged):
    path = damaged(keep=60_000_000)
    for load in (LlamaTokenizer.open, lambda p: LlamaEngine(EngineConfig(p, context=256, threads=1))):
        with pytest.raises(ModelFileError, match=r"damaged\.gguf .*: fetch the weights again"):
            load(path)


def test_the_wrong_file_is_told_by_size_and_digest(weights):
    with pytest.raises(ModelFileError, match="instead of 5: fetch"):
        gguf.check(weights, size=5)
    with pytest.raises(ModelFileError, match="sha2-256"):
        gguf.check(weights, sha256="00" * 32)


def test_what_is_no_file_is_told(tmp_path):
    for path in (tmp_path / "missing.gguf", tmp_path):
        with pytest.raises(ModelFileError, match="can't be read"):
            LlamaTokenizer.open(path)


@pytest.fixture
def twice(weights, damaged):
    """A file in which one token is there twice, on which llama.cpp calls abort()."""
    return damaged(at=weights.read_bytes().index(b"<reponame>"), data=b"<|im_end|>")


def test_a_token_that_is_there_twice_is_found(twice):
    with pytest.raises(ModelFileError, match="a token is there twice"):
        LlamaTokenizer.open(twice)


def test_an_abort_names_the_file_and_what_to_do(twice):
    """Where llama.cpp does abort, the process is lost, but says why instead of dumping a backtrace."""
    code = """if True:
        import sys
        from pathlib import Path
        from agents.engine import gguf, native
        gguf.check = lambda path: None
        native.Model(Path(sys.argv[1]), vocab_only=True)
    """
    ran = subprocess.run(
        [sys.executable, "-c", code, str(twice)], capture_output=True, text=True, timeout=300
    )
    assert ran.returncode == -signal.SIGABRT
    assert ran.stderr.startswith(f"llama.cpp gave up while loading {twice}: fetch the weights again")
    assert "#0" not in ran.stderr


def test_random_damage_to_the_header_raises_nothing_else(weights, tmp_path):
    rng = random.Random(7)
    head = weights.read_bytes()[:200_000]
    path = tmp_path / "fuzz.gguf"
    for _ in range(200):
        content = bytearray(head)
        for _ in range(rng.randint(1, 4)):
            content[int(rng.random() ** 4 * len(content))] = rng.randrange(256)
        path.write_bytes(content)
        with pytest.raises(ModelFileError):
            gguf.check(path)
