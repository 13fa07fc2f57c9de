"""Tokens/s of a node's answers against the same model called directly, in turns on the same machine."""

import os
import statistics
import tempfile
import time
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families

os.environ["GGML_CPU_TILED_MM"] = "0"  # read when llama.cpp loads

from agents.chain.deploy_config import DeploymentConfig
from agents.chain.paths import cache_home
from agents.devnet.network import MODEL_FILE, Network
from agents.engine.tokenizer import LlamaTokenizer
from bench.results import Result

ROUNDS = 5
TOKENS = 256
QUESTION = "Tell me a story about a lighthouse keeper, with as many details as you can."
Q8_0 = 8


def measure() -> list[Result]:
    """A job of 256 tokens through a node, then the same prompt directly, five times: the median ratio.

    Both count from the prompt's first token read to the answer's last written; greedy, one thread.
    """
    weights = cache_home() / "models" / MODEL_FILE
    prompt = LlamaTokenizer.open(weights).tokenize_chat([{"role": "user", "content": QUESTION}])
    direct = _Direct(weights)
    pairs = []
    with (
        tempfile.TemporaryDirectory() as folder,
        Network(Path(folder) / "net", DeploymentConfig()) as network,
    ):
        model = network.publish(network.account("trainer"))
        node, consumer = network.account("node"), network.account("consumer")
        network.run(consumer, "deposit", "100")
        process = network.start_node(node, model, output_price=400_000, jobs=2 * ROUNDS)
        network.wait_node(node, process)
        for _ in range(ROUNDS):
            before = _work(network.endpoints["node"])
            network.ask(consumer, QUESTION, "--model", model, "--max-tokens", str(TOKENS))
            after = _work(network.endpoints["node"])
            through = (after[0] - before[0]) / (after[1] - before[1])
            pairs.append((through, direct.speed(prompt)))
    ratio = statistics.median(through / alone for through, alone in pairs)
    through, alone = (statistics.median(side) for side in zip(*pairs, strict=True))
    return [
        Result(
            "engine.node_over_direct",
            round(ratio, 4),
            "ratio",
            f"llama-cpp-python directly, {alone:.1f} tokens/s",
            f"{through:.1f} tokens/s through the node; greedy, {TOKENS} tokens, 1 thread, canonical profile",
        )
    ]


class _Direct:
    """llama-cpp-python as its own manual uses it, with the canonical profile's settings."""

    def __init__(self, weights: Path) -> None:
        from llama_cpp import Llama

        self._llama = Llama(
            str(weights), n_ctx=2048, n_batch=128, n_threads=1, n_threads_batch=1, flash_attn=True,
            type_k=Q8_0, type_v=Q8_0, verbose=False,
        )  # fmt: skip

    def speed(self, prompt: list[int]) -> float:
        """Tokens a second, the prompt's reading included."""
        self._llama.reset()
        began = time.monotonic()
        for written, _ in enumerate(self._llama.generate(prompt, temp=0.0, repeat_penalty=1.0), 1):
            if written == TOKENS:
                break
        return TOKENS / (time.monotonic() - began)


def _work(endpoint: str) -> tuple[float, float]:
    """Tokens that the node has written so far, and the seconds it took."""
    found = {}
    for family in text_string_to_metric_families(httpx.get(f"{endpoint}/metrics").text):
        for sample in family.samples:
            found[sample.name] = sample.value
    return found["capek_node_output_tokens_total"], found["capek_node_answer_seconds_sum"]
