import asyncio

import looptime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from marie_operator.runtime import LoopClock, Metrics, ObjectKey, ShutDown, WorkQueue
from marie_operator.runtime.queue import LOW_PRIORITY, MOST_PRIORITIES, NORMAL_PRIORITY, SECONDS_PER_PRIORITY

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
@pytest.mark.semantics("Q-32")
async def test_and_still_nothing_starves() -> None:
    """A key of low priority is passed for a bounded time by a stream of live ones that never ends."""
    work, loop = queue(), asyncio.get_running_loop()
    work.add(A, priority=LOW_PRIORITY)
    began, number = loop.time(), 0
    while True:
        number += 1
        work.add(ObjectKey("live", str(number)))
        work.add(ObjectKey("live", str(number + 1)))
        key = await taken(work)
        work.done(key)
        if key == A:
            break
        await asyncio.sleep(1)
    assert loop.time() - began <= (NORMAL_PRIORITY - LOW_PRIORITY) * SECONDS_PER_PRIORITY + 2


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
