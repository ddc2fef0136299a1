"""Events: what happened to an object, for ``kubectl describe``; recording never makes anyone wait."""

import asyncio
import contextlib
import functools
import math
import secrets
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import structlog

from marie_operator.runtime.client import Client, PatchKind
from marie_operator.runtime.clock import Clock
from marie_operator.runtime.errors import AlreadyExists, ApiError, NotFound, NotLeader, Unreachable
from marie_operator.runtime.metrics import Metrics
from marie_operator.runtime.resource import EVENTS, Object, ObjectKey

BACKLOG = 1000
"""Events that may wait for an API server that does not answer; more are dropped and counted (E-03)."""
SERIES_AGE = 360.0
"""Seconds without a repeat after which the same event is a new one (E-04)."""
SERIES_INTERVAL = 60.0
"""Least seconds between two updates of a series' count."""
SERIES_KEPT = 4096
RETRIES = 5
MAX_NOTE = 1024

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ObjectReference:
    """The object an event is about."""

    api_version: str
    kind: str
    namespace: str
    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class _Occurrence:
    regarding: ObjectReference
    type: str
    reason: str
    action: str
    note: str


@dataclass(slots=True)
class _Series:
    """An event that was made, and how often it has happened.

    Attributes:
        key: Of the event.
        last: When it happened last, on the recorder's clock.
        moment: The same, for people.
        count: How often it has happened.
        told: The count that the API server has.
        tried: When it was last asked to take one.
    """

    key: ObjectKey
    last: float
    moment: datetime
    count: int = 1
    told: int = 1
    tried: float = -math.inf


