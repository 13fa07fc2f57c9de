"""Nodes that cheat, for the demo and for tests: `python -m agents.devnet.cheats KIND…`.

The environment configures them as it does `agent node run`; the product's own command knows nothing of this.
"""

import ctypes
import logging
from collections.abc import Sequence
from pathlib import Path

import click
import llama_cpp

from agents.chain.paths import home
from agents.chain.wallet import Wallet
from agents.devnet.wrong_verifiers import LazyExaminer, LyingExaminer
from agents.engine import Generation
from agents.engine.llama import EngineConfig, LlamaEngine
from agents.node.answering import Answerer
from agents.node.court.examiner import Examiner
from agents.node.errors import NodeError, Refusal
from agents.node.handout import Handout
from agents.node.jobs import JobRecord
from agents.node.logs import set_up
from agents.node.models import ServedModel
from agents.node.run import NodeRunner, run
from agents.node.settings import load
from agents.protocol.messages import Job
from agents.protocol.sampling import Sampling
from agents.protocol.wire import OutputReply

log = logging.getLogger(__name__)


class CheaperModel:
    """Sells the model's name and runs a cheaper quantization of it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._engine: LlamaEngine | None = None

    def start(self, model: ServedModel, job: Job, prompt: Sequence[int]) -> Generation:
        if self._engine is None:
            cheap = quantize(model.engine.config.path, self._folder / "cheap.gguf")
            self._engine = LlamaEngine(
                EngineConfig(cheap, context=model.engine.context, sequences=1, threads=1)
            )
        return self._engine.generate(prompt, job.max_tokens, Sampling.of(job), model.manifest.end_tokens)


class Withholding:
    """Completes its jobs and hands nothing out, not even when the client demands it on chain."""

    def output(self, record: JobRecord) -> OutputReply:
        raise Refusal(404, "not_ready", "ask again later")

    def deliver(self, record: JobRecord) -> None:
        log.info("a demand was ignored", extra={"job": record.name})


def quantize(weights: Path, path: Path) -> Path:
    """Make a Q4_0 file of `weights` with llama.cpp's own quantizer, unless it is there.

    Raises:
        NodeError: the quantizer failed.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        params = llama_cpp.llama_model_quantize_default_params()
        params.nthread, params.ftype, params.allow_requantize = 1, llama_cpp.LLAMA_FTYPE_MOSTLY_Q4_0, True
        draft = path.with_suffix(".tmp")
        if llama_cpp.llama_model_quantize(bytes(weights), bytes(draft), ctypes.byref(params)) != 0:
            raise NodeError(f"llama.cpp could not quantize {weights}")
        draft.replace(path)
    return path


@click.command()
@click.argument(
    "kinds", type=click.Choice(["quantized", "withholding", "lying", "lazy"]), nargs=-1, required=True
)
def main(kinds: tuple[str, ...]) -> None:
    """Run a node that cheats in these ways; the environment configures it as it does `agent node run`."""
    settings = load()
    set_up(settings.log_level, as_json=settings.log_json)
    cheaper = CheaperModel(home() / "cheats")
    withholding = Withholding()

    def answerer(honest: Answerer) -> Answerer:
        return cheaper if "quantized" in kinds else honest

    def handout(honest: Handout) -> Handout:
        return withholding if "withholding" in kinds else honest

    def examiner(honest: Examiner) -> Examiner:
        if "lazy" in kinds:
            return LazyExaminer()
        return LyingExaminer(honest) if "lying" in kinds else honest

    if settings.account is None:
        raise NodeError("no account: set CAPEK_ACCOUNT")
    wallet = Wallet.load(settings.account, password_file=settings.password_file)
    runner = NodeRunner(
        settings, wallet, wrap_answerer=answerer, wrap_handout=handout, wrap_examiner=examiner
    )
    run(runner, lambda started: log.info("cheating", extra={"kinds": kinds, "endpoint": started.endpoint}))


if __name__ == "__main__":
    main()
