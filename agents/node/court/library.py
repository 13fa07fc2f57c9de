"""Models for checks: those this node serves, in the engines that serve them, and others, fetched by CID and
loaded for one check.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from agents.engine import EngineError
from agents.engine.bitclass import bit_class
from agents.engine.llama import EngineConfig, LlamaEngine
from agents.market.errors import NoModel
from agents.market.models import ModelVersion, get_manifest, get_weights, is_here, look_up, peers_of
from agents.market.reads import Market
from agents.node.court.examiner import NoSuchModel, NotNow, Runnable, Unrunnable
from agents.node.models import ServedModel
from agents.node.settings import NodeSettings
from agents.protocol.manifest import Manifest
from agents.storage.local import LocalStore

log = logging.getLogger(__name__)

_MIB = 1 << 20


class Library:
    """See `examiner.Models`. `served` may gain models while it is used."""

    def __init__(
        self,
        market: Market,
        served: Mapping[tuple[int, int], ServedModel],
        store: Callable[[], LocalStore],
        settings: NodeSettings,
        endpoint: Callable[[], str],
    ) -> None:
        self._market = market
        self._served = served
        self._store = store
        self._settings = settings
        self._endpoint = endpoint
        self._loaned: list[LlamaEngine] = []

    def at_hand(self, model_id: int, version: int, tokens: int) -> bool:
        """Whether an engine that runs already can take a text of so many tokens."""
        model = self._served.get((model_id, version))
        return model is not None and tokens <= _reach(model.manifest, tokens, model.context)

    @contextmanager
    def run(self, model_id: int, version: int, tokens: int) -> Iterator[Runnable]:
        """See `examiner.Models.run`. Raises ChainError too, when the registry can't be asked."""
        if self.at_hand(model_id, version, tokens):
            model = self._served[model_id, version]
            yield Runnable(model.manifest, model.engine, model.bit_class)
            return
        found, manifest = self._look_up(model_id, version)
        with self._loaded(found, manifest, min(tokens, manifest.context_length)) as engine:
            yield Runnable(manifest, engine, bit_class(engine, manifest.weights.cid))

    def _look_up(self, model_id: int, version: int) -> tuple[ModelVersion, Manifest]:
        try:
            found = look_up(self._market, model_id, version)
        except NoModel as error:
            raise NoSuchModel(str(error)) from None
        try:
            return found, get_manifest(self._store(), found, self._peers(model_id))
        except NoModel as error:
            raise NotNow(str(error)) from None

    def _peers(self, model_id: int) -> Sequence[str]:
        settings = self._settings
        return peers_of(
            self._market, model_id, settings.peers, self._endpoint(), allow_private=settings.allow_private
        )

    @contextmanager
    def _loaded(self, found: ModelVersion, manifest: Manifest, tokens: int) -> Iterator[LlamaEngine]:
        settings, store = self._settings, self._store()
        places, size = settings.weight_places(), manifest.weights.size
        if size > settings.court_fetch_mib * _MIB and not is_here(store, manifest, places):
            raise Unrunnable(
                f"the weights of {found.label} have {size >> 20} MiB, and for a check at most "
                f"{settings.court_fetch_mib} are fetched (CAPEK_NODE_COURT_FETCH_MIB)"
            )
        try:
            path = get_weights(store, found, manifest, places, self._peers(found.model_id))
        except NoModel as error:
            raise NotNow(str(error)) from None
        log.info("loading %s for a check", found.label)
        config = EngineConfig(
            path,
            # Room for the probe of the bit class too.
            context=min(max(tokens, 128), manifest.context_length),
            sequences=1,
            # Spinning threads of two engines on the same cores would stop both.
            threads=settings.threads or (1 if self._served else None),
            gpu_layers=settings.gpu_layers,
            profile=manifest.profile,
        )
        try:
            engine = LlamaEngine(config)
        except (EngineError, ValueError) as error:
            raise Unrunnable(f"{found.label} can't be loaded: {error}") from None
        self._loaned.append(engine)
        try:
            yield engine
        finally:
            engine.close()
            self._loaned.remove(engine)

    def close(self) -> None:
        """End the checks that run in engines of their own."""
        for engine in list(self._loaned):
            engine.close()


def _reach(manifest: Manifest, tokens: int, context: int) -> int:
    """The longest text an engine need not be made longer for: beyond the model's own context nothing is."""
    return context if context < manifest.context_length else tokens
