"""Repeating a segment: honest runs pass, every cheat is found; what can't be had is no proof of a lie."""

import dataclasses
import struct

import numpy as np
import pytest
import tiny_model

from agents.protocol.cid import Cid
from agents.storage.errors import NotStored
from agents.storage.local import LocalStore
from agents.tuning.abi import Op, Task
from agents.tuning.build import shipped
from agents.tuning.calls import Call, Item
from agents.tuning.errors import BadTrace, Diverged
from agents.tuning.host import Pair, answering
from agents.tuning.module import Module
from agents.tuning.replay import replay_records
from agents.tuning.runner import Job, read, run
from agents.tuning.sandbox import Sandbox
from agents.tuning.state import State
from agents.tuning.submission import Submission
from agents.tuning.trace import Checkpoint, Trace
from agents.tuning.verify import repeat

pytest.importorskip("torch", reason="torch is not installed: `make test` brings it")

from agents.tuning.policy import LlamaPolicy
from agents.tuning.training import TorchHost, Training

DRAW = np.random.default_rng(11)


def text(length):
    return tuple(int(t) for t in DRAW.integers(3, tiny_model.VOCABULARY, length))


PAIRS = [Pair(text(8), text(6), text(7)) for _ in range(12)]
SEED = 21


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return tiny_model.write(tmp_path_factory.mktemp("tiny") / "tiny.gguf")


@pytest.fixture(scope="module")
def stage(tiny, tmp_path_factory):
    """A store, hosts, tasks and honest runs of the shipped functions."""

    class Stage:
        def __init__(self):
            self.store = LocalStore(tmp_path_factory.mktemp("store"))
            self.sampler = LlamaPolicy(tiny, context=128)
            self.boxes: dict[str, Sandbox] = {}
            self.runs: dict[str, Trace] = {}
            self.params = {
                "dpo": struct.pack("<iff", 2, 5e-3, 0.5),
                "policy_gradient": struct.pack("<if", 3, 5e-3),
                "best_of_n": struct.pack("<iifi", 2, 3, 5e-3, 6),
            }

        def host(self, pairs=PAIRS, seed=SEED):
            return TorchHost(Training(tiny, seed=seed), pairs, self.sampler)

        def box(self, name):
            return self.boxes.setdefault(name, Sandbox(Module(shipped(name))))

        def job(self, name, **given):
            task = Task(0, 1, 5, len(PAIRS), tiny_model.VOCABULARY, tiny_model.CONTEXT)
            return Job(task, self.params[name], name, "w", None, bytes(32), **{"segments": 3, **given})

        def run(self, name):
            if name not in self.runs:
                done = run(self.box(name), self.host(), self.job(name), self.store)
                assert done.stopped is None
                self.runs[name] = done.trace
            return self.runs[name]

        def repeat(self, name, trace, number, **given):
            host = given.pop("host", None) or self.host()
            return repeat(self.box(name), host, self.job(name), trace, number, self.store, **given)

    found = Stage()
    yield found
    found.sampler.close()


@pytest.mark.parametrize("name", ["dpo", "policy_gradient", "best_of_n"])
def test_every_segment_of_an_honest_run_passes_exactly(stage, name):
    trace = stage.run(name)
    found = [stage.repeat(name, trace, number) for number in range(3)]
    assert sum(f.steps for f in found) == trace.steps
    for f in found:
        assert (f.drift.adapter, f.drift.moments, f.reply, f.margin) == (0, 0, 0, 0)
        assert f.drift.update > 0


def end_with(trace, stage, number, change):
    """The trace as if segment `number` had ended with a changed state, in the order a liar would make it."""
    end = trace.segment(number).end
    host = stage.host()
    state = State.load(read(stage.store, end.state, 1 << 30), host._shapes())
    forged = Checkpoint(end.memory, stage.store.add_bytes(change(state).to_bytes()))
    records = tuple(
        dataclasses.replace(r, checkpoint=forged) if r.checkpoint == end else r for r in trace.records
    )
    return Trace(trace.header, records)


