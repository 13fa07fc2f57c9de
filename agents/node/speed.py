"""How fast a model runs here: measured at start, and corrected by what its jobs really took."""

import threading

_WEIGHT = 0.2
_SLOWEST = 0.05


class Speed:
    """Seconds that a job takes alone. `read` and `write` are seconds per prompt and output token; `pace` is
    how much of that speed is left under load, never counted above 1: what batching gains is reserve.
    """

    def __init__(self, read: float, write: float) -> None:
        self.read = read
        self.write = write
        self.pace = 1.0
        self._lock = threading.Lock()

    def alone(self, prompt_tokens: int, output_tokens: int) -> float:
        """Seconds at the speed measured at start."""
        return prompt_tokens * self.read + output_tokens * self.write

    def seconds(self, prompt_tokens: int, output_tokens: int) -> float:
        """Seconds at the speed of late."""
        return self.alone(prompt_tokens, output_tokens) / min(self.pace, 1.0)

    def observe(self, work: float, took: float) -> None:
        """`work` (seconds alone) was done by all jobs together in `took` seconds while at least one ran."""
        if took <= 0 or work <= 0:
            return
        with self._lock:
            self.pace = max(_SLOWEST, (1 - _WEIGHT) * self.pace + _WEIGHT * min(work / took, 4.0))
