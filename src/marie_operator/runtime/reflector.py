"""Keeps a local copy of one collection: list, then watch, for ever (R-01 to R-54)."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol

import structlog

from marie_operator.runtime.client import Client
from marie_operator.runtime.clock import Clock
from marie_operator.runtime.decoding import WatchEvent
from marie_operator.runtime.errors import (
    ApiError,
    BadRequest,
    Expired,
    Forbidden,
    Invalid,
    NotFound,
    Silent,
    TooManyRequests,
    Unauthorized,
    Unreachable,
)
from marie_operator.runtime.metrics import CollectionMetrics
from marie_operator.runtime.resource import Object, ObjectKey, Resource

WATCH_TIMEOUT = 300.0
"""Least seconds the server keeps a watch; drawn up to twice that, so that watches do not all end at once (R-20)."""
INITIAL_EVENTS_TIMEOUT = 30.0
"""Seconds in which a streamed list must bring another object, or its end, before listing by pages is tried instead
(W-12). What changes meanwhile does not count: a server that takes the stream for a watch tells of that for ever."""
UNENDED_STREAMS = 2
"""How often a streamed list may stop short of its end before listing by pages is tried instead (W-12)."""
FIRST_BACKOFF = 0.8
MAX_BACKOFF = 30.0
BACKOFF_RESET = 120.0
SHORT_WATCH = 1.0
"""Seconds below which a watch that brought nothing, or a version that was forgotten, is no progress (R-26)."""

log = structlog.get_logger(__name__)


class Sink(Protocol):
    """Takes what a reflector learns."""

    def cut(self, obj: Object) -> Object:
        """What is to be kept of an object of a list, asked as each is decoded (R-65)."""
        ...

    def replace(self, namespace: str, items: list[Object], resource_version: str) -> None:
        """The collection is exactly ``items``, which were cut, at ``resource_version``."""
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

    def __init__(self, cut: Callable[[Object], Object]) -> None:
        self.version = ""
        self._cut = cut
        self._items: dict[ObjectKey, Object] = {}

    def take(self, event: WatchEvent) -> bool:
        """Take one event; whether it was the bookmark that ends the list (R-43)."""
        metadata = event.object["metadata"]
        if event.type == "BOOKMARK":
            if (metadata.get("annotations") or {}).get("k8s.io/initial-events-end") == "true":
                self.version = metadata["resourceVersion"]
        elif event.type == "DELETED":
            self._items.pop(ObjectKey.of(event.object), None)
        elif event.type in {"ADDED", "MODIFIED"}:
            self._items[ObjectKey.of(event.object)] = self._cut(event.object)
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
        metrics: Counts lists and watches; None for nowhere.

    Attributes:
        last_error: Why the copy is not up to date, as a sentence; empty while it is.
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
        metrics: CollectionMetrics | None = None,
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
        self._unended = 0
        self._version = ""
        self._quorum = False
        self._read_at = -BACKOFF_RESET
        self._metrics = metrics
        self._heard_at: float | None = None
        self._quiet_told = False
        self._opened = False
        self._bookmarked = False
        self._parted = False
        self.last_error = ""

    @property
    def age(self) -> float:
        """Seconds since the server last said anything about the collection, be it that nothing has changed."""
        return 0.0 if self._heard_at is None else self._clock.monotonic() - self._heard_at

    async def run(self) -> None:
        """Keep the copy until cancelled; never returns otherwise (R-01, R-05)."""
        self._heard()
        while True:
            try:
                await self._step()
            except Silent as error:
                if self._opened and not self._bookmarked and self._state is _State.WATCH:
                    self._quiet(error)
                else:
                    await self._recover(error)
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

    def _quiet(self, error: Silent) -> None:
        """Begin the watch anew: not every server sends bookmarks, without which silence is no trouble."""
        self._ended(type(error).__name__)
        self._parted = True
        if not self._quiet_told:
            log.info("a silent watch begins anew", resource=str(self._resource), problem=str(error))
        self._quiet_told = True

    async def _recover(self, error: ApiError | Unreachable) -> None:
        """What the next step is after a failure, and when."""
        watched, at_once = self._state is _State.WATCH, False
        if watched:
            self._ended(type(error).__name__)
        anew = _State.STREAM if self._streams else _State.LIST
        match error:
            case ApiError() if _too_large(error) or (isinstance(error, Expired) and not watched):
                # Nobody has that version, or nobody has it any more: read whatever is newest, once at once.
                at_once, self._quorum = not self._quorum, True
                self._state = anew
            case Expired():
                # The watch begins before what the server keeps: read again, at least as new as what is known.
                # If that has only just been read, it is a cache that has nothing newer: ask past it.
                at_once = self._clock.monotonic() - self._read_at > SHORT_WATCH
                self._quorum = self._quorum or not at_once
                self._state = anew
            case TooManyRequests():
                # The copy is still good: go on from the same version.
                pass
            case Unreachable():
                # So it is now, unless the server was set back to a backup while nobody could see it.
                self._parted = self._parted or watched
            case Forbidden() | NotFound() | Unauthorized():
                self._state = anew
            case _ if self._state is _State.STREAM:
                # A server that does not know streams says so in many ways; one that cannot list either is told of
                # then.
                self._streams = not isinstance(error, BadRequest | Invalid)
                self._state = _State.LIST
                return
            case _:
                self._state = anew
        told = _sentence(error, self._resource, self._namespace)
        if told != self.last_error:
            log.warning("cannot keep up with the API server", resource=str(self._resource), problem=told)
        self.last_error = told
        if not at_once:
            asked = error.retry_after if isinstance(error, ApiError) else None
            await asyncio.sleep(max(self._backoff.next(), asked or 0.0))

    async def _stream(self) -> None:
        """List and watch as one stream (R-40 to R-48)."""
        initial, asked = _InitialEvents(self._sink.cut), self._start_version()
        try:
            async with asyncio.timeout(INITIAL_EVENTS_TIMEOUT) as patience:
                async for event in self._events(asked, initial=True):
                    if initial.version:
                        self._take(event)
                    elif initial.take(event):
                        patience.reschedule(None)
                        self._replace(initial.items(), initial.version, asked)
                        self._state = _State.WATCH
                    elif event.type == "ADDED":
                        patience.reschedule(asyncio.get_running_loop().time() + INITIAL_EVENTS_TIMEOUT)
        except TimeoutError:
            self._give_up_streams()
            return
        if initial.version:
            self._ended(CollectionMetrics.CLOSED)
            return
        self._unended += 1
        if self._unended >= UNENDED_STREAMS:
            self._give_up_streams()
        if self._streams:
            raise Unreachable("the initial list ended before it was complete", maybe_sent=True)

    def _give_up_streams(self) -> None:
        """List by pages from now on: a proxy or an aggregated server answers streams but never ends them (W-12)."""
        log.warning("streamed lists do not end; listing by pages", resource=str(self._resource))
        self._streams = False
        self._state = _State.LIST

    async def _list(self) -> None:
        version = self._start_version()
        # With a version the server answers from its own cache, in one piece; without, with the newest, page by page:
        # never with "any", which after a restart may be older than what the process before has acted on (R-12, W-03).
        found = await self._client.list(
            self._resource,
            self._namespace,
            resource_version=version,
            limit=0 if version else 500,
            each=self._sink.cut,
            **self._selectors,
        )
        self._replace(found.items, found.resource_version, version)
        self._state = _State.WATCH

    async def _watch(self) -> None:
        # Before the request is sent: proxies may hold back the answer until there is something to say.
        if self._parted:
            await self._meet_again()
        began, delivered = self._clock.monotonic(), False
        async for event in self._events(self._version, initial=False):
            delivered = True
            self._take(event)
        if not delivered and self._clock.monotonic() - began < SHORT_WATCH:
            # A server that ends watches at once would be asked thousands of times a second.
            self._state = _State.STREAM if self._streams else _State.LIST
            raise Unreachable("the watch ended at once", maybe_sent=True)
        self._ended(CollectionMetrics.CLOSED)

    async def _meet_again(self) -> None:
        """See that the server is not behind what is known, before it is watched again after a break (W-03).

        One that was set back takes a watch from a version that it has yet to reach, and tells nothing up to there,
        not even of bookmarks: https://github.com/kubernetes/kubernetes, cache_watcher.go, ``process``.

        Raises:
            Expired: it is behind.
        """
        async with aclosing(self._client.pages(self._resource, self._namespace, limit=1)) as pages:
            self._see((await anext(pages)).resource_version)
        self._parted = False

    def _see(self, version: str) -> None:
        """Learn how far the server is.

        Raises:
            Expired: less far than it was before.
        """
        if _older(version, self._version):
            self._quorum = True
            raise Expired(410, "Expired", f"the API server is at version {version}, and was at {self._version} before")

    def _events(self, version: str, *, initial: bool) -> AsyncIterator[WatchEvent]:
        self._opened = self._bookmarked = False
        return self._client.watch(
            self._resource,
            self._namespace,
            resource_version=version,
            timeout=WATCH_TIMEOUT * (1 + self._jitter()),
            send_initial_events=initial,
            opened=self._on_opened,
            **self._selectors,
        )

    def _on_opened(self) -> None:
        self._opened = True
        if self._state is _State.WATCH:
            # What happens now is heard of, and what has happened meanwhile comes first.
            self.last_error = ""

    def _start_version(self) -> str:
        return "" if self._quorum else self._version

    def _replace(self, items: list[Object], version: str, asked: str) -> None:
        if asked and _older(version, self._version):
            # Against its promise, the server's cache is behind what it was asked for: it is not to be believed (W-03).
            raise Expired(410, "Expired", f"a list at version {version} was given for {asked}")
        self._sink.replace(self._namespace, items, version)
        self._version = version
        self._quorum = self._parted = False
        self._unended = 0
        self._read_at = self._clock.monotonic()
        self._well()
        if self._metrics is not None:
            self._metrics.listed()

    def _take(self, event: WatchEvent) -> None:
        if event.type not in {"ADDED", "MODIFIED", "DELETED", "BOOKMARK"}:
            log.warning("unknown watch event", resource=str(self._resource), type=event.type)
            return
        version = event.object["metadata"]["resourceVersion"]
        self._see(version)
        if event.type == "BOOKMARK":
            self._bookmarked = True
            self._sink.bookmark(self._namespace, version)
        else:
            self._sink.event(self._namespace, event)
        self._version = version
        self._well()

    def _well(self) -> None:
        """The server has said something that is of use."""
        self._heard()
        if self.last_error:
            self.last_error = ""
            log.info("keeps up with the API server again", resource=str(self._resource))

    def _heard(self) -> None:
        self._heard_at = self._clock.monotonic()

    def _ended(self, reason: str) -> None:
        """A watch has ended; in good order it has also said that there is nothing more to tell."""
        if reason == CollectionMetrics.CLOSED:
            self._heard()
        if self._metrics is not None:
            self._metrics.ended(reason)


def _older(version: str, known: str) -> bool:
    return version.isdecimal() and known.isdecimal() and int(version) < int(known)


def _too_large(error: ApiError) -> bool:
    """Whether a version was asked for that the server has not reached; older servers only say so in words (R-32)."""
    causes = error.details.get("causes") or ()
    return any(cause.get("reason") == "ResourceVersionTooLarge" for cause in causes) or (
        "Too large resource version" in error.message
    )


def _sentence(error: ApiError | Unreachable, resource: Resource, namespace: str) -> str:
    where = f"in namespace {namespace}" if namespace else "in all namespaces"
    match error:
        case Forbidden():
            return f"may not list and watch {resource} {where}: {error.message}"
        case NotFound():
            return f"the API server does not know {resource}; is its CustomResourceDefinition installed?"
        case _:
            return f"cannot list or watch {resource} {where}: {error}"
