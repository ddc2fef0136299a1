"""The work queue against a model, as a state machine: any order of adds, delays, retries, workers and time."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from prometheus_client import CollectorRegistry

from marie_operator.runtime import LoopClock, Metrics, ObjectKey
from marie_operator.runtime.queue import (
    FIRST_BACKOFF,
    LOW_PRIORITY,
    MAX_BACKOFF,
    NORMAL_PRIORITY,
    SECONDS_PER_PRIORITY,
    ShutDown,
    WorkQueue,
)
from marie_operator.testing.virtual import VirtualLoop

pytestmark = pytest.mark.model

KEYS = st.sampled_from([ObjectKey("n", name) for name in "abcde"])
PRIORITIES = st.sampled_from([NORMAL_PRIORITY, LOW_PRIORITY])
SECONDS = st.sampled_from([0.0, 0.5, 1.0, 5.0, 20.0, 40.0])
CLOSE = 1e-4
"""Far below what the rules tell apart, far above the rounding of a clock."""


@dataclass
class Wanted:
    """A key that somebody must work on."""

    priority: int
    ready_at: float

    @property
    def rank(self) -> float:
        return self.ready_at - self.priority * SECONDS_PER_PRIORITY


class QueueMachine(RuleBasedStateMachine):
    """What was added and not yet handed out is ``wanted``; what was handed out and not finished is ``busy``."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = VirtualLoop()
        self.registry = CollectorRegistry()
        self.work = self.run(self._made())
        self.wanted: dict[ObjectKey, Wanted] = {}
        self.busy: list[ObjectKey] = []
        self.failures: dict[ObjectKey, int] = {}
        self.workers: list[asyncio.Task[None]] = []

    async def _made(self) -> WorkQueue:
        return WorkQueue("test", clock=LoopClock(), metrics=Metrics(self.registry))

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(coroutine)

    async def settled(self) -> None:
        """Let everybody do what there is to do at this moment."""
        for _ in range(10):
            await asyncio.sleep(0)

    async def worker(self) -> None:
        """Take one key, which must be the right one at this very moment."""
        with contextlib.suppress(ShutDown):
            key, priority = await self.work.get()
            now = self.loop.time()
            assert key in self.wanted, "handed out although nobody wants it"
            assert key not in self.busy, "handed out while another works on it"
            mine = self.wanted.pop(key)
            assert priority == mine.priority
            assert mine.ready_at <= now + CLOSE, "handed out before its time"
            others = [
                each.rank
                for other, each in self.wanted.items()
                if other not in self.busy and each.ready_at < now - CLOSE
            ]
            assert mine.rank <= min(others, default=mine.rank) + CLOSE, "handed out although another has waited longer"
            self.busy.append(key)

    def want(self, key: ObjectKey, priority: int, after: float) -> None:
        ready_at = self.loop.time() + after
        known = self.wanted.get(key)
        if known is not None:
            priority, ready_at = max(priority, known.priority), min(ready_at, known.ready_at)
        self.wanted[key] = Wanted(priority, ready_at)

    @rule(key=KEYS, priority=PRIORITIES, after=SECONDS)
    def add(self, key: ObjectKey, priority: int, after: float) -> None:
        async def act() -> None:
            self.want(key, priority, after)
            self.work.add(key, priority=priority, after=after)
            await self.settled()

        self.run(act())

    @rule(key=KEYS, priority=PRIORITIES)
    def retry(self, key: ObjectKey, priority: int) -> None:
        async def act() -> None:
            failures = self.failures.get(key, 0)
            self.failures[key] = failures + 1
            expected = min(FIRST_BACKOFF * 2**failures, MAX_BACKOFF)
            self.want(key, priority, expected)
            assert self.work.add_rate_limited(key, priority=priority) == pytest.approx(expected)
            await self.settled()

        self.run(act())

    @rule(key=KEYS)
    def forget(self, key: ObjectKey) -> None:
        self.failures.pop(key, None)
        self.work.forget(key)

    @rule()
    @precondition(lambda self: len(self.workers) < 4)
    def take(self) -> None:
        async def act() -> None:
            self.workers.append(asyncio.create_task(self.worker()))
            await self.settled()

        self.run(act())

    @rule(number=st.integers(0, 10))
    @precondition(lambda self: self.busy)
    def finish(self, number: int) -> None:
        async def act() -> None:
            self.work.done(self.busy.pop(number % len(self.busy)))
            await self.settled()

        self.run(act())

    @rule(number=st.integers(0, 10), key=KEYS)
    @precondition(lambda self: self.workers)
    def cancel_at_its_turn(self, number: int, key: ObjectKey) -> None:
        """A worker is stopped in the moment in which there is something for it to do."""

        async def act() -> None:
            self.want(key, NORMAL_PRIORITY, 0.0)
            self.work.add(key)
            self.workers[number % len(self.workers)].cancel()
            await self.settled()

        self.run(act())

    @rule(seconds=SECONDS)
    def wait(self, seconds: float) -> None:
        async def act() -> None:
            await asyncio.sleep(seconds)
            await self.settled()

        self.run(act())

    @invariant()
    def nobody_waits_while_there_is_work(self) -> None:
        for task in [task for task in self.workers if task.done()]:
            self.workers.remove(task)
            if not task.cancelled():
                task.result()
        now = self.loop.time()
        ready = [key for key, each in self.wanted.items() if each.ready_at < now - CLOSE]
        free = [key for key in ready if key not in self.busy]
        assert not (self.workers and free), f"{free} wait although a worker does"
        assert len(ready) <= len(self.work) <= len([k for k, w in self.wanted.items() if w.ready_at <= now + CLOSE])
        assert len(self.work._ready) + len(self.work._waiting) <= 2 * (64 + 2 * len(self.wanted))

    def teardown(self) -> None:
        try:
            self.run(self.ended())
        finally:
            self.run(self.left())
            self.loop.close()

    async def left(self) -> None:
        self.work.shut_down()
        for worker in self.workers:
            worker.cancel()
        await asyncio.gather(*self.workers, return_exceptions=True)

    async def ended(self) -> None:
        """Whatever was wanted is handed out, once, and then there is nothing left."""
        for _ in range(20):
            while self.busy:
                self.work.done(self.busy.pop())
            if not self.workers:
                self.workers.append(asyncio.create_task(self.worker()))
            await asyncio.sleep(MAX_BACKOFF)
            self.nobody_waits_while_there_is_work()
        assert self.wanted == {}, "lost"
        assert len(self.work) == 0


