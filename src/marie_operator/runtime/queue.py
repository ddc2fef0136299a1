"""The work queue: each key once, never two workers on it, the urgent first, and none for ever last."""

import asyncio
import heapq
import itertools
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from prometheus_client import Gauge

from marie_operator.runtime.clock import Clock
from marie_operator.runtime.metrics import Metrics
from marie_operator.runtime.resource import ObjectKey

NORMAL_PRIORITY = 0
LOW_PRIORITY = -100
"""For keys that nothing has happened to: initial lists and resyncs (Q-29)."""
SECONDS_PER_PRIORITY = 0.3
"""Waiting time that one step of priority is worth: LOW_PRIORITY lets live work pass for 30 s, then no more (Q-32)."""
SUPERSEDED = 64
"""Entries that heaps may hold beyond twice the keys in the queue."""
FIRST_BACKOFF = 0.005
MAX_BACKOFF = 1000.0
MOST_PRIORITIES = 25
"""Priorities that workqueue_depth tells apart, as many as controller-runtime's does."""

Report: TypeAlias = Mapping[ObjectKey, dict[str, Any]]


class ShutDown(Exception):  # noqa: N818
    """The queue takes and gives no more."""


@dataclass(slots=True)
class _Entry:
    """A key in the queue; replaced, not changed, when it moves among others, so that heaps may hold old ones."""

    key: ObjectKey
    priority: int
    ready_at: float
    ready: bool = False


