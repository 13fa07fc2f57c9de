"""What holds for every test: processes have state of their own, and the user's is never touched."""

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session", autouse=True)
def _home_of_this_worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """For what lives longer than one test, such as a node that a whole module asks."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CAPEK_HOME", str(tmp_path_factory.mktemp("home")))
        yield
