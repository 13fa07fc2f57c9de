"""What can go wrong with a node. A Refusal goes to a client; everything else to the one who runs the node."""


class NodeError(Exception):
    """Base of what this package raises; the text says what to do."""


class ModelError(NodeError):
    """A model can't be served: not registered, not to be had, or not the one it says it is."""


class StakeError(NodeError):
    """Stake or money is missing; the text says how much and where to send it."""


class IdentityError(NodeError):
    """The account, the node's address and the registry don't fit together."""


class Refusal(NodeError):
    """A call that is answered with an HTTP error (docs/protocol.md section 7): `status`, a stable `code` and
    a sentence that says what to do. `retry_after` in seconds.
    """

    def __init__(self, status: int, code: str, message: str, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.retry_after = retry_after
