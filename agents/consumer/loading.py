"""From a model's version to a model that runs here."""

from collections.abc import Sequence

from agents.consumer.running import Machine, RunningModel
from agents.consumer.settings import ConsumerSettings
from agents.market.models import ModelVersion, get_manifest, get_weights
from agents.storage.local import LocalStore
from agents.terminal.screen import Screen


def load_model(
    store: LocalStore,
    version: ModelVersion,
    peers: Sequence[str],
    settings: ConsumerSettings,
    screen: Screen,
) -> RunningModel:
    """Its files, verified: from the store, from this machine, or from peers, with progress.

    Raises:
        NoModel: they can't be had, or can't be used.
    """
    manifest = get_manifest(store, version, peers)
    with screen.loading(f"weights of {version.name}") as progress:
        path = get_weights(store, version, manifest, settings.weight_places(), peers, progress)
    return RunningModel(manifest, path, Machine(settings.threads, settings.gpu_layers))
