"""Running a model: tokenize, generate, score."""

from agents.engine.errors import (
    Busy,
    ChatTemplateError,
    ContextOverflow,
    EngineClosed,
    EngineError,
    InvalidTokens,
    ModelFileError,
)
from agents.engine.interface import Engine, Generation, Output, Stats

__all__ = [
    "Busy",
    "ChatTemplateError",
    "ContextOverflow",
    "Engine",
    "EngineClosed",
    "EngineError",
    "Generation",
    "InvalidTokens",
    "ModelFileError",
    "Output",
    "Stats",
]
