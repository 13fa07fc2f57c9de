"""The models a node runs: those it sells, those that open jobs need, those its seats undertook to run."""

import logging
from collections.abc import Callable, Collection, Iterable

from agents.engine.threads import physical_cores
from agents.market.errors import MarketError
from agents.market.reads import Market
from agents.node import models
from agents.node.errors import NodeError
from agents.node.models import ServedModel
from agents.node.modelspec import ModelSpec
from agents.node.settings import NodeSettings
from agents.storage.local import LocalStore

log = logging.getLogger(__name__)


class Shelf:
    """Filled by `load`. `sold` are those of `models` that new jobs are taken for. `on_loaded` is told of
    each, to close it in the end.
    """

    def __init__(
        self,
        market: Market,
        store: LocalStore,
        settings: NodeSettings,
        on_loaded: Callable[[ServedModel], None],
    ) -> None:
        self._market = market
        self._store = store
        self._settings = settings
        self._on_loaded = on_loaded
        self.models: dict[tuple[int, int], ServedModel] = {}
        self.sold: dict[tuple[int, int], ServedModel] = {}

    def load(
        self,
        promised: Iterable[tuple[int, int]],
        seats: Collection[int],
        endpoint: str,
        progress: models.Progress | None,
    ) -> None:
        """Get ready what the settings name, then what `promised` jobs (model, version) and `seats` (models)
        need.

        Raises:
            NodeError, NoModel: what the settings name can't be served. The rest is only logged.
        """
        settings = self._settings
        if not settings.models and not settings.drain and not seats:
            raise NodeError(
                "no model to serve: name one or more by --model TRAINER/NAME (CAPEK_NODE_MODELS), as in "
                "0x…/smollm2-135m"
            )
        others = sorted(set(seats) - {spec.model_id for spec in settings.models})
        threads = settings.threads or max(1, physical_cores() // max(1, len(settings.models) + len(others)))
        settings = settings.model_copy(update={"threads": threads})

        def load(spec: ModelSpec, *, for_sale: bool) -> ServedModel:
            model = models.serve(
                self._market, self._store, spec, settings, endpoint, progress, for_sale=for_sale
            )
            self._on_loaded(model)
            self.models[model.key] = model
            return model

        for spec in settings.models:
            model = load(spec, for_sale=not settings.verify_only)
            if not settings.verify_only:
                self.sold[model.key] = model
        needed = [ModelSpec(*key) for key in sorted(set(promised) - set(self.models))]
        for spec in needed + [ModelSpec(model_id) for model_id in others]:
            try:
                load(spec, for_sale=False)
            except (NodeError, MarketError) as error:
                log.error("a model that open jobs or seats need can't be run: %s", error)
