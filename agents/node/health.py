"""Whether a node works, in a few words."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from agents.chain.follower import Follower
from agents.node.jobs import JobBook
from agents.node.serving import Models


class Part(Protocol):
    """Something that works in a thread of its own."""

    @property
    def trouble(self) -> str | None:
        """Why it can't just now."""


class Health:
    """A node in trouble carries on by itself once that is over."""

    def __init__(
        self,
        book: JobBook,
        models: Models,
        follower: Follower,
        parts: Mapping[str, Part],
        state: Callable[[], str],
        court: Callable[[], dict[str, Any]] | None = None,
    ) -> None:
        self._book = book
        self._models = models
        self._follower = follower
        self._parts = parts
        self._state = state
        self._court = court

    def report(self) -> dict[str, Any]:
        """`status` is `ok`, `starting`, `draining` or `trouble`."""
        # Which part, not why: the reasons are in the log, and may name what is private.
        trouble = sorted(name for name, part in self._parts.items() if part.trouble)
        status = "trouble" if trouble else self._state()
        return {
            "status": status,
            "trouble": trouble,
            "block": self._follower.cursor,
            "models": [m.label for m in self._models.values()],
            "jobs": {state.value: count for state, count in self._book.counts().items()},
            "court": self._court() if self._court else None,
        }
