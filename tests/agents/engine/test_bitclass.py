"""The bit class names bits, so nothing but bits may change it."""

import pytest

from agents.engine.bitclass import TOLERANT, bit_class
from agents.engine.llama import EngineConfig, LlamaEngine
from agents.engine.native import NATIVE

CID = "bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi"


@pytest.mark.parametrize("settings", [{"threads": 2}, {"threads": 1, "batch": 40, "sequences": 1}], ids=str)
def test_threads_and_batches_do_not_change_it(weights, engine, settings):
    with LlamaEngine(EngineConfig(weights, context=256, **settings)) as other:
        assert bit_class(other, CID) == bit_class(engine, CID) != TOLERANT


def test_weights_change_it(engine):
    assert bit_class(engine, CID) != bit_class(engine, CID + "x")


@pytest.mark.parametrize("settings", [{"profile": NATIVE}, {"gpu_layers": 1}], ids=str)
def test_what_is_not_canonical_promises_nothing(weights, settings):
    with LlamaEngine(EngineConfig(weights, context=256, threads=1, **settings)) as engine:
        assert not engine.exact
        assert bit_class(engine, CID) == TOLERANT
