"""Members of the court that do not do their duty, for the demo and for tests."""

from collections.abc import Sequence

from eth_hash.auto import keccak

from agents.market.court import Opened, Vote
from agents.node.court.examiner import Examiner, Finding

_OPPOSITE = {Vote.UPHELD: Vote.DISMISSED, Vote.DISMISSED: Vote.UPHELD, Vote.UNABLE: Vote.UNABLE}


class LyingExaminer:
    """Runs the model, and votes for the opposite of what it found: its witness is as good as anybody's."""

    def __init__(self, honest: Examiner) -> None:
        self._honest = honest

    def examine(self, opened: Opened, positions: Sequence[int]) -> Finding:
        found = self._honest.examine(opened, positions)
        return Finding(_OPPOSITE[found.vote], found.witness, f"a lie: {found.reason}")


class LazyExaminer:
    """Runs nothing: believes whoever complains, and invents the witness."""

    def examine(self, opened: Opened, positions: Sequence[int]) -> Finding:
        return Finding(Vote.UPHELD, keccak(b"invented" + opened.id), "invented: no model was run")
