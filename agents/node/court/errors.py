"""Why there is no verdict on a disputed answer; each text says what is in the way."""

from agents.node.errors import NodeError


class NotNow(NodeError):
    """There can be no finding just now; later perhaps."""


class NoSuchModel(NodeError):
    """The registry knows no such model or version, or one whose own bytes rule it out for everybody."""


class Unrunnable(NodeError):
    """This machine can't run the model."""
