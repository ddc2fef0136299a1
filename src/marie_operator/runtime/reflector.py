"""Keeps a local copy of one collection: list, then watch, for ever (R-01 to R-54)."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol

import structlog

from marie_operator.runtime.client import Client, WatchEvent
from marie_operator.runtime.clock import Clock
from marie_operator.runtime.errors import (
    ApiError,
    BadRequest,
    Expired,
    Forbidden,
    Invalid,
    NotFound,
    TooManyRequests,
    Unreachable,
)
from marie_operator.runtime.resource import Object, ObjectKey, Resource

WATCH_TIMEOUT = 300.0
"""Least seconds the server keeps a watch; drawn up to twice that, so that watches do not all end at once (R-20)."""
INITIAL_EVENTS_TIMEOUT = 30.0
"""Seconds a streamed list may take before listing by pages is tried instead (W-12)."""
FIRST_BACKOFF = 0.8
MAX_BACKOFF = 30.0
BACKOFF_RESET = 120.0
SHORT_WATCH = 1.0

log = structlog.get_logger(__name__)


class Sink(Protocol):
    """Takes what a reflector learns."""

    def replace(self, namespace: str, items: list[Object], resource_version: str) -> None:
        """The collection is exactly ``items``, at ``resource_version``."""
        ...

    def event(self, namespace: str, event: WatchEvent) -> None:
        """One object was added, modified or deleted."""
        ...

    def bookmark(self, namespace: str, resource_version: str) -> None:
        """Nothing has changed up to ``resource_version``."""
        ...


class _State(Enum):
    STREAM = auto()
    LIST = auto()
    WATCH = auto()


@dataclass
class _Backoff:
    """Delays that double from one failure to the next, and start again after two quiet minutes (R-02)."""

    clock: Clock
    jitter: Callable[[], float]
    delay: float = 0.0
    last: float = 0.0

    def next(self) -> float:
        now = self.clock.monotonic()
        if self.delay == 0.0 or now - self.last > BACKOFF_RESET:
            self.delay = FIRST_BACKOFF
        else:
            self.delay = min(self.delay * 2, MAX_BACKOFF)
        self.last = now
        return self.delay * (1 + self.jitter())


class _InitialEvents:
    """The objects of a streamed list, kept apart until it is complete (R-42, R-45)."""

    def __init__(self) -> None:
        self.version = ""
        self._items: dict[ObjectKey, Object] = {}

    def take(self, event: WatchEvent) -> bool:
        """Take one event; whether it was the bookmark that ends the list (R-43)."""
        metadata = event.object["metadata"]
        if event.type == "BOOKMARK":
            if (metadata.get("annotations") or {}).get("k8s.io/initial-events-end") == "true":
                self.version = metadata["resourceVersion"]
        elif event.type == "DELETED":
            self._items.pop(ObjectKey.of(event.object), None)
        else:
            self._items[ObjectKey.of(event.object)] = event.object
        return bool(self.version)

    def items(self) -> list[Object]:
        """The objects, which this list then no longer holds."""
        result = list(self._items.values())
        self._items.clear()
        return result


class Reflector:
    """Feeds a sink with one collection, as one state machine: stream or list, then watch.

    Args:
        client: Reads.
        resource: The kind.
        namespace: Where; empty for everywhere.
        sink: Takes what is learnt.
        clock: Measures how long watches live.
        label_selector: Narrows list and watch on the server.
        field_selector: Narrows list and watch on the server.
        jitter: Yields numbers in [0, 1).

    Attributes:
        last_error: Why the copy is not up to date, as a sentence; empty while it is.
        relists: How often the collection was read as a whole.
    """

    def __init__(
        self,
        client: Client,
        resource: Resource,
        namespace: str,
        sink: Sink,
        *,
        clock: Clock,
        label_selector: str = "",
        field_selector: str = "",
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._client = client
        self._resource = resource
        self._namespace = namespace
        self._sink = sink
        self._clock = clock
        self._selectors = {"label_selector": label_selector, "field_selector": field_selector}
        self._jitter = jitter
        self._backoff = _Backoff(clock, jitter)
        self._state = _State.STREAM
        self._streams = True
        self._version = ""
        self._quorum = False
        self.last_error = ""
        self.relists = 0

    async def run(self) -> None:
        """Keep the copy until cancelled; never returns otherwise (R-01, R-05)."""
        while True:
            try:
                await self._step()
            except (ApiError, Unreachable) as error:
                await self._recover(error)

    async def _step(self) -> None:
        match self._state:
            case _State.STREAM:
                await self._stream()
            case _State.LIST:
                await self._list()
            case _State.WATCH:
                await self._watch()

    async def _recover(self, error: ApiError | Unreachable) -> None:
        """What the next step is after a failure, and when."""
        before = self._state
        match error:
            case Expired():
                # The version is older than what the server keeps: read again, at least as new as what we have; if
                # that was itself refused, whatever the server has.
                self._quorum = self._state is not _State.WATCH
                self._state = _State.STREAM if self._streams else _State.LIST
            case ApiError() if "Too large resource version" in error.message:
                self._quorum = True
            case TooManyRequests() | Unreachable():
                # The copy is still good: go on from the same version.
                pass
            case BadRequest() | Invalid() if self._state is _State.STREAM:
                self._streams = False
                self._state = _State.LIST
                return
            case _:
                self._state = _State.STREAM if self._streams else _State.LIST
        told = _sentence(error, self._resource, self._namespace)
        if told != self.last_error:
            log.warning("cannot keep up with the API server", resource=str(self._resource), problem=told)
        self.last_error = told
        if not (isinstance(error, Expired) and before is _State.WATCH):
            await asyncio.sleep(self._backoff.next())

    async def _stream(self) -> None:
        """List and watch as one stream (R-40 to R-48)."""
        initial = _InitialEvents()
        try:
            async with asyncio.timeout(INITIAL_EVENTS_TIMEOUT) as patience:
                async for event in self._events(self._start_version(), initial=True):
                    if initial.version:
                        self._take(event)
                    elif initial.take(event):
                        self._replace(initial.items(), initial.version)
                        patience.reschedule(None)
        except TimeoutError:
            # A proxy or an aggregated server that does not know streams answers but never ends them (W-12).
            self._streams = False
            self._state = _State.LIST
            return
        except (Unreachable, TooManyRequests):
            self._state = _State.WATCH if initial.version else self._state
            raise
        if not initial.version:
            raise Unreachable("the initial list ended before it was complete", maybe_sent=True)
        self._state = _State.WATCH

    async def _list(self) -> None:
        version = self._start_version()
        # With a version the server answers from its own cache, in one piece; without, page by page from storage.
        found = await self._client.list(
            self._resource,
            self._namespace,
            resource_version=version or ("" if self._quorum else "0"),
            limit=0 if version else 500,
            **self._selectors,
        )
        self._replace(found.items, found.resource_version)
        self._state = _State.WATCH

    async def _watch(self) -> None:
        began, delivered = self._clock.monotonic(), False
        async for event in self._events(self._version, initial=False):
            delivered = True
            self._take(event)
        if not delivered and self._clock.monotonic() - began < SHORT_WATCH:
            # A server that ends watches at once would be asked thousands of times a second.
            raise Unreachable("the watch ended at once", maybe_sent=True)

    def _events(self, version: str, *, initial: bool) -> AsyncIterator[WatchEvent]:
        return self._client.watch(
            self._resource,
            self._namespace,
            resource_version=version,
            timeout=WATCH_TIMEOUT * (1 + self._jitter()),
            send_initial_events=initial,
            **self._selectors,
        )

    def _start_version(self) -> str:
        return "" if self._quorum else self._version

    def _replace(self, items: list[Object], version: str) -> None:
        self._sink.replace(self._namespace, items, version)
        self._version = version
        self._quorum = False
        self.last_error = ""
        self.relists += 1

    def _take(self, event: WatchEvent) -> None:
        self._version = event.object["metadata"]["resourceVersion"]
        self.last_error = ""
        if event.type == "BOOKMARK":
            self._sink.bookmark(self._namespace, self._version)
        elif event.type in {"ADDED", "MODIFIED", "DELETED"}:
            self._sink.event(self._namespace, event)
        else:
            log.warning("unknown watch event", resource=str(self._resource), type=event.type)


def _sentence(error: ApiError | Unreachable, resource: Resource, namespace: str) -> str:
    where = f"in namespace {namespace}" if namespace else "in all namespaces"
    match error:
        case Forbidden():
            return f"may not list and watch {resource} {where}: {error.message}"
        case NotFound():
            return f"the API server does not know {resource}; is its CustomResourceDefinition installed?"
        case _:
            return f"cannot list or watch {resource} {where}: {error}"
