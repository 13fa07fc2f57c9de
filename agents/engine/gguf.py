"""A look at a GGUF file before llama.cpp gets it.

llama.cpp reports most damage, but some makes it abort the whole process, so the header is walked here first.
Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

import hashlib
import mmap
import struct
from pathlib import Path

from agents.engine.errors import ModelFileError

_SCALARS = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_UINT32, _STRING, _ARRAY = 4, 8, 9
_VERSIONS = (2, 3)
_MOST_DIMENSIONS = 4
_MOST_LAYERS = 512
_UNSIGNED = {0: "<B", 2: "<H", 4: "<I", 10: "<Q"}
_MEND = "fetch the weights again"


def check(path: Path, *, size: int | None = None, sha256: str | None = None) -> None:
    """Check size, sha2-256 (hex; reads the whole file) and the walk through the header.

    Raises:
        ModelFileError: the file is missing or damaged; the text names it and what to do.
    """
    try:
        found = path.stat().st_size
        if size is not None and found != size:
            raise ModelFileError(f"{path} has {found} bytes instead of {size}: {_MEND}")
        with path.open("rb") as file:
            if sha256 is not None:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
                if digest != sha256.lower():
                    raise ModelFileError(f"{path} has sha2-256 {digest} instead of {sha256}: {_MEND}")
            if found < 24:
                raise ModelFileError(f"{path} has {found} bytes, too few for a GGUF file: {_MEND}")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                _Walk(data).header()
    except OSError as error:
        reason = error.strerror or str(error)
        raise ModelFileError(f"{path} can't be read ({reason}): check the path, or {_MEND}") from error
    except _Damaged as error:
        raise ModelFileError(f"{path} is no sound GGUF file ({error}): {_MEND}") from None


def context_length(path: Path) -> int:
    """Of how many tokens a context the weights are made for; what the header says, not that it is sound.

    Raises:
        ModelFileError: the header is damaged or does not say.
        OSError: the file can't be read.
    """
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _Walk(data).context()
    except (_Damaged, ValueError) as error:  # an empty file can't be mapped
        raise ModelFileError(f"{path} is no sound GGUF file ({error}): {_MEND}") from None


class _Damaged(Exception):
    pass


class _Walk:
    def __init__(self, data: mmap.mmap) -> None:
        self.data = data
        self.at = 0

    def counts(self) -> tuple[int, int]:
        """Of tensors and of metadata pairs."""
        if self.data[:4] != b"GGUF":
            raise _Damaged("it does not begin with GGUF")
        self.at = 4
        (version, tensors, pairs) = self.take("<IQQ")
        if version not in _VERSIONS:
            raise _Damaged(f"version {version} is not one of {_VERSIONS}")
        return tensors, pairs

    def context(self) -> int:
        _, pairs = self.counts()
        architecture, found = b"", dict[bytes, int]()
        for _ in range(pairs):
            key, (kind,) = self.string(), self.take("<I")
            if kind == _UINT32:  # of another type it would not load
                found[key] = self.take("<I")[0]
            elif strings := self.value(kind):
                architecture = strings[0] if key == b"general.architecture" else architecture
            if b"\0" in key + architecture:
                raise _Damaged("a name holds a zero byte")  # llama.cpp would read as far as that
            if architecture and (length := found.get(architecture + b".context_length")) is not None:
                return length
        raise _Damaged("it does not say how long its context is")

    def header(self) -> None:
        tensors, pairs = self.counts()
        keys = set()
        for _ in range(pairs):
            key = self.string()
            if not key or key in keys:
                raise _Damaged("a metadata key is empty or there twice")
            keys.add(key)
            kind = self.take("<I")[0]
            if key.endswith(b".block_count") and kind in _UNSIGNED:
                (layers,) = struct.unpack_from(
                    _UNSIGNED[kind], self.data[self.at : self.at + 8].ljust(8, b"\0")
                )
                if not 1 <= layers <= _MOST_LAYERS:
                    raise _Damaged(f"it has {layers} layers")  # llama.cpp aborts on that
            strings = self.value(kind)
            if key == b"tokenizer.ggml.tokens" and len(set(strings)) < len(strings):
                raise _Damaged("a token is there twice")  # llama.cpp aborts on that
        if b"general.architecture" not in keys:
            raise _Damaged("it names no architecture")
        if not tensors:
            raise _Damaged("it holds no tensors")
        for _ in range(tensors):
            self.string()
            (dimensions,) = self.take("<I")
            if not 1 <= dimensions <= _MOST_DIMENSIONS:
                raise _Damaged(f"a tensor has {dimensions} dimensions")
            *_, offset = self.take(f"<{dimensions}QIQ")
            if offset >= len(self.data):
                raise _Damaged("it ends before its last tensor")

    def value(self, kind: int) -> list[bytes]:
        """Pass over a value; what it holds if that is strings."""
        if kind == _STRING:
            return [self.string()]
        if kind != _ARRAY:
            self.skip(self.scalar(kind))
            return []
        inner, count = self.take("<IQ")
        if inner == _STRING:
            return [self.string() for _ in range(count)]
        self.skip(count * self.scalar(inner))
        return []

    def scalar(self, kind: int) -> int:
        if kind not in _SCALARS:
            raise _Damaged(f"a value has the unknown type {kind}")
        return _SCALARS[kind]

    def string(self) -> bytes:
        (length,) = self.take("<Q")
        start = self.at
        self.skip(length)
        return self.data[start : self.at]

    def skip(self, size: int) -> None:
        self.at += size
        if self.at > len(self.data):
            raise _Damaged("it ends within its header")

    def take(self, form: str) -> tuple[int, ...]:
        start = self.at
        self.skip(struct.calcsize(form))
        return struct.unpack_from(form, self.data, start)
