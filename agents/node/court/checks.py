"""The checks that disputes ask for, each in its turn: the nearest deadline first.

A thread a lane: what engines that run already can do is not kept waiting by what has to be loaded first, and
that, for models this node undertook to run, not by weights that come from elsewhere.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from agents.chain.errors import ChainError
from agents.chain.loop import Loop
from agents.market.court import Opened, Vote
from agents.node.court.examiner import NO_WITNESS, Examiner, Finding, NotNow

log = logging.getLogger(__name__)

_REST = 2.0
"""Seconds until what had to wait is tried again."""
_LONG_REST = 20.0
"""The same, where trying means to start a process."""
_IDLE = 60.0
_GRACE = 5.0

Key = tuple[bytes, int]
"""A dispute's id and the lot of a draw."""


class Lane(StrEnum):
    """Who does a check."""

    ENGINE = "checks"
    """An engine that runs."""
    OWN = "long checks"
    """A model this node runs, loaded once more for a longer text."""
    FOREIGN = "foreign checks"
    """A model fetched and loaded for it."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A check to be done by chain time `deadline`, with witness positions. `seconds` is how long it takes as
    far as that is known.
    """

    opened: Opened
    lot: int
    positions: tuple[int, ...]
    deadline: int
    seconds: float | None
    lane: Lane

    @property
    def key(self) -> Key:
        return self.opened.id, self.lot

    @property
    def name(self) -> dict[str, Any]:
        return {"dispute": "0x" + self.opened.id.hex()}


class Checks:
    """Does what is wanted. `on_finding` stores what came of it; `now` is chain time. With `give_up` seconds
    left there is no finding any more but Unable.
    """

    def __init__(
        self,
        examiner: Examiner,
        on_finding: Callable[[Opened, int, Finding], None],
        now: Callable[[], int],
        give_up: Callable[[], float],
    ) -> None:
        self._examiner = examiner
        self._on_finding = on_finding
        self._now = now
        self._give_up = give_up
        self._lock = threading.Lock()
        self._wanted: dict[Key, Wanted] = {}
        self._running: dict[Key, Wanted] = {}
        self._resting: dict[Key, float] = {}
        self.stopping = False
        self._loops = {lane: self._loop(lane) for lane in Lane}

    @property
    def trouble(self) -> str | None:
        return next((loop.trouble for loop in self._loops.values() if loop.trouble), None)

    def start(self) -> None:
        for loop in self._loops.values():
            loop.start()

    def hold(self) -> None:
        """Begin nothing more; what fails from now on is no finding."""
        with self._lock:
            self.stopping = True

    def stop(self) -> None:
        """`hold`, and wait a moment for what runs: a closed engine ends it."""
        self.hold()
        stopping = [threading.Thread(target=loop.stop, daemon=True) for loop in self._loops.values()]
        for thread in stopping:
            thread.start()
        for thread in stopping:
            thread.join(_GRACE)

    def want(self, wanted: Wanted) -> None:
        """Have it done, if it is not wanted already; its deadline may move."""
        with self._lock:
            self._wanted[wanted.key] = wanted
        self._loops[wanted.lane].wake()

    def forget(self, key: Key) -> None:
        """It is of no use any more."""
        with self._lock:
            self._wanted.pop(key, None)

    def running(self, key: Key) -> bool:
        with self._lock:
            return key in self._running

    def left(self, opened: Opened) -> float:
        """Seconds that a running check of this dispute has."""
        with self._lock:
            running = [w for key, w in self._running.items() if key[0] == opened.id]
        if not running:
            return 0.0
        wanted = max(running, key=lambda w: w.deadline)
        # What need not be done must leave time to say so.
        spare = self._give_up() if wanted.lane is Lane.FOREIGN else 0.0
        return max(0.0, wanted.deadline - self._now() - spare)

    def before(self, key: Key, deadline: int, lane: Lane) -> float:
        """Seconds of the checks that go before one with this deadline, as far as they are known."""
        with self._lock:
            urgent = [
                w for w in self._wanted.values() if w.key != key and w.deadline <= deadline and w.lane is lane
            ]
        return sum(w.seconds or 0.0 for w in urgent)

    def _loop(self, lane: Lane) -> Loop:
        return Loop(lane, lambda: self._step(lane))

    def _step(self, lane: Lane) -> float:
        wanted = self._next(lane)
        if wanted is None:
            return _REST if self._resting else _IDLE
        try:
            finding = self._find(wanted)
        finally:
            with self._lock:
                del self._running[wanted.key]
        if finding is None:
            rest = _REST if lane is Lane.ENGINE else _LONG_REST
            with self._lock:
                self._resting[wanted.key] = time.monotonic() + rest
            return 0.0
        self._on_finding(wanted.opened, wanted.lot, finding)
        self.forget(wanted.key)
        return 0.0

    def _next(self, lane: Lane) -> Wanted | None:
        now = self._now() if self._wanted else 0
        with self._lock:
            for late in [key for key, w in self._wanted.items() if w.deadline < now]:
                del self._wanted[late]
            moment = time.monotonic()
            self._resting = {key: until for key, until in self._resting.items() if until > moment}
            mine = [w for w in self._wanted.values() if w.lane is lane and w.key not in self._resting]
            if not mine or self.stopping:
                return None
            found = min(mine, key=lambda w: w.deadline)
            self._running[found.key] = found
            return found

    def _find(self, wanted: Wanted) -> Finding | None:
        case = wanted.opened.case
        log.info(
            "checking a disputed answer",
            extra=wanted.name
            | {
                "model": case.model_id,
                "version": case.version,
                "tokens": case.tokens,
                "seconds": wanted.seconds,
            },
        )
        try:
            return self._examiner.examine(wanted.opened, wanted.positions)
        except NotNow as error:
            if self.stopping:
                return None  # the engine was closed under it: the next start does it
            left = wanted.deadline - self._now()
            if left > self._give_up():
                log.warning("a check has to wait: %s", error, extra=wanted.name | {"left": left})
                return None
            return Finding(Vote.UNABLE, NO_WITNESS, f"there was no way to run the model: {error}")
        except ChainError as error:
            log.warning("a check has to wait: %s", error, extra=wanted.name)
            return None
        except Exception as error:
            if self.stopping:
                return None
            # Evidence comes from strangers: none of it may stand in the way of the others.
            log.exception("a check failed", extra=wanted.name)
            return Finding(Vote.UNABLE, NO_WITNESS, f"the check failed with {type(error).__name__}")
