"""Tables for people."""

import sys

from rich.console import Console
from rich.table import Table

_WIDE = 200
"""Columns where nobody says how many there are."""
_LONG = 7200
"""Seconds from which on hours say more."""


def table(*columns: str) -> Table:
    """An empty table without borders."""
    found = Table(box=None, pad_edge=False, show_header=True)
    for column in columns:
        found.add_column(column, overflow="fold")
    return found


def print_table(filled: Table) -> None:
    """To stdout; as wide as the terminal, if it is one."""
    wide = None if sys.stdout.isatty() else _WIDE
    Console(highlight=False, markup=False, emoji=False, width=wide).print(filled)


def when(until: int, now: int) -> str:
    """A chain time, and how far off it is; empty for 0, which is never."""
    if not until:
        return ""
    left = until - now
    if left <= 0:
        return f"{until} (over)"
    return f"{until} (in {left} s)" if left < _LONG else f"{until} (in {left / 3600:.1f} h)"
