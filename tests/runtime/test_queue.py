import asyncio
import sys

import looptime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from marie_operator.runtime import LoopClock, Metrics, ObjectKey
from marie_operator.runtime.queue import (
    LOW_PRIORITY,
    MOST_PRIORITIES,
    NORMAL_PRIORITY,
    SECONDS_PER_PRIORITY,
    ShutDown,
    WorkQueue,
)

A, B, C = (ObjectKey("n", name) for name in "abc")


def queue() -> WorkQueue:
    return WorkQueue("test", clock=LoopClock(), metrics=Metrics(CollectorRegistry()))


async def taken(work: WorkQueue) -> ObjectKey:
    async with asyncio.timeout(3600):
        key, _ = await work.get()
        return key


@pytest.mark.looptime
@pytest.mark.semantics("Q-01", "Q-21")
async def test_a_key_is_there_once() -> None:
    work = queue()
    for _ in range(3):
        work.add(A)
    assert len(work) == 1
    assert await taken(work) == A
    assert len(work) == 0


@pytest.mark.looptime
@pytest.mark.semantics("Q-02", "Q-25")
async def test_a_key_that_is_worked_on_waits_for_its_worker() -> None:
    work = queue()
    work.add(A)
    await taken(work)
    work.add(A)
    work.add(A)
    work.add(B)
    assert await taken(work) == B
    waiting = asyncio.create_task(taken(work))
    await asyncio.sleep(1)
    assert not waiting.done()
    work.done(A)
    assert await waiting == A


@pytest.mark.looptime
@pytest.mark.semantics("Q-05", "Q-22")
@pytest.mark.kuberay("KU-18")
async def test_the_earliest_time_wins_and_is_used_up() -> None:
    work, loop = queue(), asyncio.get_running_loop()
    began = loop.time()
    work.add(A, after=60)
    work.add(A, after=20)
    work.add(A, after=40)
    assert len(work) == 0
    assert await taken(work) == A
    assert loop.time() - began == pytest.approx(20, abs=0.1)
    work.done(A)
    work.add(B, after=100)
    work.add(B)
    assert await taken(work) == B
    work.done(B)
    await asyncio.sleep(200)
    assert len(work) == 0


@pytest.mark.looptime
@pytest.mark.semantics("Q-24", "Q-29")
async def test_live_work_passes_what_nothing_has_happened_to() -> None:
    work = queue()
    work.add(A, priority=LOW_PRIORITY)
    work.add(B)
    assert [await taken(work), await taken(work)] == [B, A]


@pytest.mark.looptime
@pytest.mark.semantics("Q-32", "W-04")
async def test_and_still_nothing_starves() -> None:
    """More live work than the worker can do passes what is older by thirty seconds at most, and no more."""
    work, loop = queue(), asyncio.get_running_loop()
    low, limit = [A, B, C], (NORMAL_PRIORITY - LOW_PRIORITY) * SECONDS_PER_PRIORITY
    for key in low:
        work.add(key, priority=LOW_PRIORITY)
    began, added = loop.time(), dict[ObjectKey, float]()
    order: list[ObjectKey] = []
    while len(order) < len(low):
        for _ in range(2):
            live = ObjectKey("live", str(len(added)))
            added[live] = loop.time() - began
            work.add(live)
        key = await taken(work)
        work.done(key)
        if key in low:
            order.append(key)
        else:
            assert added[key] <= limit
        await asyncio.sleep(1)
    assert order == low
    # Passed they were, by all that came in that time.
    assert len([key for key, moment in added.items() if moment < limit]) <= loop.time() - began


@pytest.mark.looptime
@pytest.mark.semantics("Q-08")
async def test_what_was_worked_on_is_not_held_by_anything() -> None:
    work = queue()
    keys = [ObjectKey("n", f"key-{number}") for number in range(500)]
    held = [sys.getrefcount(key) for key in keys]
    for round_ in range(20):
        for number, key in enumerate(keys):
            work.add(key, after=(number * 7 + round_) % 50)
            work.add(key, priority=LOW_PRIORITY if number % 2 else NORMAL_PRIORITY, after=(number + round_) % 9)
    for key in keys:
        work.add_rate_limited(key)
        work.forget(key)
    await asyncio.sleep(60)
    while len(work):
        work.done(await taken(work))
    del key
    assert [sys.getrefcount(key) for key in keys] == held


