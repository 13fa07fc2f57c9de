"""What can go wrong for a consumer, each with the exit code that `agent` ends with."""

from agents.terminal.exits import BadInput, CommandError, Exit


class ConsumerError(CommandError):
    """Base of what this package raises; the text says what to do."""


class PromptTooLong(BadInput):
    """Prompt and answer don't fit the model's context, or what a job may have."""


class NoNode(ConsumerError):
    """No node took the job; the text says what was tried and why each fell out."""

    exit = Exit.NO_NODE


class NotEnoughMoney(ConsumerError):
    """The Vault or the wallet is short; the text says by how much and where to send it."""

    exit = Exit.NO_MONEY


class NoAnswer(ConsumerError):
    """The node that took the job did not answer; the text says what became of the money."""

    exit = Exit.NO_ANSWER


class Unfinished(ConsumerError):
    """The job goes on; `agent jobs --settle` finishes or refunds it."""

    exit = Exit.UNFINISHED


class UnknownJob(BadInput):
    """No such job in this account's journal."""


class CannotDispute(ConsumerError):
    """This can't be challenged or appealed, here or any more; the text says why. Nothing was paid."""

    exit = Exit.NO_DISPUTE


class UnknownDispute(BadInput):
    """No such dispute on this chain."""
