"""Training on a small model: what is served moves as what was trained, and the same bits come out again."""

import dataclasses

import numpy as np
import pytest
import tiny_model

from agents.engine.errors import ModelFileError
from agents.tuning import extra, layout
from agents.tuning.abi import Loss, Op, Policy
from agents.tuning.adapter import Adapter, Layer, load
from agents.tuning.calls import Call, Item
from agents.tuning.errors import BadAdapter, BadLoss, NotInstalled, UnsupportedModel
from agents.tuning.host import Pair
from agents.tuning.state import State

pytest.importorskip("torch", reason="torch is not installed: `make test` brings it")

from agents.tuning.lora import first_a
from agents.tuning.policy import LlamaPolicy
from agents.tuning.training import TorchHost, Training
from agents.tuning.weights import Weights

DRAW = np.random.default_rng(5)


def text(length):
    return tuple(int(t) for t in DRAW.integers(3, tiny_model.VOCABULARY, length))


FIRST = (-0.10153904557228088, -0.051860958337783813)
PAIRS = [Pair(text(9), text(7), text(8)) for _ in range(6)]


def item(pair, weight=1.0):
    return Item(pair.prompt, pair.better, weight, pair.worse)


def gradient(loss=Loss.DPO, items=None, rate=5e-3, beta=0.5):
    items = tuple(items if items is not None else map(item, PAIRS))
    if loss is not Loss.DPO:
        items = tuple(dataclasses.replace(i, worse=()) for i in items)
    return Call(Op.GRADIENT, b"", loss=loss, items=items, rate=rate, beta=beta)


def scored(policy, pair):
    return Call(Op.SCORE, b"", policy=policy, prompt=pair.prompt, answer=pair.better)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    return tiny_model.write(tmp_path_factory.mktemp("tiny") / "tiny.gguf")


@pytest.fixture
def make(tiny):
    return lambda **given: TorchHost(Training(given.pop("weights", tiny), **{"seed": 7, **given}), PAIRS)


@pytest.fixture
def host(make):
    return make()


@pytest.fixture(scope="session")
def served(tiny):
    policies = []

    def serve(adapter=None, parent=None):
        policies.append(LlamaPolicy(tiny, parent, context=128))
        policies[-1].use(adapter)
        return policies[-1]

    yield serve
    for policy in policies:
        policy.close()


def trained(host, steps=6):
    return [host.gradient(gradient()) for _ in range(steps)]


def test_before_any_step_the_model_is_its_parent(host, served):
    for pair in PAIRS:
        own, parent = host.score(scored(Policy.OWN, pair)), host.score(scored(Policy.PARENT, pair))
        assert own == parent
        there = served().log_probabilities(pair.prompt, pair.better).sum()
        assert parent == pytest.approx(there, abs=0.2)  # llama.cpp's cache has 8 bits


def test_what_llama_cpp_serves_moves_as_it_did_in_training(host, served):
    losses = trained(host)
    assert losses[-1] < losses[0] / 2
    policy, plain = served(host.adapter()), served()
    for pair in PAIRS:
        for answer, sign in ((pair.better, 1), (pair.worse, -1)):
            here = host.log_probability(pair.prompt, answer) - host.log_probability(
                pair.prompt, answer, parent=True
            )
            there = float(
                (
                    policy.log_probabilities(pair.prompt, answer)
                    - plain.log_probabilities(pair.prompt, answer)
                ).sum()
            )
            assert here * sign > 0.5
            assert there == pytest.approx(here, abs=0.05 + 0.02 * abs(here))


def test_without_reordering_q_and_k_it_would_not(host, served):
    """The test above would notice: the same adapter with rows of B in PyTorch's order is another one."""
    trained(host)
    good = host.adapter()
    shape = host.shape
    layers = {
        name: Layer(layer.a, layout.from_gguf(layer.b, layout.heads_of(name, shape.heads, shape.kv_heads)))
        for name, layer in good.layers.items()
    }
    wrong = Adapter(good.alpha, layers)
    right, off = served(good), served(wrong)
    apart = max(
        abs(
            float(
                (
                    right.log_probabilities(p.prompt, p.better) - off.log_probabilities(p.prompt, p.better)
                ).sum()
            )
        )
        for p in PAIRS
    )
    assert apart > 0.3


