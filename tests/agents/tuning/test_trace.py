# ruff: noqa: E501 - a WebAssembly body reads best on one line
"""A run leaves a trace that replays bit for bit; whatever is changed in it is found and named."""

import dataclasses
import itertools
import threading

import pytest
from wasm_support import module

from agents.protocol.cid import Cid
from agents.storage.local import LocalStore
from agents.tuning.abi import Limits, Task
from agents.tuning.dry import DryHost, made_up
from agents.tuning.errors import BadAdapter, BadTrace, Diverged
from agents.tuning.replay import replay, replay_segment
from agents.tuning.runner import Job, read, run
from agents.tuning.sandbox import Sandbox
from agents.tuning.trace import Trace
from agents.tuning.verify import confirm_fault

VOCABULARY = 500
LIMITS = Limits(fuel=2_000_000, memory=1 << 20)
# One SFT item per step, straight from preference i: the record is rewritten as a batch in place.
LEARN = """
  (drop (call $preference (local.get $i) (i32.const 1024) (i32.const 4096)))
  (i32.store (i32.const 1024) (i32.load (i32.const 1024)))
  (i32.store (i32.const 2048) (i32.const 1))
  (i32.store (i32.const 2052) (i32.load (i32.const 1024)))
  (i32.store (i32.const 2056) (i32.load (i32.const 1028)))
  (memory.copy (i32.const 2060) (i32.const 1036)
    (i32.mul (i32.const 4) (i32.add (i32.load (i32.const 1024)) (i32.load (i32.const 1028)))))
  (f64.store (i32.const 8) (f64.add (f64.load (i32.const 8)) (call $gradient (i32.const 0) (i32.const 2048)
    (i32.add (i32.const 12) (i32.mul (i32.const 4) (i32.add (i32.load (i32.const 1024)) (i32.load (i32.const 1028)))))
    (f32.const 1e-4) (f32.const 0))))
  (i32.const 0)"""


def host():
    return DryHost(made_up(16, VOCABULARY), VOCABULARY)


def job(**given):
    task = Task(0, 2, given.pop("seed", 77), 16, VOCABULARY, 256)
    return Job(task, b"params", "bafkfunction", "bafkweights", None, bytes(32), **{"segments": 3, **given})


@pytest.fixture
def store(tmp_path):
    return LocalStore(tmp_path / "store")


@pytest.fixture(scope="module")
def learner():
    return Sandbox(module(LEARN, imports="preference gradient"), LIMITS)


@pytest.fixture
def done(learner, store):
    return run(learner, host(), job(), store).trace


def test_a_run_replays_bit_for_bit(learner, done):
    assert [r.step for r in done.records] == [-1, *range(10)]
    assert [r.step for r in done.records if r.checkpoint] == [-1, 2, 5, 9]
    assert done.preferences == tuple(range(10))
    assert done.work > 0
    replay(learner, done)


def test_the_same_run_has_the_same_root(learner, done, tmp_path):
    again = run(learner, host(), job(), LocalStore(tmp_path / "other")).trace
    assert again.root() == done.root()


def test_every_segment_replays_alone_from_its_checkpoint(learner, done, store):
    steps = []
    for number in range(3):
        segment = done.segment(number)
        steps += [record.step for record in segment.records]
        assert segment.end == segment.records[-1].checkpoint
        replay_segment(learner, done, number, read(store, segment.start.memory, 1 << 20))
    assert steps == list(range(10))
    for number in (-1, 3):
        with pytest.raises(BadTrace, match="3 segments"):
            done.segment(number)


