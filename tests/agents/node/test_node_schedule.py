"""The bound on when jobs are done, against a simulated machine and clients that do as they like."""

import math
from types import SimpleNamespace
from typing import cast

from hypothesis import example, given, settings
from hypothesis import strategies as st

from agents.node.schedule import Work, latest_finish
from agents.node.speed import Costs, Speed
from agents.protocol.messages import Job

SLOTS = st.fixed_dictionaries({"a": st.integers(1, 3), "b": st.integers(1, 3)})
JOBS = st.lists(
    st.tuples(
        st.floats(0.1, 50), st.floats(0, 300), st.sampled_from("ab"), st.floats(0, 100), st.floats(0, 1)
    ),
    min_size=1,
    max_size=9,
)


def simulated(work: list[Work], opened: dict[object, float], slots: dict[str, int]) -> dict[object, float]:
    """When each job is done on a machine that all running jobs share evenly, each group earliest deadline
    first.
    """
    left = {w.key: w.seconds for w in work}
    waiting = sorted(work, key=lambda w: (not w.running, w.deadline))
    active: list[Work] = []
    done: dict[object, float] = {}
    now = 0.0
    while waiting or active:
        for w in list(waiting):
            if opened[w.key] <= now and sum(a.group == w.group for a in active) < slots[w.group]:
                active.append(w)
                waiting.remove(w)
        coming = min((opened[w.key] for w in waiting if opened[w.key] > now), default=math.inf)
        if not active:
            now = coming
            continue
        passed = min(min(left[a.key] for a in active) * len(active), coming - now)
        now = coming if passed == coming - now else now + passed
        for a in active:
            left[a.key] -= passed / len(active)
        for a in [a for a in active if left[a.key] <= 1e-9]:
            done[a.key] = now
            active.remove(a)
    return done


@settings(max_examples=150, deadline=None)
@given(JOBS, SLOTS)
@example([(10, 100, "a", 0, 0), (10, 50, "a", 20, 0.05), (10, 60, "a", 20, 1)], {"a": 1, "b": 1})
def test_no_choice_of_the_clients_makes_anything_later_than_the_bound(
    jobs: list[tuple[float, float, str, float, float]], slots: dict[str, int]
) -> None:
    running: dict[str, int] = {"a": 0, "b": 0}
    work, opened = [], {}
    for i, (seconds, deadline, group, release, share) in enumerate(jobs):
        runs = release < 30 and running[group] < slots[group]
        running[group] += runs
        latest = 0.0 if runs else release
        work.append(Work(i, seconds, deadline, group, runs, latest))
        opened[i] = latest * share  # any time up to the last
    bound = latest_finish(work, slots)
    real = simulated(work, opened, slots)
    assert set(bound) == set(real)
    for w in work:
        assert real[w.key] <= bound[w.key] + 1e-6


def test_one_job_is_bound_by_itself_alone() -> None:
    assert latest_finish([Work(1, 5, 10, "a", release=3)], {"a": 4}) == {1: 8}


def test_much_lazy_work_does_not_keep_urgent_work_out() -> None:
    lazy = [Work(i, 10, 1000, "a") for i in range(50)]
    urgent = Work("urgent", 1, 30, "a")
    assert latest_finish([*lazy, urgent], {"a": 2})["urgent"] == 10 + 10 + 2


def test_what_runs_waits_for_nobody() -> None:
    work = [Work("runs", 5, 100, "a", running=True), *(Work(i, 50, 10, "a") for i in range(5))]
    assert latest_finish(work, {"a": 2})["runs"] == 10


def test_speed_follows_what_jobs_take_and_is_never_better_than_alone() -> None:
    speed = Speed(Costs(read=0.01, write=0.1))
    assert math.isclose(speed.of_late(speed.alone(10, 10)), 1.1)
    for _ in range(50):
        speed.observe(1.0, 2.0)
    assert 2.1 < speed.of_late(1.1) < 2.3
    for _ in range(100):
        speed.observe(2.0, 1.0)
    assert speed.of_late(1.1) == 1.1
    speed.observe(1.0, 0.0)
    assert speed.of_late(1.1) == 1.1


def test_a_miss_slows_the_pace_whatever_was_measured() -> None:
    speed = Speed(Costs(read=0.01, write=0.1))
    speed.observe(8.0, 1.0)
    speed.missed(1.0, 0.0)
    assert speed.pace == 0.9
    speed.missed(1.0, 10.0)
    assert math.isclose(speed.pace, 0.5)
    for _ in range(100):
        speed.missed(0.0, 10.0)
    assert speed.pace > 0  # or it would never take a job to learn from again


@given(st.integers(1, 4000), st.integers(1, 4000), st.booleans())
def test_a_jobs_tokens_take_what_the_job_takes(prompt: int, output: int, sampled: bool) -> None:
    speed = Speed(Costs(0.01, 0.02, 1e-5, 2e-5, 0.02))
    job = _job(prompt, output, sampled)
    whole = speed.alone(prompt, output, sampled)
    done = 0.0
    for written in range(min(output, 50)):
        assert speed.left(job, written) >= speed.token(job, written) * (1 - 1e-6)
        assert math.isclose(done + speed.left(job, written), whole)
        done += speed.token(job, written)
    assert speed.left(job, output + 5) > 0


def _job(prompt: int, output: int, sampled: bool) -> Job:
    return cast(
        Job, SimpleNamespace(prompt_tokens=prompt, max_tokens=output, temperature=10**6 if sampled else 0)
    )