class WorkQueue:
    """Keys waiting for a worker.

    A key is in the queue at most once: a second add makes it more urgent or earlier, never less
    (Q-21). A key that is being worked on stays until ``done``, then comes out once more (Q-01, Q-02).
    All on one event loop; nothing here awaits but ``get``.

    Args:
        name: The controller's, for metrics.
        clock: Measures delays and ages.
        metrics: The workqueue_* families.
    """

    def __init__(self, name: str, *, clock: Clock, metrics: Metrics) -> None:
        self._clock = clock
        self._entries: dict[ObjectKey, _Entry] = {}
        self._ready: list[tuple[float, int, _Entry]] = []
        self._waiting: list[tuple[float, int, _Entry]] = []
        self._processing: dict[ObjectKey, float] = {}
        self._failures: dict[ObjectKey, int] = {}
        self._getters: deque[asyncio.Future[None]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._sequence = itertools.count()
        self._closed = False
        self._metrics = _QueueMetrics(metrics, name)

    def __len__(self) -> int:
        """Keys that are ready; those with a delay are not counted until it is over (Q-26)."""
        return sum(entry.ready for entry in self._entries.values())

    def add(self, key: ObjectKey, *, priority: int = NORMAL_PRIORITY, after: float = 0.0) -> None:
        """Have ``key`` worked on, ``after`` seconds from now; dropped once the queue is shut down (Q-04)."""
        if self._closed:
            return
        now = self._clock.monotonic()
        ready_at = now + max(after, 0.0)
        if after > 0:
            self._metrics.retries.inc()
        known = self._entries.get(key)
        if known is not None:
            if known.ready and priority <= known.priority:
                return
            priority, ready_at = max(priority, known.priority), min(ready_at, known.ready_at)
            if (priority, ready_at) == (known.priority, known.ready_at):
                return
            if known.ready:
                self._metrics.depth(known.priority).dec()
        entry = self._entries[key] = _Entry(key, priority, ready_at)
        if ready_at <= now:
            self._make_ready(entry, counted=known is not None and known.ready)
        else:
            self._push(self._waiting, ready_at, entry)
            self._arm()

    def add_rate_limited(self, key: ObjectKey, *, priority: int = NORMAL_PRIORITY, most: float = MAX_BACKOFF) -> float:
        """Have ``key`` worked on again after its back-off, which doubles with each call until ``forget`` (Q-20).

        Args:
            key: What to work on.
            priority: Of the next time.
            most: The longest delay, in seconds.

        Returns:
            The delay in seconds.
        """
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        delay = min(FIRST_BACKOFF * 2.0 ** min(failures, 64), most)
        self.add(key, priority=priority, after=delay)
        return delay

    def forget(self, key: ObjectKey) -> None:
        """Start the key's back-off anew."""
        self._failures.pop(key, None)

    async def get(self) -> tuple[ObjectKey, int]:
        """The most urgent ready key and its priority; the caller must call ``done``.

        Raises:
            ShutDown: there is no more work (Q-27).
        """
        while True:
            if self._closed:
                raise ShutDown
            entry = self._pop()
            if entry is not None:
                return entry.key, entry.priority
            getter = asyncio.get_running_loop().create_future()
            self._getters.append(getter)
            try:
                await getter
            except asyncio.CancelledError:
                if getter in self._getters:
                    self._getters.remove(getter)
                else:
                    # It was this one's turn: another takes it.
                    self._wake()
                raise

    def done(self, key: ObjectKey) -> None:
        """The worker is finished with ``key``."""
        began = self._processing.pop(key)
        self._metrics.work.observe(self._clock.monotonic() - began)
        entry = self._entries.get(key)
        if entry is not None and entry.ready:
            # It was skipped while it was being worked on.
            self._push(self._ready, _rank(entry), entry)
            self._wake()

    def begin(self) -> None:
        """Workers begin: what is ready has waited for them, and not for its turn, and ages from here on."""
        now, waited = self._clock.monotonic(), sorted(self._ready, key=lambda item: item[:2])
        self._ready = []
        for _, _, entry in waited:
            if self._entries.get(entry.key) is entry:
                entry.ready_at = now
                self._push(self._ready, _rank(entry), entry)

    def shut_down(self) -> None:
        """Take and give no more; those who wait in ``get`` are told. Again is harmless."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        while self._getters:
            self._wake()

    def measure(self) -> None:
        """Bring the gauges that depend on the time of day up to date (Q-09)."""
        now = self._clock.monotonic()
        ages = [now - began for began in self._processing.values()]
        self._metrics.unfinished.set(sum(ages))
        self._metrics.longest.set(max(ages, default=0.0))

    def report(self) -> tuple[Report, Report]:
        """The keys that wait, and those that are worked on, for /debug; a delay that is not over has negative age."""
        now = self._clock.monotonic()
        waiting = {
            key: self._described(key, now - entry.ready_at) | {"priority": entry.priority}
            for key, entry in self._entries.items()
        }
        return waiting, {key: self._described(key, now - began) for key, began in self._processing.items()}

    def _described(self, key: ObjectKey, age: float) -> dict[str, Any]:
        return {"key": str(key), "age": round(age, 3), "failures": self._failures.get(key, 0)}

    def _pop(self) -> _Entry | None:
        while self._ready:
            _, _, entry = heapq.heappop(self._ready)
            if self._entries.get(entry.key) is not entry or entry.key in self._processing:
                # Superseded by a more urgent entry, or comes back with ``done``.
                continue
            del self._entries[entry.key]
            now = self._clock.monotonic()
            self._processing[entry.key] = now
            self._metrics.depth(entry.priority).dec()
            self._metrics.latency.observe(now - entry.ready_at)
            return entry
        return None

    def _make_ready(self, entry: _Entry, *, counted: bool = False) -> None:
        entry.ready = True
        self._metrics.depth(entry.priority).inc()
        if not counted:
            self._metrics.adds.inc()
        self._push(self._ready, _rank(entry), entry)
        self._wake()

    def _push(self, heap: list[tuple[float, int, _Entry]], rank: float, entry: _Entry) -> None:
        """Put an entry on a heap, which is rid of superseded ones before they are most of it (Q-08)."""
        heapq.heappush(heap, (rank, next(self._sequence), entry))
        if len(heap) > SUPERSEDED + 2 * len(self._entries):
            heap[:] = [item for item in heap if self._entries.get(item[2].key) is item[2]]
            heapq.heapify(heap)

    def _wake(self) -> None:
        while self._getters:
            getter = self._getters.popleft()
            if not getter.done():
                getter.set_result(None)
                return

    def _arm(self) -> None:
        """Have the clock ring for the earliest delay."""
        if self._timer is not None:
            self._timer.cancel()
        if self._waiting:
            delay = max(self._waiting[0][0] - self._clock.monotonic(), 0.0)
            self._timer = asyncio.get_running_loop().call_later(delay, self._ring)

    def _ring(self) -> None:
        now = self._clock.monotonic()
        while self._waiting and self._waiting[0][0] <= now:
            _, _, entry = heapq.heappop(self._waiting)
            if self._entries.get(entry.key) is entry:
                self._make_ready(entry)
        self._timer = None
        self._arm()


def _rank(entry: _Entry) -> float:
    """Who is first: the one who has waited longest, with a head start for priority (Q-24, Q-32)."""
    return entry.ready_at - entry.priority * SECONDS_PER_PRIORITY


class _QueueMetrics:
    def __init__(self, metrics: Metrics, name: str) -> None:
        self._depth, self._name = metrics.queue_depth, name
        self.adds = metrics.queue_adds.labels(name, name)
        self.latency = metrics.queue_latency.labels(name, name)
        self.work = metrics.queue_work.labels(name, name)
        self.unfinished = metrics.queue_unfinished.labels(name, name)
        self.longest = metrics.queue_longest.labels(name, name)
        self.retries = metrics.queue_retries.labels(name, name)
        self._depths: dict[int, Gauge] = {}
        for priority in (NORMAL_PRIORITY, LOW_PRIORITY):
            self.depth(priority)

    def depth(self, priority: int) -> Gauge:
        """The gauge of a priority; beyond MOST_PRIORITIES they share one, so that labels stay few."""
        known = self._depths.get(priority)
        if known is None:
            label = str(priority) if len(self._depths) < MOST_PRIORITIES else "exceeded_cardinality_limit"
            known = self._depth.labels(self._name, self._name, label)
            if len(self._depths) < MOST_PRIORITIES:
                self._depths[priority] = known
        return known
