"""Watches: every change of a selection, in order, from a version on."""

import asyncio
import json
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping

from marie_operator.testing.apiserver.errors import FieldError, Object, Refusal, invalid
from marie_operator.testing.apiserver.kinds import Kind
from marie_operator.testing.apiserver.lists import Selection, asked_revision
from marie_operator.testing.apiserver.requests import flag, number
from marie_operator.testing.apiserver.store import Change, Entry, Forgotten, Store

BOOKMARK_PERIOD = 60.0
LAST_BOOKMARK = 2.0
"""Seconds before the end of a watch at which it is told how far it has come."""
BACKLOG = 10_000
"""Changes that wait for a slow reader; one more ends its watch."""
DEFAULT_TIMEOUT = 1800.0
INITIAL_END = "k8s.io/initial-events-end"

Show = Callable[[Entry], bytes]
"""An entry as this watch's client wants it: whole, as metadata, as a table."""


class Watch:
    """One client's watch, open from its construction on.

    Args:
        store: What is watched.
        kind: Which objects.
        namespace: Where; empty for everywhere.
        selection: Which of them.
        query: The request's options.
        show: How objects are written.

    Raises:
        Refusal: 410, the version is no longer kept; 422, the options contradict one another; 500, the version is no
            number; 504, the objects are wanted as they have yet to be.
    """

    def __init__(
        self,
        store: Store,
        kind: Kind,
        namespace: str,
        selection: Selection,
        query: Mapping[str, str],
        show: Show,
    ) -> None:
        self._store, self._kind, self._namespace, self._selection = store, kind, namespace, selection
        self._show = show
        self._bookmarks = flag(query, "allowWatchBookmarks")
        timeout = number(query, "timeoutSeconds")
        self._timeout = float(timeout) if timeout else DEFAULT_TIMEOUT
        self._waiting: deque[bytes] = deque()
        self._wake = asyncio.Event()
        self._ended = False
        # Whoever watches from a version on has what came before: nothing up to there is told, be it still to come, as
        # on a server that was set back.
        self._floor = 0
        self._begin(query)
        self._stop = store.listen(kind.bucket, self._on_change)

    def _begin(self, query: Mapping[str, str]) -> None:
        version = query.get("resourceVersion", "")
        initial = flag(query, "sendInitialEvents") if "sendInitialEvents" in query else None
        _check(initial, query.get("resourceVersionMatch", ""))
        asked = 0 if version in {"", "0"} else watched_revision(version)
        if initial:
            asked_revision(self._store, version)
        if initial or (initial is None and not asked):
            self._floor = self._store.revision
            for entry in self._store.range(self._kind.bucket, self._namespace):
                served = self._kind.read(entry)
                if self._selection.takes(served.object):
                    self._say("ADDED", self._show(served))
            if initial and self._bookmarks:
                self._say("BOOKMARK", self._bookmark(ended=True))
            return
        self._floor = asked or self._store.revision
        try:
            missed = self._store.since(self._kind.bucket, self._floor)
        except Forgotten as error:
            raise Refusal(410, f"too old resource version: {self._floor} ({error.oldest})") from error
        for change in missed:
            self._on_change(change)

    async def events(self) -> AsyncGenerator[bytes, None]:
        """Lines of JSON until the time is up, the reader too slow, or the watch closed."""
        loop = asyncio.get_running_loop()
        end = loop.time() + self._timeout
        bookmark = _next_bookmark(loop.time(), end)
        try:
            while not self._ended or self._waiting:
                if self._waiting:
                    lines = b"".join(self._waiting)
                    self._waiting.clear()
                    yield lines
                    continue
                self._wake.clear()
                try:
                    async with asyncio.timeout_at(min(end, bookmark) if self._bookmarks else end):
                        await self._wake.wait()
                except TimeoutError:
                    if loop.time() >= end:
                        return
                    bookmark = _next_bookmark(loop.time(), end)
                    if self._store.revision > self._floor:
                        self._say("BOOKMARK", self._bookmark())
        finally:
            self._stop()

    def close(self) -> None:
        """End it after what waits has been read."""
        self._ended = True
        self._wake.set()

    def fail(self, refusal: Refusal) -> None:
        """Tell an error and end."""
        self._say("ERROR", json.dumps(refusal.status()).encode())
        self.close()

    def _on_change(self, change: Change) -> None:
        if (
            self._ended
            or change.revision <= self._floor
            or (self._namespace and change.entry.key.namespace != self._namespace)
        ):
            return
        entry = self._kind.read(change.entry)
        previous = None if change.previous is None else self._kind.read(change.previous)
        before = previous is not None and self._selection.takes(previous.object)
        after = not change.removed and self._selection.takes(entry.object)
        if after:
            self._say("MODIFIED" if before else "ADDED", self._show(entry))
        elif before and previous is not None:
            self._say("DELETED", self._show(entry if change.removed else _left(previous, change.revision)))
        if len(self._waiting) > BACKLOG:
            self._waiting.clear()
            self.close()

    def _say(self, kind: str, encoded: bytes) -> None:
        self._waiting.append(b'{"type":"%s","object":%s}\n' % (kind.encode(), encoded))
        self._wake.set()

    def _bookmark(self, *, ended: bool = False) -> bytes:
        meta: Object = {"resourceVersion": str(self._store.revision)}
        if ended:
            meta["annotations"] = {INITIAL_END: "true"}
        bare = {"kind": self._kind.kind, "apiVersion": self._kind.api_version, "metadata": meta}
        return json.dumps(bare, separators=(",", ":")).encode()


def _next_bookmark(now: float, end: float) -> float:
    """When to tell a watch how far it has come: every now and then, and shortly before its end."""
    last = end - LAST_BOOKMARK
    return min(now + BOOKMARK_PERIOD, last) if last > now else end


def _check(initial: bool | None, match: str) -> None:
    """See that what a watch begins with is said without contradiction."""
    field, found = "resourceVersionMatch", []
    if initial is None and match:
        why = "Forbidden: resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
        found.append(FieldError("FieldValueForbidden", why, field))
    if initial is not None and match != "NotOlderThan":
        why = "Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
        found.append(FieldError("FieldValueForbidden", why, field))
        if match:
            why = f'Unsupported value: "{match}": supported values: "NotOlderThan"'
            found.append(FieldError("FieldValueNotSupported", why, field))
    if found:
        raise invalid("ListOptions", "meta.k8s.io", "", found)


async def told(refusal: Refusal) -> AsyncGenerator[bytes, None]:
    """The one event of a watch that cannot begin."""
    yield b'{"type":"ERROR","object":%s}\n' % json.dumps(refusal.status()).encode()


def watched_revision(version: str) -> int:
    """The version to watch from.

    Raises:
        Refusal: 500, it is none; a real server does not say more either.
    """
    if not version.isdecimal():
        problem = f'Invalid value: "{version}": strconv.ParseUint: parsing "{version}": invalid syntax'
        raise Refusal(500, f"resourceVersion: {problem}", reason="")
    return int(version)


def _left(previous: Entry, revision: int) -> Entry:
    """An object that no longer belongs to the selection: as it was, under the version of the change."""
    meta = previous.object["metadata"] | {"resourceVersion": str(revision)}
    return Entry(previous.key, previous.object | {"metadata": meta}, revision)
