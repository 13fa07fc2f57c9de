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
from agents.engine.interface import NO_LOGITS, Engine, Examination, Generation, Output, Stats

__all__ = [
    "NO_LOGITS",
    "Busy",
    "ChatTemplateError",
    "ContextOverflow",
    "Engine",
    "EngineClosed",
    "EngineError",
    "Examination",
    "Generation",
    "InvalidTokens",
    "ModelFileError",
    "Output",
    "Stats",
]
