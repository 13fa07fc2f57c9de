"""Models for checks: those this node serves, in the engines that serve them, and others (or longer texts), in
a process of their own for one check.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from agents.market.errors import NoModel
from agents.market.models import ModelVersion, look_up, peers_of
from agents.market.reads import Market
from agents.node.court.child import COMMAND, Child, Died
from agents.node.court.errors import NoSuchModel, Unrunnable
from agents.node.court.examiner import Runnable
from agents.node.court.foreign import Plan
from agents.node.models import ServedModel
from agents.node.settings import NodeSettings
from agents.protocol.manifest import Manifest
from agents.storage.local import LocalStore

log = logging.getLogger(__name__)


class Library:
    """See `examiner.Models`. `served` may gain models while it is used."""

    def __init__(
        self,
        market: Market,
        served: Mapping[tuple[int, int], ServedModel],
        store: Callable[[], LocalStore],
        settings: NodeSettings,
        endpoint: Callable[[], str],
        command: Sequence[str] = COMMAND,
    ) -> None:
        self._market = market
        self._served = served
        self._store = store
        self._settings = settings
        self._endpoint = endpoint
        self._command = command
        self._children: list[Child] = []
        self._deadly: set[tuple[int, int]] = set()

    def serves(self, model_id: int, version: int) -> bool:
        """Whether it is a model that this node runs."""
        return (model_id, version) in self._served

    def at_hand(self, model_id: int, version: int, tokens: int) -> bool:
        """Whether an engine that runs already can take a text of so many tokens."""
        model = self._served.get((model_id, version))
        return model is not None and tokens <= _reach(model.manifest, tokens, model.context)

    @contextmanager
    def run(self, model_id: int, version: int, tokens: int, seconds: float) -> Iterator[Runnable]:
        """See `examiner.Models.run`. Raises ChainError too, when the registry can't be asked."""
        if self.at_hand(model_id, version, tokens):
            model = self._served[model_id, version]
            yield Runnable(model.manifest, model.engine, model.bit_class)
            return
        with self._child(self._look_up(model_id, version), tokens, seconds) as child:
            yield Runnable(child.manifest, child, child.bit_class)

    def _look_up(self, model_id: int, version: int) -> ModelVersion:
        try:
            return look_up(self._market, model_id, version)
        except NoModel as error:
            raise NoSuchModel(str(error)) from None

    def _peers(self, model_id: int) -> Sequence[str]:
        settings = self._settings
        return peers_of(
            self._market, model_id, settings.peers, self._endpoint(), allow_private=settings.allow_private
        )

    @contextmanager
    def _child(self, found: ModelVersion, tokens: int, seconds: float) -> Iterator[Child]:
        settings, key = self._settings, (found.model_id, found.version)
        own = key in self._served
        if not own:
            if key in self._deadly:
                raise Unrunnable(f"{found.label} has made the process of an earlier check end")
            # One that is dripped to us must not keep the others waiting for long.
            seconds = min(seconds, settings.court_check_seconds)
        plan = Plan.of(
            found,
            store=str(self._store().root),
            places=tuple(map(str, settings.weight_places())),
            peers=tuple(self._peers(found.model_id)),
            fetch_mib=settings.court_fetch_mib,
            tokens=tokens,
            threads=settings.threads,
            gpu_layers=settings.gpu_layers,
            # Served models are the operator's choice.
            memory_mib=0 if own else settings.court_memory_mib,
            polite=not own,
        )
        log.info("loading %s for a check", found.label, extra={"seconds": round(seconds)})
        child = Child(plan, seconds, self._command)
        self._children.append(child)
        try:
            child.load()
            yield child
        except Died as error:
            self._deadly.add(key)
            raise Unrunnable(f"{found.label} can't be run here: {error}") from None
        finally:
            self._children.remove(child)
            child.end()

    def close(self) -> None:
        """End the checks that run in processes of their own."""
        for child in list(self._children):
            child.close()


def _reach(manifest: Manifest, tokens: int, context: int) -> int:
    """The longest text an engine need not be made longer for: beyond the model's own context nothing is."""
    return context if context < manifest.context_length else tokens