@pytest.mark.parametrize("count", [1, 2, 7, 10, 16, 256])
def test_a_trace_is_cut_into_as_many_segments_as_the_terms_say(learner, store, count):
    trace = run(learner, host(), job(segments=count), store).trace
    cuts = [trace.segment(number) for number in range(count)]
    assert [r.step for cut in cuts for r in cut.records] == list(range(10))
    assert all(a.end == b.start for a, b in itertools.pairwise(cuts))
    assert cuts[-1].end == trace.final
    assert max(len(cut.records) for cut in cuts) == -(-10 // count)


def test_a_trace_survives_its_byte_form(done):
    data = done.to_bytes()
    assert Trace.load(data, done.root()) == done
    with pytest.raises(BadTrace, match="committed to"):
        Trace.load(data, bytes(32))


@pytest.mark.parametrize("cut", [0, 5, 20, 200, -1, -40])
def test_a_cut_trace_is_refused(done, cut):
    with pytest.raises(BadTrace):
        Trace.load(done.to_bytes()[:cut])


def test_a_damaged_trace_is_refused_or_has_another_root(done):
    data = bytearray(done.to_bytes())
    for at in range(0, len(data), 37):
        data[at] ^= 0x41
        with pytest.raises(BadTrace):
            Trace.load(bytes(data), done.root())
        data[at] ^= 0x41


def changed(trace, step, **fields):
    records = tuple(dataclasses.replace(r, **fields) if r.step == step else r for r in trace.records)
    return Trace(trace.header, records)


def test_a_forged_reply_is_found_where_it_shows(learner, done):
    calls = done.records[3].calls
    forged = dataclasses.replace(calls[1], value=0.125)
    with pytest.raises(Diverged, match="step 2: the function leaves memory"):
        replay(learner, changed(done, 2, calls=(calls[0], forged)))


def test_other_data_is_found_where_the_function_uses_it(learner, done):
    other = done.records[5].calls[0].data
    calls = done.records[3].calls
    swapped = dataclasses.replace(calls[0], data=other, value=len(other))
    with pytest.raises(Diverged, match="step 2, call 1: the function calls gradient with other arguments"):
        replay(learner, changed(done, 2, calls=(swapped, calls[1])))


def test_skipped_steps_are_found(learner, done):
    short = Trace(done.header, done.records[:3] + done.records[5:])
    with pytest.raises(Diverged):
        replay(learner, short)


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"calls": ()}, "step 4, call 0: the function asks for preference, the trace ends here"),
        ({"status": 7}, "step 4: the function returns 0, the trace says 7"),
        ({"fuel": 1}, "step 4: the function used fuel"),
        ({"pages": 9}, "step 4: the function has pages"),
        ({"fault": "OutOfFuel"}, "step 4: the trace says it was stopped"),
    ],
)
def test_every_field_of_a_step_is_compared(learner, done, fields, why):
    with pytest.raises(Diverged, match=why):
        replay(learner, changed(done, 4, **fields))


def test_a_call_too_many_in_the_trace_is_found(learner, done):
    calls = done.records[5].calls
    with pytest.raises(Diverged, match="step 4: the function made fewer host calls"):
        replay(learner, changed(done, 4, calls=calls + calls[:1]))


def test_another_module_is_found(done):
    with pytest.raises(Diverged, match="another module"):
        replay(Sandbox(module(), LIMITS), done)


def test_a_killed_run_is_taken_up_at_its_last_checkpoint(learner, done, store, tmp_path):
    class Killed(BaseException):
        pass

    def die(step, steps):
        assert steps == 10
        if step == 6:
            raise Killed

    journal = tmp_path / "run" / "trace"
    with pytest.raises(Killed):
        run(learner, host(), job(), store, journal=journal, before_step=die)
    begun = []
    again = run(
        learner, host(), job(), store, journal=journal, before_step=lambda step, _: begun.append(step)
    )
    assert begun == [6, 7, 8, 9]
    assert again.trace.root() == done.root()
    assert (
        run(
            learner, host(), job(), store, journal=journal, before_step=lambda step, _: begun.append(step)
        ).trace
        == again.trace
    )
    assert len(begun) == 4


def test_a_journal_of_another_task_is_refused(learner, store, tmp_path):
    journal = tmp_path / "trace"
    run(learner, host(), job(seed=4), store, journal=journal)
    with pytest.raises(BadTrace, match="another task"):
        run(learner, host(), job(seed=5), store, journal=journal)