class EventRecorder:
    """Records events of events.k8s.io/v1.

    A repeat of an event, which is one about the same object with the same type, reason and note, raises the count
    of the first within a few minutes instead of making another. A noisy reason does not silence others (W-21). What is
    refused, by the API server or since this process does not lead, is dropped and counted.

    Args:
        client: Creates and patches events.
        controller: ``reportingController``, such as ``marie.ai/operator``.
        instance: ``reportingInstance``, the process.
        clock: For times and ages.
        metrics: Counts what is dropped.
        random: That many bytes, for names that no other process gives.
    """

    def __init__(
        self,
        client: Client,
        *,
        controller: str,
        instance: str,
        clock: Clock,
        metrics: Metrics,
        random: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._client = client
        self._controller = controller
        self._instance = instance[:128]
        self._clock = clock
        self._random = random
        self._dropped = metrics.events_dropped
        self._backlog: asyncio.Queue[tuple[_Occurrence, datetime]] = asyncio.Queue(BACKLOG)
        self._series: OrderedDict[_Occurrence, _Series] = OrderedDict()
        self._untold: dict[_Occurrence, _Series] = {}
        self._making: tuple[_Occurrence, datetime, Object] | None = None

    def record(
        self,
        regarding: ObjectReference,
        *,
        type: Literal["Normal", "Warning"],  # noqa: A002 - the field's own name
        reason: str,
        action: str,
        note: str,
    ) -> None:
        """Record that something happened; returns at once.

        Args:
            regarding: What it happened to.
            type: Normal or Warning.
            reason: Why, as one CamelCase word.
            action: What was being done.
            note: A sentence; cut to what the API takes (1,024 bytes).
        """
        cut = note.encode()[:MAX_NOTE].decode(errors="ignore")
        try:
            self._backlog.put_nowait(
                (_Occurrence(regarding, type, str(reason)[:128], action[:128], cut), self._clock.now())
            )
        except asyncio.QueueFull:
            self._dropped.inc()

    async def run(self) -> None:
        """Send what is recorded, until cancelled."""
        while True:
            if (recorded := await self._next()) is not None:
                self._take(*recorded)
            await self._make()
            await self._tell(by=self._clock.monotonic())

    async def flush(self) -> None:
        """Send what is left, also of counts; for the end of the process, once ``run`` has ended.

        Who has waited long enough cancels it: what is left then is dropped and counted.
        """
        try:
            await self._make()
            while not self._backlog.empty():
                self._take(*self._backlog.get_nowait())
                await self._make()
            await self._tell(by=math.inf)
        finally:
            left = self._backlog.qsize() + (self._making is not None)
            self._dropped.inc(left + sum(series.count - series.told for series in self._untold.values()))
            while not self._backlog.empty():
                self._backlog.get_nowait()
            self._untold.clear()
            self._making = None

    async def _next(self) -> tuple[_Occurrence, datetime] | None:
        """What was recorded next; None once there is a count to be told."""
        due = min((series.tried for series in self._untold.values()), default=math.inf) + SERIES_INTERVAL
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(None if due == math.inf else due - self._clock.monotonic()):
                return await self._backlog.get()
        return None

    def _take(self, occurrence: _Occurrence, moment: datetime) -> None:
        """Have it counted as a repeat, or made an event."""
        series, now = self._series.get(occurrence), self._clock.monotonic()
        if series is None or now - series.last > SERIES_AGE:
            self._making = occurrence, moment, self._event(occurrence, moment)
        else:
            series.last, series.moment, series.count = now, moment, series.count + 1
            self._untold[occurrence] = series

    async def _make(self) -> None:
        """Create the event that is to be made, if there is one."""
        if self._making is None:
            return
        occurrence, moment, event = self._making
        try:
            # Nobody else gives its name: where that is taken, it was an answer that was lost.
            with contextlib.suppress(AlreadyExists):
                await self._answered(lambda: self._client.create(EVENTS, event))
        except (ApiError, NotLeader, Unreachable) as error:
            self._drop(occurrence, 1, error)
        else:
            self._series[occurrence] = _Series(ObjectKey.of(event), self._clock.monotonic(), moment)
            self._series.move_to_end(occurrence)
            if len(self._series) > SERIES_KEPT:
                self._series.popitem(last=False)
        self._making = None

    async def _tell(self, *, by: float) -> None:
        """Tell the counts that are due by then: each at once for the first repeat, and then after an interval."""
        due = [each for each in self._untold.items() if each[1].tried + SERIES_INTERVAL <= by]
        for occurrence, series in due:
            series.tried = self._clock.monotonic()
            try:
                await self._answered(functools.partial(self._patched, series))
            except Unreachable:
                # It stays untold, and is told with what comes, or after the next interval.
                continue
            except NotFound:
                # It has expired, or somebody has deleted it: this one is the first of another.
                self._series.pop(occurrence, None)
                del self._untold[occurrence]
                self._making = occurrence, series.moment, self._event(occurrence, series.moment)
                await self._make()
                continue
            except (ApiError, NotLeader) as error:
                self._drop(occurrence, series.count - series.told, error)
            series.told = series.count
            del self._untold[occurrence]

    async def _patched(self, series: _Series) -> Object:
        counted = {"series": {"count": series.count, "lastObservedTime": _micro_time(series.moment)}}
        return await self._client.patch(EVENTS, series.key, counted, kind=PatchKind.MERGE)

    async def _answered(self, ask: Callable[[], Awaitable[Object]]) -> None:
        """Ask until there is an answer, in so many attempts.

        Raises:
            ApiError: the server has read it and will not take it, such as in a namespace that ends.
            NotLeader: this process may not write.
            Unreachable: there was none.
        """
        for attempt in range(RETRIES - 1):
            try:
                await ask()
            except Unreachable:
                await asyncio.sleep(2.0**attempt)
            else:
                return
        await ask()

    def _drop(self, occurrence: _Occurrence, count: int, error: Exception) -> None:
        told = log.warning if isinstance(error, Unreachable) else log.debug
        told("event lost", reason=occurrence.reason, problem=str(error))
        self._dropped.inc(count)

    def _event(self, occurrence: _Occurrence, moment: datetime) -> Object:
        regarding = occurrence.regarding
        return {
            "apiVersion": EVENTS.api_version,
            "kind": EVENTS.kind,
            "metadata": {
                "namespace": regarding.namespace or "default",
                "name": f"{regarding.name[:200]}.{self._random(8).hex()}",
            },
            "eventTime": _micro_time(moment),
            "reportingController": self._controller,
            "reportingInstance": self._instance,
            "action": occurrence.action,
            "reason": occurrence.reason,
            "type": occurrence.type,
            "note": occurrence.note,
            "regarding": {
                "apiVersion": regarding.api_version,
                "kind": regarding.kind,
                "namespace": regarding.namespace,
                "name": regarding.name,
                "uid": regarding.uid,
            },
        }


def _micro_time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
