"""What a person sees of what goes on, on stderr: a live line on a terminal, plain lines elsewhere."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

_PLAIN_EVERY = 5.0


class Screen:
    """Progress for people. `quiet` says nothing but warnings. Nothing that it is told can drive the
    terminal."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._console = Console(stderr=True, highlight=False, markup=False, emoji=False)
        self._quiet = quiet

    def say(self, text: str) -> None:
        """One line about what was done."""
        if not self._quiet:
            self._console.print(fit_for_terminal(text), soft_wrap=True)

    def warn(self, text: str) -> None:
        """One line that must not be missed."""
        self._console.print(fit_for_terminal(f"warning: {text}"), style="yellow", soft_wrap=True)

    @contextmanager
    def waiting(self, text: str) -> Iterator[Callable[[str], None]]:
        """While something takes time; call what it yields with new text."""
        if self._quiet:
            yield lambda _: None
        elif self._console.is_terminal:
            with self._console.status(fit_for_terminal(text)) as status:
                yield lambda new: status.update(fit_for_terminal(new))
        else:
            last = text
            self.say(text)

            def update(new: str) -> None:
                nonlocal last
                if new != last:
                    last = new
                    self.say(new)

            yield update

    @contextmanager
    def loading(self, what: str) -> Iterator[Callable[[int, int], None]]:
        """While bytes arrive; call what it yields with (bytes here, bytes in all). Silent before that."""
        if self._quiet:
            yield lambda _here, _all: None
        elif self._console.is_terminal:
            columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
            with Progress(*columns, console=self._console, transient=True) as bar:
                task = bar.add_task(fit_for_terminal(what), total=None, visible=False)
                yield lambda here, size: bar.update(task, completed=here, total=size, visible=True)
        else:
            said = 0.0

            def update(here: int, size: int) -> None:
                nonlocal said
                if here == size or time.monotonic() - said > _PLAIN_EVERY:
                    said = time.monotonic()
                    self.say(f"{what}: {here >> 20} of {size >> 20} MiB")

            yield update


def fit_for_terminal(text: str) -> str:
    """A stranger's text (a model's, a node's, a file's) without the control characters that could drive a
    terminal; new lines and tabs stay."""
    return "".join(c if c.isprintable() or c in "\n\t" else "�" for c in text)
