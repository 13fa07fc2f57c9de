"""What can go wrong between an agent and its chain."""


class ChainError(Exception):
    """Base of everything this package raises about the chain."""


class ChainUnreachable(ChainError):
    """The RPC gave no usable answer, after retries. Nothing is lost: try again."""


class WrongChain(ChainError):
    """The RPC serves another chain than the one expected."""


class NoContract(ChainError):
    """There is no contract, or another one, at an address."""


class RpcFault(ChainError):
    """The RPC answered with a JSON-RPC error.

    `data` is the revert data of a call that reverted, if the node gave any.
    """

    def __init__(self, method: str, code: int, message: str, data: bytes | None = None) -> None:
        super().__init__(f"{method}: {message} (JSON-RPC error {code})")
        self.method = method
        self.code = code
        self.message = message
        self.data = data


class Reverted(ChainError):
    """A call or transaction that the contracts refuse; the text is the decoded reason.

    `name` and `args` are those of the custom error, when there is one.
    """

    def __init__(self, text: str, name: str = "", args: dict[str, object] | None = None) -> None:
        super().__init__(text)
        self.name = name
        self.args_by_name = args or {}
