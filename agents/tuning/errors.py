"""What can go wrong while tuning, one class an idea. Messages never hold a prompt."""


class TuningError(Exception):
    """Base of this package's errors."""


class NotInstalled(TuningError):
    """Packages that tuning needs are not there; the text says what to install."""


class BadFunction(TuningError):
    """A module that is no tuning function: refused before any of it runs."""


class FunctionStopped(TuningError):
    """A tuning function did what it may not, and was stopped: its fault, on every machine alike.

    What it had not finished is gone; the steps before stand.
    """


class OutOfFuel(FunctionStopped):
    """It computed more than a step may."""


class StackExhausted(FunctionStopped):
    """It recursed too deep."""


class BadPointer(FunctionStopped):
    """It named memory that it does not have."""


class BadCall(FunctionStopped):
    """It asked the host for something that makes no sense."""


class TooManyCalls(FunctionStopped):
    """It asked the host too often, or for too much work, in one step."""


class BadLoss(FunctionStopped):
    """A gradient step gave a loss or a gradient that is not finite: the batch has wrecked the model."""


class FunctionFailed(FunctionStopped):
    """It trapped, or returned a status of its own that means failure."""


class OutOfTime(TuningError):
    """It took longer than its wall time. No verdict on the function: a slower machine says so sooner."""


class BadTrace(TuningError):
    """A trace that can't be read, or is not the one that was committed to."""


class Diverged(TuningError):
    """A replay, or a repeated segment, differs from the trace; the text says where and how."""


class BadAdapter(TuningError):
    """An adapter of the wrong shape or kind, or with numbers that are not finite."""


class UnsupportedModel(TuningError):
    """Weights of an architecture that can be served here but not tuned."""


class BuildFailed(TuningError):
    """A function's source that can't be built; the text is the compiler's."""
