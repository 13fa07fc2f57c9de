"""How the demo tells its story, and stops when that takes another turn."""

import time
from collections.abc import Callable
from typing import TypeVar

from rich.console import Console

PATIENCE = 150.0

T = TypeVar("T")


class DemoFailed(Exception):
    """Something did not happen as it must; the text says what."""


class Teller:
    """Headings with the seconds since the beginning, and details below them."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return time.monotonic() - self._began

    def say(self, text: str) -> None:
        self.console.print(f"\n[bold]{self.seconds:5.0f} s  {text}[/bold]", highlight=False, soft_wrap=True)

    def detail(self, text: str) -> None:
        self.console.print(f"         {text}", highlight=False, markup=False, soft_wrap=True)


def expect(holds: bool, otherwise: str) -> None:
    """Raises DemoFailed."""
    if not holds:
        raise DemoFailed(otherwise)


def wait_for(what: str, look: Callable[[], T | None]) -> T:
    """What `look` finds at last.

    Raises:
        DemoFailed: nothing came in time.
    """
    end = time.monotonic() + PATIENCE
    while not (found := look()):
        if time.monotonic() > end:
            raise DemoFailed(f"{what} did not come in {PATIENCE:.0f} s")
        time.sleep(0.2)
    return found


def usd(amount: int) -> str:
    """Base units in words, without zeros that say nothing."""
    digits = f"{amount / 10**6:,.6f}".rstrip("0")
    return f"{digits}{'00'[: max(0, 3 + digits.index('.') - len(digits))]} DevUSD"