@pytest.mark.semantics(
    "Q-01",
    "Q-02",
    "Q-05",
    "Q-06",
    "Q-07",
    "Q-08",
    "Q-20",
    "Q-21",
    "Q-22",
    "Q-23",
    "Q-24",
    "Q-25",
    "Q-26",
    "W-05",
    "W-07",
)
def test_any_order_of_adds_delays_retries_workers_and_time() -> None:
    run_state_machine_as_test(QueueMachine, settings=settings(max_examples=60, stateful_step_count=40, deadline=None))


def ignoring_who_is_busy(patch: pytest.MonkeyPatch) -> None:
    pop = WorkQueue._pop

    def careless(self: WorkQueue) -> Any:
        busy, self._processing = self._processing, {}
        try:
            return pop(self)
        finally:
            self._processing = busy | self._processing

    patch.setattr(WorkQueue, "_pop", careless)


def forgetting_who_was_skipped(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(WorkQueue, "done", lambda self, key: self._processing.pop(key))


def the_latest_time_wins(patch: pytest.MonkeyPatch) -> None:
    monkey = WorkQueue.add

    def add(self: WorkQueue, key: ObjectKey, *, priority: int = NORMAL_PRIORITY, after: float = 0.0) -> None:
        known = self._entries.get(key)
        if known is not None and not known.ready:
            del self._entries[key]
            after = max(after, known.ready_at - self._clock.monotonic())
        monkey(self, key, priority=priority, after=after)

    patch.setattr(WorkQueue, "add", add)


def a_turn_that_is_lost_with_its_worker(patch: pytest.MonkeyPatch) -> None:
    async def get(self: WorkQueue) -> tuple[ObjectKey, int]:
        while not self._closed:
            entry = self._pop()
            if entry is not None:
                return entry.key, entry.priority
            getter = asyncio.get_running_loop().create_future()
            self._getters.append(getter)
            await getter
        raise ShutDown

    patch.setattr(WorkQueue, "get", get)


def no_priority(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("marie_operator.runtime.queue._rank", lambda entry: entry.ready_at)


def back_off_that_is_never_forgotten(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(WorkQueue, "forget", lambda _, __: None)


@pytest.mark.parametrize(
    "bug",
    [
        ignoring_who_is_busy,
        forgetting_who_was_skipped,
        the_latest_time_wins,
        a_turn_that_is_lost_with_its_worker,
        no_priority,
        back_off_that_is_never_forgotten,
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_the_machine_finds_a_planted_bug(bug: Callable[[pytest.MonkeyPatch], None], monkeypatch: Any) -> None:
    bug(monkeypatch)
    with pytest.raises(AssertionError):
        run_state_machine_as_test(
            QueueMachine,
            settings=settings(
                max_examples=150,
                stateful_step_count=40,
                deadline=None,
                derandomize=True,
                database=None,
                phases=[Phase.generate],
                print_blob=False,
            ),
        )
