"""What the self-test promises, against a machine whose cost is known: it grows with context and sampling."""

from collections.abc import Iterator
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from agents.engine.bitclass import TOLERANT
from agents.engine.llama import LlamaEngine
from agents.node import selftest
from agents.node.errors import ModelError
from agents.node.speed import Speed
from agents.protocol.manifest import FLOORS, Manifest, Verification
from agents.protocol.sampling import Sampling

READ, READ_GROWTH = 0.013, 6e-6
WRITE, WRITE_GROWTH = 0.021, 1.8e-5
SAMPLE = 0.02


class _Machine:
    """An engine on a clock of its own."""

    def __init__(self, context: int, quicker: float) -> None:
        self.now = 0.0
        self.context = context
        self.tokenizer = SimpleNamespace(vocab_size=1000)
        self._quicker = quicker
        self.margins: dict[tuple[bool, bool], float] = {}

    def monotonic(self) -> float:
        return self.now

    def spend(self, seconds: float) -> None:
        self.now += seconds / self._quicker

    def generate(self, prompt: list[int], most: int, *_: object) -> Any:
        assert len(prompt) + most <= self.context

        def tokens() -> Iterator[int]:
            self.spend(cost(len(prompt), 0))  # the first token comes with the prompt's last
            yield 1
            for written in range(1, most):
                self.spend(cost(len(prompt), written) - cost(len(prompt), written - 1))
                yield 1

        output = SimpleNamespace(tokens=(1,) * most)
        return _Said(tokens, output)

    def score(self, prompt: list[int], output: list[int], sampling: Sampling, tolerance: int) -> Any:
        future: Future[Any] = Future()
        margins = np.zeros(len(output))
        margins[-1] = self.margins.get((sampling.temperature == 0, tolerance == 0), 0.0)
        future.set_result(margins)
        return future


class _Said:
    def __init__(self, tokens: Any, output: Any) -> None:
        self._tokens, self._output = tokens, output

    def __iter__(self) -> Iterator[int]:
        return cast(Iterator[int], self._tokens())

    def result(self, _: float) -> Any:
        return self._output


def cost(prompt: int, output: int, sampled: bool = False) -> float:
    """Seconds, token by token."""
    read = sum(READ + READ_GROWTH * at for at in range(prompt))
    return read + sum(
        WRITE + WRITE_GROWTH * at + (SAMPLE if sampled else 0.0) for at in range(prompt, prompt + output)
    )


def _self_tested(
    monkeypatch: pytest.MonkeyPatch, context: int, quicker: float = 1.0
) -> tuple[_Machine, Speed]:
    machine = _Machine(context, quicker)
    monkeypatch.setattr(selftest, "time", machine)
    monkeypatch.setattr(selftest, "bit_class", lambda *_: TOLERANT)
    monkeypatch.setattr(selftest, "choose", lambda *_: machine.spend(SAMPLE))
    _, speed = selftest.self_test(cast(LlamaEngine, machine), _manifest(FLOORS))
    return machine, speed


def _manifest(rules: Verification) -> Manifest:
    manifest = SimpleNamespace(name="m", weights=SimpleNamespace(cid="c"), verification=rules)
    return cast(Manifest, manifest)


NONE = {"refuse_max": 0, "refuse_mean": 0, "slash_max": 0, "slash_mean": 0}


@pytest.mark.parametrize("tier", ["exact", "greedy", "sampled"])
def test_a_node_declines_what_would_slash_its_honest_answers(
    monkeypatch: pytest.MonkeyPatch, tier: str
) -> None:
    rules = FLOORS.model_dump()
    if tier == "exact":
        rules["exact"]["slash_max"] = 0
    else:
        rules["tolerant"][tier] = NONE
    monkeypatch.setattr(selftest, "bit_class", lambda *_: b"\1" * 32)
    machine = cast(LlamaEngine, _Machine(512, 1.0))
    with pytest.raises(ModelError, match="one to slash"):
        selftest.self_test(machine, _manifest(Verification.model_validate(rules)))


@pytest.mark.parametrize("greedy", [True, False])
def test_a_node_declines_what_its_answers_are_too_far_off_for(
    monkeypatch: pytest.MonkeyPatch, greedy: bool
) -> None:
    monkeypatch.setattr(selftest, "bit_class", lambda *_: TOLERANT)
    machine = _Machine(512, 1.0)
    machine.margins[greedy, False] = 0.051
    with pytest.raises(ModelError, match="one to refuse"):
        selftest.self_test(cast(LlamaEngine, machine), _manifest(FLOORS))


@pytest.mark.parametrize("greedy", [True, False])
def test_what_is_not_exact_is_offered_in_class_0(monkeypatch: pytest.MonkeyPatch, greedy: bool) -> None:
    monkeypatch.setattr(selftest, "bit_class", lambda *_: b"\1" * 32)
    machine = _Machine(512, 1.0)
    machine.margins[greedy, True] = 1e-6
    offered, _ = selftest.self_test(cast(LlamaEngine, machine), _manifest(FLOORS))
    assert offered == TOLERANT


@pytest.mark.parametrize(
    ("prompt", "output", "sampled"),
    [
        (32, 64, False),
        (3900, 100, False),
        (1, 4000, False),
        (32, 64, True),
        (3900, 100, True),
        (1, 4000, True),
    ],
)
def test_no_job_costs_more_than_is_promised(
    monkeypatch: pytest.MonkeyPatch, prompt: int, output: int, sampled: bool
) -> None:
    _, speed = _self_tested(monkeypatch, 4096)
    real = cost(prompt, output, sampled)
    assert 0.97 * real <= speed.alone(prompt, output, sampled) <= 1.1 * real


@pytest.mark.parametrize("context", [16, 40, 64, 512, 4096])
@pytest.mark.parametrize("quicker", [0.1, 1.0, 100.0])
def test_the_test_ends_soon_and_fits_the_context(
    monkeypatch: pytest.MonkeyPatch, context: int, quicker: float
) -> None:
    machine, speed = _self_tested(monkeypatch, context, quicker)
    assert machine.now < 10 + 3 / quicker
    assert speed.alone(1, 1) > 0
