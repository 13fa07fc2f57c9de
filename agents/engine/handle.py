"""The handle on an answer that the engine's thread fills and anybody reads."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future

from agents.engine.interface import Output
from agents.protocol.messages import Finish


class LlamaGeneration:
    """See `interface.Generation`. `push`, `finish` and `fail` are the engine's."""

    def __init__(self) -> None:
        self.cancelled = False
        self._tokens: list[int] = []
        self._done: Future[Output] = Future()
        self._done.set_running_or_notify_cancel()  # a reader that is cancelled must not cancel the answer
        self._changed = threading.Condition()
        self._wakers: list[Callable[[], None]] = []

    def __iter__(self) -> Iterator[int]:
        at = 0
        while True:
            with self._changed:
                self._changed.wait_for(lambda at=at: len(self._tokens) > at or self._done.done())  # type: ignore[misc]
                fresh, done = self._tokens[at:], self._done.done()
            yield from fresh
            at += len(fresh)
            if done:
                self._done.result()
                return

    async def __aiter__(self) -> AsyncIterator[int]:
        loop, ready, at = asyncio.get_running_loop(), asyncio.Event(), 0

        def wake() -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(ready.set)

        with self._changed:
            self._wakers.append(wake)
        try:
            while True:
                ready.clear()
                with self._changed:
                    fresh, done = self._tokens[at:], self._done.done()
                for token in fresh:
                    yield token
                at += len(fresh)
                if done:
                    self._done.result()
                    return
                await ready.wait()
        finally:
            with self._changed:
                self._wakers.remove(wake)

    def cancel(self) -> None:
        self.cancelled = True

    def result(self, timeout: float | None = None) -> Output:
        return self._done.result(timeout)

    async def wait(self) -> Output:
        return await asyncio.wrap_future(self._done)

    @property
    def count(self) -> int:
        """Tokens so far."""
        return len(self._tokens)

    @property
    def tokens(self) -> list[int]:
        """Those so far."""
        return self._tokens

    def push(self, token: int) -> None:
        """One more token."""
        with self._changed:
            self._tokens.append(token)
            self._wake()

    def finish(self, finish: Finish) -> None:
        """The answer is whole."""
        with self._changed:
            self._done.set_result(Output(tuple(self._tokens), finish))
            self._wake()

    def fail(self, error: Exception) -> None:
        """There will be no answer."""
        with self._changed:
            self._done.set_exception(error)
            self._wake()

    def _wake(self) -> None:
        self._changed.notify_all()
        for waker in self._wakers:
            try:
                waker()
            except RuntimeError:  # the reader's loop closed in between
                continue
