"""Real weights and an engine on them, shared by the tests of this folder."""

import os
from pathlib import Path

import pytest

from agents.engine.llama import EngineConfig, LlamaEngine

WEIGHTS = "SmolLM2-135M-Instruct.Q4_1.gguf"


@pytest.fixture(scope="session")
def weights() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    path = cache / "capek" / "models" / WEIGHTS
    if not path.exists():
        pytest.fail(f"{path} is missing: `make test` fetches it")
    return path


@pytest.fixture(scope="session")
def engine(weights):
    with LlamaEngine(EngineConfig(weights, context=1024, sequences=3, threads=1)) as shared:
        yield shared


@pytest.fixture(scope="session")
def chat(engine):
    """The prompt of one question."""
    return lambda question: engine.tokenizer.tokenize_chat([{"role": "user", "content": question}])
