"""A dispute at one moment, as this node sees it."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from agents.market.court import Opened, Panel, Standing

NEVER = 1 << 62
"""A chain time that does not come."""


@dataclass(frozen=True, slots=True)
class View:
    """`places`: this node's in the panel of the round that runs; `own`: it is about this node's answer.
    `panel` is None while there is nothing to draw it by. `now` in chain seconds. `read` gives the dispute
    with its evidence, which takes a while: most disputes are others'.
    """

    id: bytes
    read: Callable[[], Opened]
    standing: Standing
    panel: Panel | None
    places: Sequence[int]
    own: bool
    now: int

    @property
    def opened(self) -> Opened:
        """With the evidence, decoded."""
        return self.read()

    @property
    def name(self) -> str:
        """0x hex of the id: the dispute's name in logs and the outbox."""
        return "0x" + self.id.hex()

    @property
    def left(self) -> int:
        """Seconds of the phase."""
        return self.standing.until - self.now


class Once:
    """Says a thing the first time: duties are looked at every second."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._said: set[tuple[object, ...]] = set()

    def say(self, level: int, what: tuple[object, ...], view: View, text: str, *args: object) -> None:
        """`what` tells one thing from another of the same dispute."""
        if (view.id, *what) not in self._said:
            self._said.add((view.id, *what))
            self._log.log(level, text, *args, extra={"dispute": view.name, "left": max(0, view.left)})
