"""By when jobs are done at the latest, whoever opens them whenever.

The machine is shared evenly by all jobs that run (what batching gains is reserve), each group runs a few at
once, takes the
earliest deadline first, and never stops what it began. Clients decide when accepted jobs are opened, so a
plan is worth nothing: what follows is a bound that holds for every choice of theirs. While a job waits or
runs the machine is never idle, so it is done once all the work there is has been done. It is done earlier if
there is much work of later deadlines: that comes before it only as far as it ran already, and beside it only
in the other places.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Work:
    """One job. `seconds` alone on the machine; `deadline` and `release`, the latest it may come, in seconds
    from now; `group` is the engine that runs it.
    """

    key: Hashable
    seconds: float
    deadline: float
    group: Hashable = None
    running: bool = False
    release: float = 0.0


def latest_finish(work: Sequence[Work], slots: Mapping[Any, int]) -> dict[Hashable, float]:
    """Seconds from now by which each job is done; `slots` is how many jobs each group runs at once."""
    everything = sum(w.seconds for w in work)
    places = sum(slots.values())
    found: dict[Hashable, float] = {}
    for w in work:
        beside = w.seconds * places
        before = 0.0 if w.running else _before(w, work, slots[w.group])
        found[w.key] = w.release + min(everything, before + beside)
    return found


def _before(job: Work, work: Sequence[Work], places: int) -> float:
    """Work that can be done before a waiting job starts: all of other groups, its own group's that is more
    urgent, and of the rest what may hold the group's places when the job comes.
    """
    others = [w for w in work if w.key != job.key]
    foreign = sum(w.seconds for w in others if w.group != job.group)
    own = [w for w in others if w.group == job.group]
    urgent = sum(w.seconds for w in own if w.deadline <= job.deadline)
    rest = sorted((w.seconds for w in own if w.deadline > job.deadline), reverse=True)
    return foreign + urgent + sum(rest[:places])
