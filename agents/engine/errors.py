"""What can go wrong with a model, one class an idea. Messages never hold a prompt."""


class EngineError(Exception):
    """Base of the engine's errors, and llama.cpp failing at something it should have done."""


class ModelFileError(EngineError):
    """The weights file is missing, damaged or not a model that llama.cpp can load."""


class ChatTemplateError(EngineError):
    """The model has no chat template, or the template refuses these messages."""


class InvalidTokens(EngineError):
    """Token ids that are not in the model's vocabulary, or no tokens at all."""


class ContextOverflow(EngineError):
    """Prompt and answer together don't fit the context of one sequence."""


class Busy(EngineError):
    """As many jobs wait as the engine was told to hold: try again later, or another node."""


class EngineClosed(EngineError):
    """The engine was closed, or died of the error that is this one's cause: start a new one."""
