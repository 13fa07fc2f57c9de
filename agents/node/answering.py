"""Where a node's answers come from."""

from collections.abc import Sequence
from typing import Protocol

from agents.engine import Generation
from agents.node.models import ServedModel
from agents.protocol.messages import Job
from agents.protocol.sampling import Sampling


class Answerer(Protocol):
    """Starts an answer; the engine itself in an honest node. Called from any thread."""

    def start(self, model: ServedModel, job: Job, prompt: Sequence[int]) -> Generation:
        """Raises EngineError when the model can't take it."""


class EngineAnswerer:
    """What the model says."""

    def start(self, model: ServedModel, job: Job, prompt: Sequence[int]) -> Generation:
        return model.engine.generate(prompt, job.max_tokens, Sampling.of(job), model.manifest.end_tokens)