def sample(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    return registry.get_sample_value(name, {"name": "test", "controller": "test", **labels})


@pytest.mark.looptime
@pytest.mark.semantics("Q-09", "Q-26", "Q-28")
async def test_what_is_measured() -> None:
    registry = CollectorRegistry()
    work = WorkQueue("test", clock=LoopClock(), metrics=Metrics(registry))

    def depth(priority: int) -> float | None:
        return sample(registry, "workqueue_depth", priority=str(priority))

    assert (depth(NORMAL_PRIORITY), sample(registry, "workqueue_adds_total")) == (0, 0)
    work.add(A, priority=LOW_PRIORITY)
    work.add(A, priority=LOW_PRIORITY)
    assert (depth(LOW_PRIORITY), sample(registry, "workqueue_adds_total")) == (1, 1)
    # More urgent now: it moves, and is no second add.
    work.add(A)
    assert (depth(LOW_PRIORITY), depth(NORMAL_PRIORITY)) == (0, 1)
    assert sample(registry, "workqueue_adds_total") == 1
    # One with a delay is a retry at once, and an add and a part of the depth when it is ready.
    work.add(B, after=30)
    assert sample(registry, "workqueue_retries_total") == 1
    assert (depth(NORMAL_PRIORITY), sample(registry, "workqueue_adds_total")) == (1, 1)
    await asyncio.sleep(40)
    assert (depth(NORMAL_PRIORITY), sample(registry, "workqueue_adds_total")) == (2, 2)
    assert await taken(work) == A
    assert depth(NORMAL_PRIORITY) == 1
    assert sample(registry, "workqueue_queue_duration_seconds_sum") == pytest.approx(40, abs=0.1)
    await asyncio.sleep(5)
    assert await taken(work) == B
    # B has waited since it was ready, not since it was added.
    assert sample(registry, "workqueue_queue_duration_seconds_sum") == pytest.approx(40 + 15, abs=0.1)
    await asyncio.sleep(2)
    work.measure()
    assert sample(registry, "workqueue_unfinished_work_seconds") == pytest.approx(7 + 2, abs=0.1)
    assert sample(registry, "workqueue_longest_running_processor_seconds") == pytest.approx(7, abs=0.1)
    work.done(A)
    work.done(B)
    work.measure()
    assert sample(registry, "workqueue_work_duration_seconds_sum") == pytest.approx(7 + 2, abs=0.1)
    assert sample(registry, "workqueue_work_duration_seconds_count") == 2
    assert sample(registry, "workqueue_longest_running_processor_seconds") == 0
    assert (depth(NORMAL_PRIORITY), depth(LOW_PRIORITY)) == (0, 0)
    # A back-off is a retry too.
    work.add_rate_limited(A)
    assert sample(registry, "workqueue_retries_total") == 2
    work.shut_down()


@pytest.mark.looptime
@pytest.mark.semantics("Q-07", "Q-20")
async def test_back_off_doubles_to_a_bound_and_is_forgotten() -> None:
    work = queue()
    delays = []
    for _ in range(30):
        delays.append(work.add_rate_limited(A))
        await taken(work)
        work.done(A)
    assert delays[:4] == [0.005, 0.01, 0.02, 0.04]
    assert delays[-1] == 1000
    work.forget(A)
    assert work.add_rate_limited(A) == 0.005


@pytest.mark.looptime
@pytest.mark.semantics("Q-04", "Q-27")
async def test_shutting_down_tells_those_who_wait_and_may_be_repeated() -> None:
    work = queue()
    waiting = [asyncio.create_task(work.get()) for _ in range(2)]
    await asyncio.sleep(0)
    work.shut_down()
    work.shut_down()
    for task in waiting:
        with pytest.raises(ShutDown):
            await task
    work.add(A)
    assert len(work) == 0


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["add", "later", "retry", "take", "finish", "wait"]),
        st.sampled_from([A, B, C]),
        st.integers(0, 3),
    ),
    max_size=40,
)


@given(STEPS)
def test_against_a_model(steps: list[tuple[str, ObjectKey, int]]) -> None:
    """No key is lost, none is with two workers, and what is added while it is worked on comes out once more."""

    async def run() -> None:
        work = queue()
        wanted: set[ObjectKey] = set()
        busy: set[ObjectKey] = set()
        for step, key, number in steps:
            match step:
                case "add":
                    work.add(key, priority=-number)
                    wanted.add(key)
                case "later":
                    work.add(key, after=number / 1000)
                    wanted.add(key)
                case "retry":
                    work.add_rate_limited(key)
                    wanted.add(key)
                case "wait":
                    await asyncio.sleep(number / 1000)
                case "finish" if key in busy:
                    work.done(key)
                    busy.remove(key)
                case "take" if len(work):
                    try:
                        async with asyncio.timeout(0.001):
                            got, _ = await work.get()
                    except TimeoutError:
                        continue
                    assert got in wanted
                    assert got not in busy
                    wanted.remove(got)
                    busy.add(got)
        for key in busy:
            work.done(key)
        while wanted:
            got = await taken(work)
            wanted.remove(got)
            work.done(got)
        assert len(work) == 0
        work.shut_down()

    with asyncio.Runner(loop_factory=looptime.new_event_loop) as runner:
        runner.run(run())


@pytest.mark.looptime
@pytest.mark.semantics("Q-31")
async def test_many_priorities_share_a_label_and_each_depth_comes_back_to_zero() -> None:
    registry = CollectorRegistry()
    work = WorkQueue("test", clock=LoopClock(), metrics=Metrics(registry))
    keys = [ObjectKey("n", str(number)) for number in range(100)]
    for priority, key in enumerate(keys):
        work.add(key, priority=priority)
    while len(work):
        await taken(work)
    depths = [sample for family in registry.collect() if family.name == "workqueue_depth" for sample in family.samples]
    assert len(depths) == MOST_PRIORITIES + 1
    assert {sample.value for sample in depths} == {0.0}
