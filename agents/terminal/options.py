"""Flags that many commands take; each can be set by its variable too (agents/market/settings.py)."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

_ACCOUNT = [
    click.option("--rpc-url", metavar="URL", help="JSON-RPC of the chain [CAPEK_RPC_URL]."),
    click.option("--deployment", type=click.Path(path_type=Path), help="Deployment file [CAPEK_DEPLOYMENT]."),
    click.option("--account", metavar="NAME", help="Keystore to act for [CAPEK_ACCOUNT]."),
    click.option(
        "--password-file",
        type=click.Path(path_type=Path),
        help="File with its password [CAPEK_PASSWORD_FILE].",
    ),
]

as_json = click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
threads = click.option("--threads", type=click.IntRange(1), help="Threads of the model [CAPEK_THREADS].")


def account_options(command: F) -> F:
    """Flags of every command that acts for an account."""
    for option in reversed(_ACCOUNT):
        command = option(command)
    return command