@pytest.mark.parametrize("loss", list(Loss))
def test_every_loss_is_what_it_says(host, loss):
    import torch

    items = [item(PAIRS[0], 2.0), item(PAIRS[1], -0.5)]
    trained(host, 1)
    own = [[host.log_probability(i.prompt, a) for a in (i.answer, i.worse)] for i in items]
    parent = [[host.log_probability(i.prompt, a, parent=True) for a in (i.answer, i.worse)] for i in items]
    if loss is Loss.SFT:
        expected = -(own[0][0] + own[1][0]) / sum(len(i.answer) for i in items)
    elif loss is Loss.DPO:
        moved = [(o[0] - p[0]) - (o[1] - p[1]) for o, p in zip(own, parent, strict=True)]
        expected = float(-torch.nn.functional.logsigmoid(torch.tensor(moved) * 0.5).mean())
    else:
        expected = -sum(i.weight * o[0] / len(i.answer) for i, o in zip(items, own, strict=True)) / 2
    assert host.gradient(gradient(loss, items)) == pytest.approx(expected, rel=1e-4)


def test_items_one_after_the_other_make_the_gradient_of_the_whole_batch(make):
    """Against autograd on the summed loss and torch's own AdamW, on PEFT's own parameters."""
    import torch

    host, other = make(), make()
    host.gradient(gradient(rate=1e-3))
    model, parameters = other._model, list(other._parameters.values())
    optimizer = torch.optim.AdamW(parameters, lr=1e-3, weight_decay=0.0)
    total = sum(other._dpo(item(pair), 0.5) for pair in PAIRS) / len(PAIRS)
    total.backward()
    torch.nn.utils.clip_grad_norm_(parameters, 1.0)
    optimizer.step()
    assert model is not host._model
    for name, found in host._parameters.items():
        assert torch.allclose(found, other._parameters[name], atol=1e-6), name


def test_the_same_steps_give_the_same_bits(make):
    first, second = make(), make(threads=2)
    assert trained(first, 3) == trained(second, 3)
    assert first.state() == second.state()
    assert first.adapter().to_bytes() == second.adapter().to_bytes()


def test_a_run_goes_on_from_a_checkpoint_as_if_nothing_had_been(make):
    whole, broken = make(), make()
    trained(whole, 4)
    trained(broken, 2)
    kept = broken.state()
    trained(broken, 1)
    again = make()
    for host in (broken, again):
        host.restore(kept)
        assert host.state() == kept
        trained(host, 2)
        assert host.state() == whole.state()


def test_the_first_a_is_the_same_everywhere_and_the_seeds():
    a = first_a(7, "blk.0.attn_q.weight", 2, 64)
    # Fixed: another value here means that shards of different versions can't be merged.
    assert a[0, :2].tolist() == list(FIRST)
    assert np.abs(a).max() <= 1 / 8
    assert abs(float(a.mean())) < 0.02
    assert not np.array_equal(a, first_a(8, "blk.0.attn_q.weight", 2, 64))


def test_a_parents_adapter_is_part_of_the_model(host, make, served):
    trained(host)
    parent = host.adapter()
    child = make(parent=parent)
    pair = PAIRS[0]
    assert child.score(scored(Policy.PARENT, pair)) == pytest.approx(
        host.score(scored(Policy.OWN, pair)), abs=0.02
    )
    before = child.score(scored(Policy.OWN, pair))
    child.gradient(gradient(Loss.SFT, [item(pair)], rate=1e-2))
    moved = child.score(scored(Policy.OWN, pair)) - before
    assert moved > 0.3
    both, alone = served(child.adapter(), parent), served(None, parent)
    there = both.log_probabilities(pair.prompt, pair.better) - alone.log_probabilities(
        pair.prompt, pair.better
    )
    assert float(there.sum()) == pytest.approx(moved, abs=0.05)


def test_samples_are_the_same_for_everybody_and_can_be_checked(host, served):
    trained(host)
    call = Call(
        Op.SAMPLE, b"", prompt=PAIRS[0].prompt, max_tokens=24, temperature=900_000, top_p=950_000, seed=3
    )
    policy = served(host.adapter())
    said = policy.sample(call)
    assert served(host.adapter()).sample(call) == said
    assert policy.margin(call, said) == 0.0
    assert served().margin(call, said) > 0.1
    assert policy.sample(dataclasses.replace(call, seed=4)) != said
    assert policy.margin(call, (*said[:-1], (said[-1] + 1) % 90 + 3)) > 0
    assert policy.margin(call, said[:3]) == float("inf")
    assert policy.margin(call, ()) == float("inf")