def test_noise_in_place_of_training_is_found(stage):
    trace = stage.run("dpo")
    start = State.load(read(stage.store, trace.segment(1).start.state, 1 << 30), stage.host()._shapes())

    def noise(state):
        draw = np.random.default_rng(0)
        values = {}
        for name, value in state.values.items():
            moved = np.linalg.norm(value - start.values[name])
            direction = draw.standard_normal(value.shape)
            step = moved * direction / np.linalg.norm(direction)
            values[name] = (start.values[name] + step).astype(np.float32)
        return dataclasses.replace(state, values=values)

    with pytest.raises(Diverged, match="segment 1 ends 1.* of its update away"):
        stage.repeat("dpo", end_with(trace, stage, 1, noise), 1)


def test_a_step_that_was_skipped_is_found(stage):
    """Replies are copied from an honest run, but one gradient step was never taken."""
    trace = stage.run("dpo")
    segment = trace.segment(1)
    host = stage.host()
    host.restore(read(stage.store, segment.start.state, 1 << 30))
    skipping = Skipping(host, skip=1)
    lazy = end_with(trace, stage, 1, lambda _: skipping.state_after(stage, segment))
    with pytest.raises(Diverged, match="segment 1 ends"):
        stage.repeat("dpo", lazy, 1)


class Skipping:
    def __init__(self, host, skip):
        self.host, self.skip = host, skip

    def state_after(self, stage, segment):
        answer, seen = answering(self.host, stage.job("dpo").task, stage.params["dpo"]), []

        def watch(call, said, place):
            if call.op.name == "GRADIENT":
                seen.append(call)
                if len(seen) > self.skip:
                    answer(call)

        replay_records(
            stage.box("dpo"), segment.records, read(stage.store, segment.start.memory, 1 << 26), watch
        )
        found = State.load(self.host.state(), self.host._shapes())
        return dataclasses.replace(found, steps=found.steps + self.skip)


def test_a_copied_adapter_is_found(stage):
    """Somebody else's end state, from another task's seed, under one's own trace."""
    other = stage.host(seed=99)
    items = (Item(PAIRS[0].prompt, PAIRS[0].better),)
    other.gradient(Call(Op.GRADIENT, b"", rate=1e-3, items=items))
    shapes = other._shapes()
    foreign = State.load(other.state(), shapes)
    copied = end_with(
        stage.run("dpo"), stage, 2, lambda s: dataclasses.replace(foreign, seed=s.seed, steps=s.steps)
    )
    with pytest.raises(Diverged, match="segment 2 ends"):
        stage.repeat("dpo", copied, 2)


def test_a_run_that_was_begun_from_something_trained_is_found(stage):
    """A trace made up after the fact: what comes out at the end stands at the beginning already."""
    trace = stage.run("dpo")
    first = trace.records[0].checkpoint
    forged = Checkpoint(first.memory, trace.final.state)
    records = (dataclasses.replace(trace.records[0], checkpoint=forged), *trace.records[1:])
    with pytest.raises(Diverged, match="untrained adapter"):
        stage.repeat("dpo", Trace(trace.header, records), 0)


def test_other_data_is_found(stage):
    """The run was made on preferences that are not the batch's."""
    others = [Pair(p.prompt, p.worse, p.better) for p in PAIRS]
    forged = run(stage.box("dpo"), stage.host(others), stage.job("dpo"), stage.store).trace
    with pytest.raises(Diverged, match="preference is not this task's"):
        stage.repeat("dpo", forged, 0)


@pytest.mark.parametrize("name", ["policy_gradient", "dpo"])
def test_a_forged_number_is_found(stage, name):
    """The program takes it: only a host can tell. DPO only logs its loss, so nothing else would notice."""
    trace = stage.run(name)
    records = list(trace.records)
    calls = list(records[1].calls)
    place = next(i for i, c in enumerate(calls) if isinstance(c.value, float))
    calls[place] = dataclasses.replace(calls[place], value=calls[place].value * 1.5)
    records[1] = dataclasses.replace(records[1], calls=tuple(calls))
    with pytest.raises(Diverged, match="step 0, call"):
        stage.repeat(name, Trace(trace.header, tuple(records)), 0)


