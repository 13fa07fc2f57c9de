"""Many jobs in one llama.cpp context: continuous batching (Orca, Yu et al. 2022).

One thread owns the context. Each turn it gives waiting jobs free sequences, reads one chunk of one text, and
decodes one token of every answer that is being written.
"""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future

import numpy as np

from agents.engine.errors import Busy, EngineClosed, EngineError
from agents.engine.interface import Stats
from agents.engine.jobs import Job, Logits, Reading, Tokens, Writing
from agents.engine.native import Context

_LEAST_SHARED = 8
"""Fewer tokens than these are no reason to choose a sequence."""

_PATIENCE = 4
"""How many times writing goes before reading that waits."""


class Scheduler:
    """Runs jobs in a context that `make` builds in the thread that will own it.

    At most `queue` jobs of each kind wait beyond the sequences there are. A chunk has at most `batch` tokens,
    `interleave` while answers are being written, which wait for it. With `reuse` a finished text stays in its
    sequence until another takes its place, and one that begins alike is read from where it differs.

    Raises:
        EngineError: whatever `make` raises.
    """

    def __init__(
        self,
        make: Callable[[], Context],
        *,
        sequences: int,
        queue: int,
        batch: int,
        interleave: int,
        reuse: bool = False,
    ) -> None:
        self._sequences, self._queue, self._batch, self._interleave = sequences, queue, batch, interleave
        self._waiting: dict[type[Job], deque[Job]] = {Writing: deque(), Reading: deque()}
        self._running: dict[int, Job] = {}  # by sequence, oldest first
        self._reuse = reuse
        self._kept: dict[int, Tokens] = {}  # by free sequence: what it still holds
        self._admission, self._chunks = _Turns(), _Turns()
        self._read = self._written = 0
        self._changed = threading.Condition()
        self._closing = False
        self._dead: Exception | None = None
        started: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, args=(make, started), name="llama", daemon=True)
        self._thread.start()
        started.result()

    def submit(self, job: Job) -> None:
        """Queue a job; from any thread.

        Raises:
            Busy: too many of its kind wait.
            EngineClosed: closed, or dead of the error that is the cause.
        """
        with self._changed:
            if self._dead is not None or self._closing:
                raise self._closed()
            queue = self._waiting[type(job)]
            held = len(queue) + sum(type(other) is type(job) for other in self._running.values())
            if held >= self._sequences + self._queue:
                raise Busy(f"the engine holds {held} jobs, all it may: try again later, or another node")
            queue.append(job)
            self._changed.notify()

    def stats(self) -> Stats:
        """What goes on now; from any thread."""
        with self._changed:
            return Stats(sum(map(len, self._waiting.values())), len(self._running), self._read, self._written)

    def close(self) -> None:
        """Stop after this turn, fail what is unfinished, and free the context; from any other thread."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()

    # From here on the thread that owns the context. `_changed` guards what the methods above read.

    def _run(self, make: Callable[[], Context], started: "Future[None]") -> None:
        try:
            context = make()
        except Exception as error:
            started.set_exception(error)
            return
        started.set_result(None)
        try:
            while self._wait():
                self._admit(context)
                self._read_chunk(context)
                self._write_tokens(context)
        except Exception as error:
            self._dead = error
        finally:
            self._end()
            context.close()

    def _wait(self) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: self._closing or self._running or any(self._waiting.values()))
            return not self._closing

    def _admit(self, context: Context) -> None:
        for sequence, job in list(self._running.items()):
            if job.cancelled:
                self._done(context, sequence, job)
        with self._changed:
            unwanted = [job for queue in self._waiting.values() for job in queue if job.cancelled]
            for job in unwanted:
                self._waiting[type(job)].remove(job)
            writings, readings = self._waiting[Writing], self._waiting[Reading]
            while (free := self._free_sequences()) and (writings or readings):
                # Neighbours are decoded together: answers gather at the low end, readings at the other.
                if self._admission.reading(bool(writings), bool(readings)):
                    free, job = free[::-1], readings.popleft()
                else:
                    job = writings.popleft()
                sequence = self._place(context, free, job)
                job.start()
                self._running[sequence] = job
        for job in unwanted:
            job.finish()
        self._close_gap(context)

    def _place(self, context: Context, free: Sequence[int], job: Job) -> int:
        """A free sequence, the first ones preferred; what it holds of the job's text is not read again."""
        shared = {sequence: _alike(kept, job) for sequence, kept in self._kept.items()}
        best = max(shared, key=shared.__getitem__, default=None)
        if best is not None and shared[best] >= _LEAST_SHARED:
            del self._kept[best]
            context.forget(best, shared[best])
            job.read = shared[best]
            return best
        sequence = next((s for s in free if s not in self._kept), free[0])
        if self._kept.pop(sequence, None) is not None:
            context.forget(sequence)
        return sequence

    def _close_gap(self, context: Context) -> None:
        # llama.cpp decodes each run of neighbouring sequences apart: close a gap that nobody fills.
        free = self._free_sequences()
        writing = [s for s, job in self._running.items() if isinstance(job, Writing)]
        if free and writing and free[0] < max(writing):
            if self._kept.pop(free[0], None) is not None:
                context.forget(free[0])
            context.move(max(writing), free[0])
            with self._changed:
                self._running[free[0]] = self._running.pop(max(writing))

    def _read_chunk(self, context: Context) -> None:
        unread = [(s, job) for s, job in self._running.items() if job.read < job.text.size]
        writings = [(s, job) for s, job in unread if isinstance(job, Writing)]
        readings = [(s, job) for s, job in unread if isinstance(job, Reading)]
        if not unread:
            return
        sequence, job = (readings if self._chunks.reading(bool(writings), bool(readings)) else writings)[0]
        decoding = len(unread) < len(self._running)
        chunk = job.text[job.read :][: self._interleave if decoding else self._batch]
        positions = range(job.read, job.read + chunk.size)
        logits = context.decode(chunk, positions, sequence, job.wanted(chunk.size))
        job.read += chunk.size
        self._read += chunk.size
        self._hand_over(context, sequence, job, logits)

    def _write_tokens(self, context: Context) -> None:
        jobs = [
            (sequence, job)
            for sequence, job in sorted(self._running.items(), key=lambda item: item[0])
            if isinstance(job, Writing) and job.read == job.text.size
        ]
        if not jobs:
            return
        sequences = [sequence for sequence, _ in jobs]
        said = [job.said for _, job in jobs]
        logits = context.decode(said, [job.position - 1 for _, job in jobs], sequences, True)
        for row, (sequence, job) in enumerate(jobs):
            self._written += 1
            self._hand_over(context, sequence, job, logits[row : row + 1])

    def _free_sequences(self) -> list[int]:
        return [sequence for sequence in range(self._sequences) if sequence not in self._running]

    def _hand_over(self, context: Context, sequence: int, job: Job, logits: Logits) -> None:
        try:
            done = job.take(logits)
        except Exception as error:  # no business of its neighbours
            self._free(context, sequence)
            failure = EngineError(f"the job failed: {error}")
            failure.__cause__ = error
            job.fail(failure)
        else:
            if done:
                self._done(context, sequence, job)

    def _done(self, context: Context, sequence: int, job: Job) -> None:
        self._free(context, sequence)
        job.finish()  # last: who has the answer finds the sequence free

    def _free(self, context: Context, sequence: int) -> None:
        if self._reuse:
            self._kept[sequence] = self._running[sequence].decoded()
        else:
            context.forget(sequence)
        with self._changed:
            del self._running[sequence]

    def _end(self) -> None:
        with self._changed:
            self._closing = True
            unfinished = [
                *self._running.values(),
                *(job for queue in self._waiting.values() for job in queue),
            ]
            self._running.clear()
            for queue in self._waiting.values():
                queue.clear()
        for job in unfinished:
            job.fail(self._closed())

    def _closed(self) -> EngineClosed:
        if self._dead is None:
            return EngineClosed("the engine is closed: start a new one")
        error = EngineClosed(f"the engine died ({self._dead}): start a new one")
        error.__cause__ = self._dead
        return error


def _alike(kept: Tokens, job: Job) -> int:
    most = min(kept.size, job.skippable)
    differ = kept[:most] != job.text[:most]
    return int(np.argmax(differ)) if differ.any() else most


class _Turns:
    """Writing goes first, but reading that waits is passed over only so often."""

    def __init__(self) -> None:
        self._passed_over = 0

    def reading(self, writing_waits: bool, reading_waits: bool) -> bool:
        """Whether the turn is reading's; one of them waits."""
        if writing_waits and (not reading_waits or self._passed_over < _PATIENCE):
            self._passed_over += reading_waits
            return False
        self._passed_over = 0
        return True
