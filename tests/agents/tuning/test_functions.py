"""The shipped functions do what they say, and building them gives the modules that are shipped."""

import random
import struct

import numpy as np
import pytest

from agents.storage.local import LocalStore
from agents.tuning.abi import Limits, Loss, Op, Policy, Task
from agents.tuning.build import NAMES, SHIPPED, build, new, shipped
from agents.tuning.dry import DryHost, made_up
from agents.tuning.errors import BadFunction, BuildFailed
from agents.tuning.host import Pair
from agents.tuning.module import Module
from agents.tuning.replay import replay
from agents.tuning.runner import Job, run
from agents.tuning.sandbox import Sandbox

VOCABULARY = 1000
PAIRS = made_up(11, VOCABULARY)


@pytest.fixture(scope="module")
def functions():
    return {name: Sandbox(Module(shipped(name))) for name in NAMES}


@pytest.fixture
def tune(functions, tmp_path):
    def tune(name, params=b"", *, shard=0, shards=1, pairs=PAIRS, max_work=1 << 40, host=None):
        host = host or DryHost(pairs, VOCABULARY)
        task = Task(shard, shards, 5, len(pairs), VOCABULARY, 256)
        job = Job(task, params, "", "", None, bytes(32), max_work=max_work)
        lines = []
        done = run(functions[name], host, job, LocalStore(tmp_path / "store"), logged=lines.append)
        replay(functions[name], done.trace)
        return host, done, lines

    return tune


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_function_is_sound_and_small(functions, name):
    functions[name].check()
    assert functions[name].module.size < 20_000


def test_dpo_goes_over_every_pair_once(tune):
    host, done, lines = tune("dpo", struct.pack("<iff", 4, 2e-4, 0.2))
    assert done.stopped is None
    assert [len(c.items) for c in host.seen] == [4, 4, 3]
    assert all(c.loss is Loss.DPO for c in host.seen)
    items = [item for call in host.seen for item in call.items]
    assert [(i.prompt, i.answer, i.worse) for i in items] == [(p.prompt, p.better, p.worse) for p in PAIRS]
    assert host.seen[0].beta == np.float32(0.2)
    assert host.seen[0].rate == pytest.approx(2e-4 / 5)
    assert lines[0].startswith("step 0: 4 pairs, loss ")


def test_a_batch_larger_than_its_first_room_arrives_whole(tune):
    draw = random.Random(2)
    pairs = [
        Pair(*(tuple(draw.randrange(VOCABULARY) for _ in range(80)) for _ in range(3))) for _ in range(120)
    ]
    host, done, _ = tune("dpo", struct.pack("<i", 64), pairs=pairs)
    assert done.stopped is None
    found = [(i.prompt, i.answer, i.worse) for call in host.seen for i in call.items]
    assert found == [(p.prompt, p.better, p.worse) for p in pairs]


def test_shards_share_the_preferences_without_overlap(tune):
    seen = []
    for shard in range(3):
        host, _, _ = tune("dpo", shard=shard, shards=3)
        seen += [item.prompt for call in host.seen for item in call.items]
    assert sorted(seen) == sorted(p.prompt for p in PAIRS)


def test_passes_go_round(tune):
    host, _, _ = tune("dpo", struct.pack("<iffi", 8, 1e-4, 0.1, 2))
    assert sum(len(c.items) for c in host.seen) == 2 * len(PAIRS)


def test_best_of_n_learns_the_answer_with_the_highest_reward(functions, tune):
    # Token 7 occurs in preferred answers only, 9 in the others: an answer full of 7 must win.
    pairs = [Pair((1, 2), (7, 7, 5), (9, 9, 5)) for _ in range(4)]

    class Sampler(DryHost):
        count = 0

        def sample(self, call):
            assert call.policy is Policy.OWN
            self.count += 1
            return {1: (9, 9), 2: (7, 7, 7, 7), 0: (5, 6)}[self.count % 3]

    host = Sampler(pairs, VOCABULARY)
    _, done, lines = tune("best_of_n", struct.pack("<iif", 3, 2, 1e-5), pairs=pairs, host=host)
    assert done.stopped is None
    assert host.count == 4 * 3
    assert [c.loss for c in host.seen] == [Loss.SFT, Loss.SFT]
    assert {item.answer for call in host.seen for item in call.items} == {(7, 7, 7, 7)}
    seeds = [c.digest for r in done.trace.records for c in r.calls if c.op is Op.SAMPLE]
    assert len(set(seeds)) == len(seeds)
    assert "reward" in lines[0]


