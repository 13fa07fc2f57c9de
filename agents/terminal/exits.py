"""Exit codes, and errors in one line."""

import json
from collections.abc import Callable
from enum import IntEnum
from functools import wraps
from typing import Any, TypeVar

import click

from agents.chain.errors import ChainError
from agents.chain.journal import JournalError
from agents.chain.lock import AlreadyRunning
from agents.chain.outbox import IntentTimeout, OutOfGasMoney
from agents.chain.wallet import WalletError
from agents.engine.errors import EngineError
from agents.market.errors import BadAmount, BadReference, BadSetting, MarketError, NoAccount
from agents.storage.errors import StorageError
from agents.terminal.screen import fit_for_terminal
from agents.tuning.errors import TuningError

F = TypeVar("F", bound=Callable[..., Any])


class Exit(IntEnum):
    """How a command ended."""

    OK = 0
    OTHER = 1
    BAD_INPUT = 2
    NO_NODE = 3
    NO_MONEY = 4
    REFUSED = 5
    NO_ANSWER = 6
    NO_MODEL = 7
    CHAIN = 8
    UNFINISHED = 9


EXIT_CODES = """\b
Exit codes:
  0  done                               5  the answer was refused
  1  something else went wrong          6  no answer; the money came back
  2  bad input                          7  the model is unknown or can't be had
  3  no node takes the job              8  the chain or its contracts
  4  not enough money                   9  unfinished: the next command carries on"""


class CommandError(Exception):
    """Base of errors that know how a command ends with them; the text says what to do."""

    exit = Exit.OTHER


class BadInput(CommandError):
    """Something the user typed can't be used."""

    exit = Exit.BAD_INPUT


_OTHERS: tuple[tuple[type[Exception], Exit], ...] = (
    (BadReference, Exit.BAD_INPUT),
    (BadSetting, Exit.BAD_INPUT),
    (BadAmount, Exit.BAD_INPUT),
    (NoAccount, Exit.BAD_INPUT),
    (MarketError, Exit.NO_MODEL),
    (WalletError, Exit.BAD_INPUT),
    (OutOfGasMoney, Exit.NO_MONEY),
    (IntentTimeout, Exit.UNFINISHED),
    (AlreadyRunning, Exit.OTHER),
    (JournalError, Exit.OTHER),
    (ChainError, Exit.CHAIN),
    (StorageError, Exit.OTHER),
    (EngineError, Exit.OTHER),
    (TuningError, Exit.BAD_INPUT),
)


def exit_code(error: Exception) -> Exit:
    """How a command ends with this error."""
    if isinstance(error, CommandError):
        return error.exit
    return next((code for kind, code in _OTHERS if isinstance(error, kind)), Exit.OTHER)


def explained(command: F) -> F:
    """Turn this program's errors into one line and an exit code; with --json, into an object as well.

    What the command returns is its exit code, None for 0.
    """
    known: tuple[type[Exception], ...] = (CommandError, *(kind for kind, _ in _OTHERS))

    @wraps(command)
    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            code = command(*args, **kwargs)
        except known as error:
            code = exit_code(error)
            if kwargs.get("as_json"):
                found = {"error": str(error), "kind": type(error).__name__, "exit": int(code)}
                click.echo(json.dumps(found))
            # Much of it comes from strangers: addresses, replies, files.
            click.echo(fit_for_terminal(f"Error: {error}"), err=True)
        click.get_current_context().exit(int(code or 0))

    return run  # type: ignore[return-value]