def test_a_run_waits_for_what_is_more_urgent(learner, done, store):
    """Nothing of a step happens until `before_step` returns, and the outcome is the same."""
    asked, go = [], threading.Semaphore(0)

    class Watched(DryHost):
        def gradient(self, call):
            asked.append(len(asked))
            return super().gradient(call)

    found = []
    thread = threading.Thread(
        target=lambda: found.append(
            run(
                learner,
                Watched(made_up(16, VOCABULARY), VOCABULARY),
                job(),
                store,
                before_step=lambda *_: go.acquire(),
            )
        )
    )
    thread.start()
    for _ in range(3):
        go.release()
    while len(asked) < 3:
        assert thread.is_alive()
    assert len(asked) == 3
    go.release(20)
    thread.join(60)
    assert found[0].trace.root() == done.root()


def test_what_is_more_urgent_goes_first_before_every_use_of_the_model(learner, store):
    order = []

    class Watched(DryHost):
        def gradient(self, call):
            order.append("gradient")
            return super().gradient(call)

    watched = Watched(made_up(16, VOCABULARY), VOCABULARY)
    run(learner, watched, job(), store, pause=lambda: order.append("pause"))
    assert order == ["pause", "pause", "gradient"] * 10


def test_no_run_is_endless_and_costs_nothing(store, monkeypatch):
    """65,536 steps that only burn fuel, or only read, end where the money does, or the trace is full."""
    text = "(i32.store (i32.const 0) (i32.const 150000)) (loop $l (i32.store (i32.const 0) (i32.sub (i32.load (i32.const 0)) (i32.const 1))) (br_if $l (i32.load (i32.const 0)))) (i32.const 0)"
    burner = Sandbox(module(text, init="(i32.const 65536)"), LIMITS)
    trace = run(burner, host(), job(max_work=20), store).trace
    assert 5 <= len(trace.records) - 1 <= 20
    assert trace.work >= 20
    assert trace.records[-1].fuel > 1_000_000
    monkeypatch.setattr("agents.tuning.runner.ENOUGH", 10_000)
    reader = Sandbox(
        module(
            "(drop (call $preference (i32.const 0) (i32.const 0) (i32.const 60000))) (i32.const 0)",
            init="(i32.const 65536)",
            imports="preference",
        ),
        LIMITS,
    )
    trace = run(reader, host(), job(), store).trace
    assert 10_000 <= len(trace.to_bytes()) < 12_000
    replay(reader, trace)


def test_work_is_capped_between_steps(learner, store):
    first = run(learner, host(), job(), store).trace.records[1].work
    trace = run(learner, host(), job(max_work=first + 1), store).trace
    assert [r.step for r in trace.records] == [-1, 0, 1]
    assert trace.records[-1].checkpoint is not None
    assert [len(trace.segment(n).records) for n in range(3)] == [2, 0, 0]
    replay(learner, trace)


def test_a_stopped_function_keeps_what_stands_and_its_fault_replays(store):
    hostile = Sandbox(
        module(
            f"(if (i32.eq (local.get $i) (i32.const 6)) (then (loop $l (br $l)))) {LEARN}",
            imports="preference gradient",
        ),
        LIMITS,
    )
    done = run(hostile, host(), job(), store)
    assert type(done.stopped).__name__ == done.trace.records[-1].fault == "OutOfFuel"
    assert done.trace.records[-1].step == 6
    assert done.trace.final == done.trace.records[6].checkpoint
    assert [len(done.trace.segment(n).records) for n in range(3)] == [3, 3, 0]
    replay(hostile, done.trace)
    with pytest.raises(Diverged, match="the trace says it was stopped"):
        replay(hostile, changed(done.trace, 3, fault="OutOfFuel"))
    with pytest.raises(
        Diverged, match="step 6: the function is stopped here \\(OutOfFuel\\), the trace says it went on"
    ):
        replay(hostile, changed(done.trace, 6, fault=""))