def test_best_of_n_keeps_the_preferred_answer_where_no_sample_is_better(tune):
    pairs = [Pair((1, 2), (7, 7), (9, 9)) for _ in range(2)]

    class Sampler(DryHost):
        def sample(self, call):
            return (9,)

    host, _, _ = tune("best_of_n", pairs=pairs, host=Sampler(pairs, VOCABULARY))
    assert {item.answer for call in host.seen for item in call.items} == {(7, 7)}


def test_the_policy_gradient_weighs_by_score_and_ratio_and_clips(tune):
    pairs = [Pair((1,), (2, 3), (4, 5)), Pair((1,), (6, 7), (8, 9))]
    now = {(2, 3): 0.2, (4, 5): 0.0, (6, 7): 2.0, (8, 9): -2.0}

    class Moved(DryHost):
        def score(self, call):
            return -5.0 + (now[call.answer] if call.policy is Policy.OWN else 0.0)

    host, done, _ = tune("policy_gradient", pairs=pairs, host=Moved(pairs, VOCABULARY))
    assert done.stopped is None
    (call,) = host.seen
    assert call.loss is Loss.POLICY
    # The second pair has moved beyond the clip both ways, so only the first is left.
    assert [(i.answer, pytest.approx(i.weight, rel=1e-6)) for i in call.items] == [
        ((2, 3), float(np.exp(0.1))),
        ((4, 5), -1.0),
    ]


@pytest.mark.parametrize("name", NAMES)
def test_without_preferences_a_function_ends_at_once(tune, name):
    _, done, _ = tune(name, pairs=[])
    assert done.stopped is not None
    assert done.trace.work == 0


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("params", [b"\0", b"\xff" * 40, b"\0" * 40, bytes(range(255))])
def test_wild_parameters_stop_a_function_or_are_clamped(tune, name, params):
    _, done, _ = tune(name, params, max_work=3000)
    assert done.stopped is None or type(done.stopped).__name__ in ("BadCall", "FunctionFailed")


def test_a_function_stays_far_below_its_limits(tune):
    _, done, _ = tune("best_of_n")
    most = max(record.fuel for record in done.trace.records)
    assert most < Limits().fuel / 100


@pytest.mark.parametrize("name", NAMES)
def test_the_source_builds_to_the_module_that_is_shipped(name, tmp_path):
    if not (SHIPPED / "node_modules").exists():
        pytest.skip("AssemblyScript is not installed: `npm ci` in agents/tuning/functions")
    build(SHIPPED / "assembly" / f"{name}.ts", tmp_path / "out.wasm")
    assert (tmp_path / "out.wasm").read_bytes() == shipped(name)


def test_a_new_function_has_all_that_building_needs(tmp_path):
    source = new(tmp_path / "mine", "mine")
    assert source.read_text() == (SHIPPED / "assembly" / "dpo.ts").read_text()
    assert (tmp_path / "mine" / "package-lock.json").exists()
    with pytest.raises(BuildFailed, match="not empty"):
        new(tmp_path / "mine", "mine")
    with pytest.raises(BuildFailed, match="no name"):
        new(tmp_path / "other", "../../etc")


def test_a_source_that_does_not_compile_says_where(tmp_path):
    if not (SHIPPED / "node_modules").exists():
        pytest.skip("AssemblyScript is not installed: `npm ci` in agents/tuning/functions")
    source = new(tmp_path / "mine", "mine")
    (tmp_path / "mine" / "node_modules").symlink_to(SHIPPED / "node_modules")
    target = tmp_path / "mine.wasm"
    source.write_text("export function abi(): i32 { return nothing; }")
    with pytest.raises(BuildFailed, match="Cannot find name 'nothing'"):
        build(source, target)
    source.write_text("export function abi(): i32 { return 1; }")
    with pytest.raises(BadFunction, match="no function `init`"):
        build(source, target)
    assert not list(tmp_path.glob("*.wasm*"))
    with pytest.raises(BuildFailed, match="there is no file"):
        build(tmp_path / "gone.ts", target)
    (tmp_path / "lone.ts").write_text("")
    with pytest.raises(BuildFailed, match="package-lock"):
        build(tmp_path / "lone.ts", target)
