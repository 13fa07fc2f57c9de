"""A model made ready for its first job: found, fetched, checked, loaded, tested."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from agents.engine import EngineError
from agents.engine.llama import EngineConfig, LlamaEngine
from agents.market.models import ModelVersion, get_manifest, get_weights, look_up, peers_of
from agents.market.reads import Market
from agents.node.errors import ModelError
from agents.node.modelspec import ModelSpec
from agents.node.selftest import self_test
from agents.node.settings import NodeSettings
from agents.node.speed import Speed
from agents.protocol.manifest import Manifest
from agents.storage.local import LocalStore

log = logging.getLogger(__name__)

Progress = Callable[[str, int, int], None]
"""Called with (what, bytes here, bytes in all)."""


@dataclass(frozen=True, slots=True, eq=False)
class ServedModel:
    """A model this node answers with. Prices in base units per million tokens; `context` in tokens, prompt
    and answer; `parallel` jobs at once.
    """

    version: ModelVersion
    manifest: Manifest
    engine: LlamaEngine
    parallel: int
    input_price: int
    output_price: int
    bit_class: bytes
    speed: Speed

    @property
    def key(self) -> tuple[int, int]:
        return self.version.model_id, self.version.version

    @property
    def label(self) -> str:
        return self.version.label

    @property
    def context(self) -> int:
        return self.engine.context


def serve(
    market: Market,
    store: LocalStore,
    spec: ModelSpec,
    settings: NodeSettings,
    own_endpoint: str,
    progress: Progress | None = None,
    *,
    for_sale: bool = True,
) -> ServedModel:
    """Get a model ready, for jobs or (not `for_sale`) for the court alone.

    Raises:
        NoModel: it is unknown or can't be had.
        ModelError: it is not what its manifest says, does not run here, or would not pay.
    """
    version = look_up(market, spec.model_id, spec.version)
    input_price = settings.input_price if spec.input_price is None else spec.input_price
    output_price = settings.output_price if spec.output_price is None else spec.output_price
    if for_sale and min(input_price, output_price) < version.fee:
        raise ModelError(
            f"{version.label} costs its model fee of {version.fee} base units per million tokens, and you "
            f"ask {input_price} and {output_price}: ask at least {version.fee} for each (--input-price, "
            "--output-price)"
        )
    peers = peers_of(
        market, version.model_id, settings.peers, own_endpoint, allow_private=settings.allow_private
    )
    manifest = get_manifest(store, version, peers)
    shown = None if progress is None else lambda here, of: progress(version.label, here, of)
    path = get_weights(store, version, manifest, settings.weight_places(), peers, shown, keep=True)
    engine = _load(version, manifest, path, settings)
    try:
        _check_tokens(version, manifest, engine)
        bit_class, speed = self_test(engine, manifest)
    except BaseException as error:
        engine.close()
        if isinstance(error, EngineError):
            raise ModelError(f"{version.label} does not run here: {error}") from error
        raise
    log.info(
        "serving %s",
        version.label,
        extra={"bit_class": "0x" + bit_class.hex(), "tokens_per_second": round(1 / speed.costs.write, 1)},
    )
    return ServedModel(
        version, manifest, engine, settings.parallel, input_price, output_price, bit_class, speed
    )


def _load(version: ModelVersion, manifest: Manifest, path: Path, settings: NodeSettings) -> LlamaEngine:
    config = EngineConfig(
        path,
        context=min(settings.context, manifest.context_length),
        sequences=settings.parallel,
        queue=settings.parallel,
        threads=settings.threads,
        gpu_layers=settings.gpu_layers,
        profile=manifest.profile,
    )
    try:
        return LlamaEngine(config)
    except (EngineError, ValueError) as error:
        raise ModelError(f"{version.label} can't be loaded: {error}") from error


def _check_tokens(version: ModelVersion, manifest: Manifest, engine: LlamaEngine) -> None:
    size = engine.tokenizer.vocab_size
    if outside := [token for token in manifest.end_tokens if token >= size]:
        raise ModelError(
            f"{version.label}: its manifest names end tokens {outside}, and its weights have {size} tokens "
            "only: it is not their manifest; tell its trainer"
        )
    if not set(manifest.end_tokens) & engine.tokenizer.end_tokens:
        log.warning(
            "%s: none of the manifest's end tokens %s ends a text by its weights file",
            version.label,
            manifest.end_tokens,
        )