@pytest.mark.parametrize(
    ("text", "imports", "fault"),
    [
        ("(i32.const 7)", "", "FunctionFailed"),
        ("(i32.const -1)", "", "FunctionFailed"),
        ("(call $preference (i32.const 16) (i32.const 0) (i32.const 64))", "preference", "BadCall"),
        (
            "(drop (call $score (i32.const 0) (i32.const 0) (i32.const 300) (i32.const 0) (i32.const 1))) (i32.const 0)",
            "score",
            "BadCall",
        ),
        (
            "(i32.store (i32.const 0) (i32.const 500)) (drop (call $score (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 1))) (i32.const 0)",
            "score",
            "BadCall",
        ),
    ],
)
def test_a_fault_of_the_first_step_leaves_the_first_checkpoint(store, text, imports, fault):
    broken = Sandbox(module(text, imports=imports), LIMITS)
    done = run(broken, host(), job(), store)
    assert done.trace.records[-1].fault == fault
    assert done.trace.final == done.trace.records[0].checkpoint
    assert done.trace.work == 0
    replay(broken, done.trace)


def test_a_loss_that_is_no_number_stops_the_function(learner, store):
    class Wrecked(DryHost):
        def gradient(self, call):
            return float("nan")

    done = run(learner, Wrecked(made_up(16, VOCABULARY), VOCABULARY), job(), store)
    assert done.trace.records[-1].fault == "BadLoss"
    replay(learner, done.trace)


class Wrecked(DryHost):
    """Loses its mind at the seventh gradient."""

    def gradient(self, call):
        loss = super().gradient(call)
        return float("nan") if self._steps == 7 else loss


def wrecked():
    return Wrecked(made_up(16, VOCABULARY), VOCABULARY)


def test_a_fault_is_confirmed_by_whoever_repeats_it(learner, store):
    trace = run(learner, wrecked(), job(), store).trace
    assert trace.records[-1].fault == "BadLoss"
    assert confirm_fault(learner, wrecked(), job(), trace, store) == "BadLoss"
    with pytest.raises(Diverged, match="says that the host refuses here, and it does not"):
        confirm_fault(learner, host(), job(), trace, store)
    other = dataclasses.replace(trace.records[-1], fault="BadCall")
    with pytest.raises(Diverged, match="stopped here \\(BadLoss\\), the trace says BadCall"):
        confirm_fault(learner, wrecked(), job(), Trace(trace.header, (*trace.records[:-1], other)), store)


def test_a_fault_that_was_made_up_is_found(learner, done, store):
    liar = dataclasses.replace(done.records[9], fault="OutOfFuel")
    lie = Trace(done.header, (*done.records[:9], dataclasses.replace(liar, checkpoint=None)))
    with pytest.raises(Diverged, match="the trace says it was stopped"):
        confirm_fault(learner, host(), job(), lie, store)
    with pytest.raises(BadTrace, match="does not end with a fault"):
        confirm_fault(learner, host(), job(), done, store)


def test_a_fault_of_init_is_confirmed(store):
    odd = Sandbox(
        module(init="(call $preference (i32.const 99) (i32.const 0) (i32.const 9))", imports="preference"),
        LIMITS,
    )
    trace = run(odd, host(), job(), store).trace
    assert confirm_fault(odd, host(), job(), trace, store) == "BadCall"


@pytest.mark.parametrize("steps", [0, -1, 65_537])
def test_init_must_ask_for_steps_that_can_be_had(store, steps):
    odd = Sandbox(module(init=f"(i32.const {steps})"), LIMITS)
    done = run(odd, host(), job(), store)
    assert done.trace.records[0].fault == "FunctionFailed"
    replay(odd, done.trace)
    with pytest.raises(BadTrace, match="did not get past `init`"):
        done.trace.segment(0)


def test_init_may_not_touch_the_model(store):
    eager = Sandbox(
        module(
            init="(drop (call $score (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 1))) (i32.const 0)",
            imports="score",
        ),
        LIMITS,
    )
    done = run(eager, host(), job(), store)
    assert done.trace.records[-1].fault == "BadCall"
    with pytest.raises(BadTrace, match="did not get past `init`"):
        _ = done.trace.final


def test_a_state_that_is_none_is_refused(learner, store):
    with pytest.raises(BadAdapter):
        host().restore(b"[]")
    assert Cid.of(b"x") != store.add_bytes(b"y")