def test_a_host_samples_from_its_last_checkpoint(tiny):
    sampler = LlamaPolicy(tiny, context=128)
    host = TorchHost(Training(tiny, seed=7), PAIRS, sampler)
    call = Call(Op.SAMPLE, b"", policy=Policy.OWN, prompt=PAIRS[0].prompt, max_tokens=16, seed=3)
    host.state()
    before = host.sample(call)
    assert before == host.sample(dataclasses.replace(call, policy=Policy.PARENT))
    trained(host)
    assert host.sample(call) == before
    kept = host.state()
    after = host.sample(call)
    assert after != before
    again = TorchHost(Training(tiny, seed=7), PAIRS, sampler)
    again.restore(kept)
    assert again.sample(call) == after
    sampler.close()


def test_a_batch_that_wrecks_the_model_leaves_it_as_it_was(host):
    trained(host, 1)
    before = host.state()
    with pytest.raises(BadLoss):
        host.gradient(gradient(Loss.POLICY, [item(PAIRS[0], float("inf"))]))
    assert host.state() == before


def test_what_is_no_state_is_refused(host, make):
    good = host.state()
    shapes = {name: tuple(p.shape) for name, p in host._parameters.items()}
    found = State.load(good, shapes)
    name = next(iter(shapes))

    def with_value(value):
        values = {**found.values, name: value}
        return dataclasses.replace(found, values=values).to_bytes()

    bad = {
        "no safetensors": b"nonsense",
        "float32 of shape": with_value(found.values[name][:1]),
        "no training gives": with_value(np.full_like(found.values[name], np.nan)),
        "missing or too much": dataclasses.replace(found, first={}).to_bytes(),
        "of seed 8": dataclasses.replace(found, seed=8).to_bytes(),
    }
    for why, data in bad.items():
        with pytest.raises(BadAdapter, match=why):
            make().restore(data)


def test_an_adapter_survives_its_file(host, tmp_path):
    trained(host, 1)
    adapter = host.adapter()
    path = tmp_path / "adapter.gguf"
    adapter.write(path)
    found = Adapter.read(path)
    assert found.to_bytes() == path.read_bytes()
    assert found.scale == 2.0
    found.check_fits(host.shape.linears)
    for name, layer in adapter.layers.items():
        assert np.array_equal(layer.b, found.layers[name].b)


def test_bad_adapters_are_refused_with_a_reason(host, tiny, tmp_path):
    adapter = host.adapter()
    name, layer = next(iter(adapter.layers.items()))
    with pytest.raises(BadAdapter, match="not finite"):
        Adapter(16, {name: Layer(layer.a, np.full_like(layer.b, np.nan))})
    with pytest.raises(BadAdapter, match="don't fit"):
        Adapter(16, {name: Layer(layer.a[:3], layer.b)})
    wide = np.zeros((65, 4), dtype=np.float16)
    with pytest.raises(BadAdapter, match="rank 65"):
        Adapter(16, {name: Layer(wide, wide.T)})
    with pytest.raises(BadAdapter, match="alpha is nan"):
        Adapter(float("nan"), adapter.layers)
    with pytest.raises(BadAdapter, match="does not have"):
        Adapter(16, {"blk.9.attn_q.weight": layer}).check_fits(host.shape.linears)
    with pytest.raises(BadAdapter, match="is for shape"):
        Adapter(16, {name: Layer(layer.a[:, :5], layer.b)}).check_fits(host.shape.linears)
    for data in (b"", b"GGUF", adapter.to_bytes()[:-200], b"GGUF" + bytes(100)):
        with pytest.raises(BadAdapter):
            load(data)
    with pytest.raises(BadAdapter, match="no LoRA"):
        Adapter.read(tiny)
    with pytest.raises(BadAdapter):
        Adapter.read(tmp_path / "gone.gguf")


def test_other_weights_are_refused(tmp_path):
    import gguf

    writer = gguf.GGUFWriter(tmp_path / "other.gguf", "gemma3")
    writer.add_tensor("token_embd.weight", np.zeros((4, 4), dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(UnsupportedModel, match="gemma3"):
        Weights(tmp_path / "other.gguf")
    with pytest.raises(ModelFileError):
        Weights(tmp_path / "gone.gguf")


def test_a_missing_package_says_what_to_install():
    with pytest.raises(NotInstalled, match=r"pip install 'capek\[tuning\]'"):
        extra.load("surely_not_there")
