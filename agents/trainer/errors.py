"""What can go wrong for a trainer, each with the exit code that `agent` ends with."""

from agents.terminal.exits import BadInput, CommandError


class BadModel(BadInput):
    """A file that can't be published; the text says why."""


class NameTaken(BadInput):
    """This trainer has another model of that name: what is published can't be changed."""


class PublishFailed(CommandError):
    """The registry refused; the text says why."""
