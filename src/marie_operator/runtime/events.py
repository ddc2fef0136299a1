"""Events: what happened to an object, for ``kubectl describe``; recording never makes anyone wait."""

import asyncio
import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import structlog

from marie_operator.runtime.client import Client, PatchKind
from marie_operator.runtime.clock import Clock
from marie_operator.runtime.errors import ApiError, NotFound, Unreachable
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
    key: ObjectKey
    last: float
    count: int = 1
    told: float = 0.0


class EventRecorder:
    """Records events of events.k8s.io/v1.

    A repeat of an event, which is one about the same object with the same type, reason and note, raises the count
    of the first within a few minutes instead of making another. A noisy reason does not silence others (W-21).

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
            await self._send(*await self._backlog.get())

    async def flush(self) -> None:
        """Send what is left; for the end of the process."""
        while not self._backlog.empty():
            await self._send(*self._backlog.get_nowait())

    async def _send(self, occurrence: _Occurrence, moment: datetime) -> None:
        for attempt in range(RETRIES):
            try:
                await self._deliver(occurrence, moment)
            except ApiError as error:
                # The server has read it and will not take it, such as in a namespace that ends.
                log.debug("event refused", reason=occurrence.reason, problem=str(error))
                self._dropped.inc()
                return
            except Unreachable:
                await asyncio.sleep(2.0**attempt)
            else:
                return
        log.warning("event lost", reason=occurrence.reason, problem="the API server did not answer")
        self._dropped.inc()

    async def _deliver(self, occurrence: _Occurrence, moment: datetime) -> None:
        now = self._clock.monotonic()
        series = self._series.get(occurrence)
        if series is None or now - series.last > SERIES_AGE:
            created = await self._client.create(EVENTS, self._event(occurrence, moment))
            self._series[occurrence] = _Series(ObjectKey.of(created), now)
            self._series.move_to_end(occurrence)
            if len(self._series) > SERIES_KEPT:
                self._series.popitem(last=False)
            return
        series.last, series.count = now, series.count + 1
        if series.count > 2 and now - series.told < SERIES_INTERVAL:
            return
        series.told = now
        counted = {"series": {"count": series.count, "lastObservedTime": _micro_time(moment)}}
        try:
            await self._client.patch(EVENTS, series.key, counted, kind=PatchKind.MERGE)
        except NotFound:
            del self._series[occurrence]
            await self._deliver(occurrence, moment)

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