def test_a_forged_sample_is_found(stage):
    trace = stage.run("best_of_n")
    records = list(trace.records)
    calls = list(records[1].calls)
    place = next(i for i, c in enumerate(calls) if c.op.name == "SAMPLE")
    calls[place] = dataclasses.replace(calls[place], data=calls[place].data[:-4] + struct.pack("<I", 50))
    records[1] = dataclasses.replace(records[1], calls=tuple(calls))
    with pytest.raises(Diverged, match="logits off what the model says"):
        stage.repeat("best_of_n", Trace(trace.header, tuple(records)), 0)


def test_another_tasks_trace_is_found(stage):
    trace = stage.run("dpo")
    other = dataclasses.replace(stage.job("dpo"), params=b"")
    with pytest.raises(Diverged, match="header"):
        repeat(stage.box("dpo"), stage.host(), other, trace, 0, stage.store)


def test_an_honest_machine_that_rounds_otherwise_passes(stage):
    """Differences as another instruction set makes them pass; ten thousand times larger ones don't."""
    trace = stage.run("dpo")

    def rounded(by):
        def change(state):
            draw = np.random.default_rng(3)
            values = {
                name: value
                + (by * np.abs(value).mean() * draw.standard_normal(value.shape)).astype(np.float32)
                for name, value in state.values.items()
            }
            return dataclasses.replace(state, values=values)

        return end_with(trace, stage, 1, change)

    found = stage.repeat("dpo", rounded(1e-5), 1)
    assert 0 < found.drift.adapter < 0.01
    with pytest.raises(Diverged):
        stage.repeat("dpo", rounded(1e-1), 1)


def test_a_checkpoint_that_can_not_be_had_is_no_proof_of_a_lie(stage):
    trace = stage.run("dpo")
    gone = Checkpoint(Cid.of(b"gone"), Cid.of(b"gone, too"))
    records = tuple(dataclasses.replace(r, checkpoint=gone) if r.checkpoint else r for r in trace.records)
    with pytest.raises(NotStored):
        stage.repeat("dpo", Trace(trace.header, records), 1)


def test_a_checkpoint_that_is_none_is_a_lie(stage):
    trace = stage.run("dpo")
    nonsense = stage.store.add_bytes(b"nonsense")
    for number, why in ((1, "begins with no state"), (0, "ends with no state")):
        boundary = trace.segment(1).start
        forged = Checkpoint(boundary.memory, nonsense)
        records = tuple(
            dataclasses.replace(r, checkpoint=forged) if r.checkpoint == boundary else r
            for r in trace.records
        )
        with pytest.raises(Diverged, match=why):
            stage.repeat("dpo", Trace(trace.header, records), number)


def test_a_submission_names_what_an_auditor_needs(stage):
    trace = stage.run("dpo")
    made = Submission.of(trace, b"adapter", stage.store)
    found = Submission.load(made.to_bytes(), made.digest())
    assert found == made
    assert found.units == trace.work
    assert found.preferences == tuple(range(len(PAIRS)))
    again = found.fetch_trace(stage.store)
    assert stage.repeat("dpo", again, 2).drift.adapter == 0
    with pytest.raises(BadTrace, match="not the index"):
        Submission.load(made.to_bytes(), bytes(32))
    lying = dataclasses.replace(made, units=made.units + 1)
    with pytest.raises(BadTrace, match="units"):
        Submission.load(lying.to_bytes()).fetch_trace(stage.store)
    for data in (b"{}", b"[]", b"\xff", made.to_bytes().replace(b'"units":', b'"units":-')):
        with pytest.raises(BadTrace):
            Submission.load(data)
