"""How fast a model runs here: measured at start, and corrected by what its jobs really took."""

import threading
from dataclasses import dataclass

from agents.protocol.messages import Job

_WEIGHT = 0.2
_MISS_WEIGHT = 0.5
_MISS = 0.9
_SLOWEST = 0.05


@dataclass(frozen=True, slots=True)
class Costs:
    """Seconds per token in an empty context: `read` for the prompt, `write` for the answer, `sample` more
    for each token chosen by a temperature; `read_growth` and `write_growth` more for each token before it.
    """

    read: float
    write: float
    read_growth: float = 0.0
    write_growth: float = 0.0
    sample: float = 0.0


class Speed:
    """Seconds that a job takes alone. `pace` is how much of the speed measured at start is left under load,
    never counted above 1: what batching gains is reserve.
    """

    def __init__(self, costs: Costs) -> None:
        self.costs = costs
        self.pace = 1.0
        self._lock = threading.Lock()

    def alone(self, prompt_tokens: int, output_tokens: int, sampled: bool = False) -> float:
        """Seconds at the speed measured at start; attention makes them grow with the square of the length."""
        n, m, costs = prompt_tokens, output_tokens, self.costs
        read = n * costs.read + n * n / 2 * costs.read_growth
        write = m * (costs.write + (costs.sample if sampled else 0.0))
        return read + write + m * (n + m / 2) * costs.write_growth

    def left(self, job: Job, written: int = 0) -> float:
        """Seconds at the speed measured at start from the token `written` on to the job's last, at least
        one; the prompt is read with the first.
        """
        sampled = job.temperature > 0
        if not written:
            return self.alone(job.prompt_tokens, job.max_tokens, sampled)
        before = min(written, job.max_tokens - 1)
        whole = self.alone(job.prompt_tokens, job.max_tokens, sampled)
        return whole - (self.alone(job.prompt_tokens, before, sampled) if before else 0.0)

    def token(self, job: Job, written: int) -> float:
        """Seconds alone of the one token after `written`."""
        sampled = job.temperature > 0
        before = self.alone(job.prompt_tokens, written, sampled) if written else 0.0
        return self.alone(job.prompt_tokens, written + 1, sampled) - before

    def of_late(self, seconds: float) -> float:
        """What takes `seconds` at the speed measured at start, at the speed of late."""
        return seconds / min(self.pace, 1.0)

    def observe(self, work: float, took: float) -> None:
        """`work` (seconds alone) was done by all jobs together in `took` seconds while at least one ran."""
        if took <= 0 or work <= 0:
            return
        with self._lock:
            self.pace = max(_SLOWEST, (1 - _WEIGHT) * self.pace + _WEIGHT * min(work / took, 4.0))

    def missed(self, work: float, took: float) -> None:
        """As `observe`, of a job that was not done by its deadline: the pace falls, whatever was measured."""
        with self._lock:
            pace = min(self.pace, 1.0)
            measured = max(work, 0.0) / took if took > 0 else pace
            mixed = (1 - _MISS_WEIGHT) * pace + _MISS_WEIGHT * measured
            self.pace = max(_SLOWEST, min(_MISS * pace, mixed))
