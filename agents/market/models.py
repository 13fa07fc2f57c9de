"""From a model's number to verified files: registry → manifest, by its digest → weights, by the manifest's
CID.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from eth_abi.exceptions import DecodingError

from agents.chain.errors import Reverted
from agents.engine import ModelFileError
from agents.engine.gguf import context_length
from agents.engine.native import CANONICAL, NATIVE
from agents.market.endpoints import refusal
from agents.market.errors import NoModel, UnusableModel
from agents.market.reads import Market
from agents.protocol.cid import Cid
from agents.protocol.manifest import MAX_BYTES, Manifest, ManifestError, manifest_cid
from agents.storage.dag import import_file
from agents.storage.errors import BadDag, StorageError
from agents.storage.fetch import fetch_http
from agents.storage.local import LocalStore

Progress = Callable[[int, int], None]
"""Called with (bytes here, bytes in all)."""

IN_FILE = "gguf"
"""What a manifest says where the weights file itself holds the tokenizer or the chat template."""

_MOST_PEERS = 8


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """One exact version as the registry has it. `fee` in base units per million tokens, `digest` the
    manifest's sha2-256.
    """

    model_id: int
    version: int
    trainer: str
    name: str
    digest: bytes
    fee: int

    @property
    def label(self) -> str:
        """`0xTrainer/name@version`: names this model and no other."""
        return f"{self.trainer}/{self.name}@{self.version}"


def look_up(market: Market, number: int, version: int | None = None) -> ModelVersion:
    """A model's version from the registry; the latest for None.

    Raises:
        NoModel: there is none.
    """
    registry = market.models
    try:
        latest = int(registry.call("latestVersion", number))
        if version is not None and version > latest:
            raise NoModel(f"model {number} has no version {version}: its latest is {latest}")
        exact = latest if version is None else version
        return ModelVersion(
            model_id=number,
            version=exact,
            trainer=str(registry.call("trainerOf", number)),
            name=str(registry.call("nameOf", number)),
            digest=bytes(registry.call("versionOf", number, exact).manifest),
            fee=int(registry.call("feeOf", number, exact)),
        )
    except Reverted as refusal:
        raise NoModel(
            f"chain {market.chain_id} has no model {number} ({refusal}): check the trainer's address, the "
            "name and the chain"
        ) from None


def peers_of(
    market: Market, model_id: int, given: Sequence[str], own: str = "", *, allow_private: bool = False
) -> list[str]:
    """Where blocks of a model may be had: the peers given, then the nodes that serve it, `own` address
    excepted.
    """
    found = dict.fromkeys(peer.rstrip("/") for peer in given)
    for address in market.providers(model_id, _MOST_PEERS)[0]:
        try:
            endpoint = market.node(address).endpoint.rstrip("/")
        except DecodingError:
            continue  # a record that nobody can read is that node's own loss
        allowed = refusal(endpoint, market.chain_id, allow_private=allow_private) is None
        if allowed and endpoint != own.rstrip("/"):
            found[endpoint] = None
    return list(found)


def get_manifest(store: LocalStore, version: ModelVersion, peers: Sequence[str]) -> Manifest:
    """From the store or a peer, and only the one that the registry's digest names.

    Raises:
        UnusableModel: the one that the registry names breaks the format.
        NoModel: nobody has it, or this program can't run what it describes.
    """
    label = version.label
    unusable = f"the manifest of {label} is not usable: "
    try:
        data = fetch_http(store, manifest_cid(version.digest), peers, MAX_BYTES).read_bytes()
    except BadDag as error:
        raise UnusableModel(f"{unusable}{error}") from None
    except StorageError as error:
        raise NoModel(f"no manifest of {label}: {error}. Name a node that has it as a peer") from None
    try:
        manifest = Manifest.load(data, version.digest)
    except ManifestError as error:
        registered = hashlib.sha256(data).digest() == version.digest
        raise (UnusableModel if registered else NoModel)(f"{unusable}{error}") from None
    if manifest.adapter is not None or manifest.tokenizer != IN_FILE:
        raise NoModel(
            f"{label} needs an adapter or a tokenizer of its own, which this version can't run: choose "
            "another"
        )
    if manifest.profile not in (CANONICAL, NATIVE):
        raise NoModel(
            f"{label} needs profile {manifest.profile}, which this version does not know: update it"
        )
    return manifest


def get_weights(
    store: LocalStore,
    version: ModelVersion,
    manifest: Manifest,
    places: Sequence[Path],
    peers: Sequence[str],
    progress: Progress | None = None,
    *,
    keep: bool = False,
) -> Path:
    """The weights file, read and verified whole: from the store, from files on this machine, or from peers.

    With `keep`, a file found on this machine is added to the store (a hard link where possible), to be served
    to others.

    Raises:
        UnusableModel: not of the size, or with a shorter context than, the manifest says.
        NoModel: not to be had.
    """
    cid, size = manifest.weights.parsed_cid, manifest.weights.size
    path: Path | None = None
    with suppress(StorageError):
        path = store.path_of(cid)
    if path is None:
        path = next((p for p in _of_size(places, size) if _has_cid(p, cid)), None)
        try:
            if path is not None and keep:
                store.add_file(path)
                path = store.path_of(cid)
            elif path is None:
                path = fetch_http(store, cid, peers, size, progress)
        except BadDag as error:
            raise UnusableModel(
                f"the weights of {version.label} are not what its manifest says: {error}; tell its trainer"
            ) from None
        except StorageError as error:
            raise NoModel(
                f"no weights of {version.label}: {error}. Name a file that you have, or a node that serves "
                "them as a peer"
            ) from None
    found = path.stat().st_size
    if found != size:
        raise UnusableModel(
            f"the weights of {version.label} have {found} bytes and its manifest says {size}: it is not "
            "their manifest; tell its trainer"
        )
    _check_context(version, manifest, path)
    return path


def _check_context(version: ModelVersion, manifest: Manifest, path: Path) -> None:
    """A job longer than the weights' context could be sold, and no court could run it."""
    try:
        most = context_length(path)
    except OSError as error:
        raise NoModel(f"the weights of {version.label} can't be read: {error.strerror}") from None
    except ModelFileError as error:
        raise UnusableModel(f"the weights of {version.label} can't be used: {error}") from None
    if manifest.context_length > most:
        raise UnusableModel(
            f"the manifest of {version.label} says context_length {manifest.context_length}, and its weights "
            f"are made for {most} tokens: it is not their manifest; tell its trainer"
        )


def is_here(store: LocalStore, manifest: Manifest, places: Sequence[Path]) -> bool:
    """Whether the weights need not be fetched; they are not read for it."""
    return store.has_file(manifest.weights.parsed_cid) or any(
        True for _ in _of_size(places, manifest.weights.size)
    )


def _of_size(places: Sequence[Path], size: int) -> Iterator[Path]:
    for place in places:
        for path in sorted(place.glob("*.gguf")) if place.is_dir() else [place]:
            with suppress(OSError):
                if path.is_file() and path.stat().st_size == size:
                    yield path


def _has_cid(path: Path, cid: Cid) -> bool:
    with suppress(OSError), path.open("rb") as file:
        return import_file(file).root == cid
    return False
