"""The checks that disputes ask for, each in its turn: the nearest deadline first.

Two threads: what engines that run already can do is not kept waiting by weights that come from elsewhere.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from agents.chain.errors import ChainError
from agents.chain.loop import Loop
from agents.market.court import Opened, Vote
from agents.node.court.examiner import NO_WITNESS, Examiner, Finding, NotNow

log = logging.getLogger(__name__)

_REST = 2.0
"""Seconds until what had to wait is tried again."""
_IDLE = 60.0
_GRACE = 5.0

Key = tuple[bytes, int]
"""A dispute's id and the lot of a draw."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A check to be done by chain time `deadline`, with witness positions. `seconds` is how long it takes as
    far as that is known; `at_hand` whether an engine that runs does it.
    """

    opened: Opened
    lot: int
    positions: tuple[int, ...]
    deadline: int
    seconds: float | None
    at_hand: bool

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
        self._running: set[Key] = set()
        self._resting: dict[Key, float] = {}
        self.stopping = False
        self._loops = {
            True: Loop("checks", lambda: self._step(at_hand=True)),
            False: Loop("foreign checks", lambda: self._step(at_hand=False)),
        }

    @property
    def trouble(self) -> str | None:
        return self._loops[True].trouble or self._loops[False].trouble

    def start(self) -> None:
        for loop in self._loops.values():
            loop.start()

    def stop(self) -> None:
        """Begin nothing more, and wait a moment for what runs: a closed engine ends it."""
        with self._lock:
            self.stopping = True
        stopping = [threading.Thread(target=loop.stop, daemon=True) for loop in self._loops.values()]
        for thread in stopping:
            thread.start()
        for thread in stopping:
            thread.join(_GRACE)

    def want(self, wanted: Wanted) -> None:
        """Have it done, if it is not wanted already; its deadline may move."""
        with self._lock:
            self._wanted[wanted.key] = wanted
        self._loops[wanted.at_hand].wake()

    def forget(self, key: Key) -> None:
        """It is of no use any more."""
        with self._lock:
            self._wanted.pop(key, None)

    def running(self, key: Key) -> bool:
        with self._lock:
            return key in self._running

    def before(self, key: Key, deadline: int) -> float:
        """Seconds of the checks that go before one with this deadline, as far as they are known."""
        with self._lock:
            urgent = [w for w in self._wanted.values() if w.key != key and w.deadline <= deadline]
        return sum(w.seconds or 0.0 for w in urgent)

    def _step(self, *, at_hand: bool) -> float:
        wanted = self._next(at_hand)
        if wanted is None:
            return _REST if self._resting else _IDLE
        try:
            finding = self._find(wanted)
        finally:
            with self._lock:
                self._running.discard(wanted.key)
        if finding is None:
            with self._lock:
                self._resting[wanted.key] = time.monotonic() + _REST
            return 0.0
        self._on_finding(wanted.opened, wanted.lot, finding)
        self.forget(wanted.key)
        return 0.0

    def _next(self, at_hand: bool) -> Wanted | None:
        now = self._now() if self._wanted else 0
        with self._lock:
            for late in [key for key, w in self._wanted.items() if w.deadline < now]:
                del self._wanted[late]
            moment = time.monotonic()
            self._resting = {key: until for key, until in self._resting.items() if until > moment}
            mine = [w for w in self._wanted.values() if w.at_hand is at_hand and w.key not in self._resting]
            if not mine or self.stopping:
                return None
            found = min(mine, key=lambda w: w.deadline)
            self._running.add(found.key)
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
