"""A LoRA in the serving path: as exact as the weights alone, and not to be left out unseen."""

import pytest

from agents.engine.bitclass import TOLERANT, bit_class
from agents.engine.errors import ModelFileError
from agents.engine.llama import EngineConfig, LlamaEngine
from agents.protocol.sampling import Sampling
from bench.rastic.impostors import lora

HOW = [Sampling(), Sampling(4, bytes(range(20)), 800_000, 950_000)]
END = [2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("adapters")


@pytest.fixture(scope="module")
def adapter(folder):
    return lora(folder)


@pytest.fixture(scope="module")
def written(weights, adapter, chat):
    """Prompt, output and sampling of answers that a node with the adapter wrote side by side; its class."""
    config = EngineConfig(
        weights, context=512, sequences=3, threads=1, batch=100, interleave=13, adapter=adapter
    )
    prompts = [chat("Why is the sea salty?"), chat("Name three rivers, and say where they begin.")]
    with LlamaEngine(config) as node:
        jobs = [node.generate(p, 40, how, END) for p, how in zip(prompts, HOW, strict=True)]
        outputs = [job.result(300).tokens for job in jobs]
        return list(zip(prompts, outputs, HOW, strict=True)), bit_class(node, "cid")


@pytest.mark.parametrize(("batch", "threads", "reuse"), [(7, 1, False), (64, 2, False), (128, 1, True)])
def test_answers_with_an_adapter_are_exact(weights, adapter, written, batch, threads, reuse):
    config = EngineConfig(
        weights, context=512, sequences=1, threads=threads, batch=batch, adapter=adapter, reuse=reuse
    )
    with LlamaEngine(config) as judge:
        for prompt, output, how in written[0]:
            for _ in range(1 + reuse):
                assert not judge.score(prompt, output, how).result(300).any()
        assert bit_class(judge, "cid") == written[1]


def test_leaving_the_adapter_out_is_seen(engine, written):
    assert all(engine.score(prompt, output, how).result(300).any() for prompt, output, how in written[0])
    assert written[1] not in (TOLERANT, bit_class(engine, "cid"))


def test_what_is_no_adapter_for_these_weights_is_refused(weights, folder):
    with pytest.raises(ModelFileError, match="adapter"):
        LlamaEngine(EngineConfig(weights, context=64, sequences=1, threads=1, adapter=weights))
    narrow = lora(folder / "narrow", width=64)
    with pytest.raises(ModelFileError, match="adapter"):
        LlamaEngine(EngineConfig(weights, context=64, sequences=1, threads=1, adapter=narrow))
    with pytest.raises(ModelFileError, match="check the path"):
        LlamaEngine(EngineConfig(weights, context=64, sequences=1, threads=1, adapter=folder / "none.gguf"))
    cut = folder / "cut.gguf"
    cut.write_bytes(lora(folder).read_bytes()[:5_000])
    with pytest.raises(ModelFileError):
        LlamaEngine(EngineConfig(weights, context=64, sequences=1, threads=1, adapter=cut))
