"""What a node does now and then, in threads of a scheduler."""

import logging
from collections.abc import Callable, Iterable

from apscheduler.schedulers.background import BackgroundScheduler

from agents.chain.errors import ChainError
from agents.chain.journal import JournalError

log = logging.getLogger(__name__)


class Periodic:
    """Each sweep (name, what, seconds) once in its time, never twice at once; an error ends none of them."""

    def __init__(self, sweeps: Iterable[tuple[str, Callable[[], object], float]]) -> None:
        self._scheduler = BackgroundScheduler(
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None}
        )
        for name, sweep, seconds in sweeps:
            self._scheduler.add_job(safely(name, sweep), "interval", seconds=seconds, id=name)
        self._scheduler.start()

    def stop(self) -> None:
        """Wait for what runs."""
        self._scheduler.shutdown()


def safely(name: str, sweep: Callable[[], object]) -> Callable[[], None]:
    """The same, with its errors logged."""

    def swept() -> None:
        try:
            sweep()
        except JournalError:
            log.exception("sweep %s", name)
        except ChainError as error:
            log.warning("sweep %s: %s", name, error)
        except Exception:
            log.exception("sweep %s", name)

    return swept
