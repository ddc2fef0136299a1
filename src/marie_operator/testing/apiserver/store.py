"""What is stored, under one revision: the part of etcd that an API server shows."""

from bisect import bisect_left, bisect_right, insort
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from pydantic_core import from_json, to_json

from marie_operator.testing.apiserver.errors import Object

Bucket = tuple[str, str]
"""Group and plural name: objects are stored once, whatever the versions they are served in."""


_LATEST = 16
"""Entries that are kept as objects too: who has just written one looks at it again, and so do those who watch."""


class Key(NamedTuple):
    """Namespace and name; the namespace of objects that have none is empty."""

    namespace: str
    name: str


class Entry:
    """An object as it was stored.

    Once others have been stored after it, it is kept as JSON alone, and read again when somebody asks for it: ten
    thousand trees of objects would be gone through by every collection of garbage.

    Attributes:
        key: Its name.
        revision: When it was stored.
        first: Whether there was nothing before it.
        writer: By what rules; None when nobody told.
        reading: The rules by which it was read last, and what they made of it.
    """

    __slots__ = ("_encoded", "_object", "first", "key", "reading", "revision", "writer")

    def __init__(self, key: Key, stored: Object, revision: int) -> None:
        self.key = key
        self._object: Object | None = stored
        self.revision = revision
        self.first = False
        self.writer: object = None
        self.reading: tuple[object, Entry] | None = None
        self._encoded: bytes | None = None

    @property
    def object(self) -> Object:
        """The object, with the revision in ``metadata.resourceVersion``; never changed again."""
        if self._object is None:
            assert self._encoded is not None  # noqa: S101 - one of the two is there
            self._object = from_json(self._encoded)
        return self._object

    @property
    def encoded(self) -> bytes:
        """The object as JSON, encoded once."""
        if self._encoded is None:
            self._encoded = encode(self._object)
        return self._encoded

    def rest(self) -> None:
        """Keep it as JSON alone."""
        self._encoded, self._object = self.encoded, None


def encode(value: object) -> bytes:
    """Compact JSON."""
    return to_json(value)


class Change(NamedTuple):
    """One commit.

    Attributes:
        revision: Its number.
        entry: What is stored now; for a removal, the last state, under the removal's revision.
        previous: What was stored before, or None.
        removed: Whether the object is gone.
    """

    revision: int
    entry: Entry
    previous: Entry | None
    removed: bool


class Forgotten(Exception):  # noqa: N818
    """A revision is older than what is kept.

    Attributes:
        oldest: The oldest revision that is.
    """

    def __init__(self, oldest: int) -> None:
        super().__init__(f"revision {oldest} is the oldest that is kept")
        self.oldest = oldest


class _Shelf:
    """Objects of one bucket in the order of their keys, and what happened to them."""

    __slots__ = ("compacted", "entries", "history", "keys", "listeners")

    def __init__(self) -> None:
        self.entries: dict[Key, Entry] = {}
        self.keys: list[Key] = []
        self.history: deque[Change] = deque()
        self.compacted = 0
        self.listeners: dict[Callable[[Change], None], None] = {}


class Store:
    """Objects of all kinds.

    Args:
        history: Changes kept for each bucket, for watches and for lists at an older revision.
    """

    def __init__(self, *, history: int = 4096) -> None:
        self.revision = 1
        self._history = history
        self._compacted = 0
        self._shelves: dict[Bucket, _Shelf] = {}
        self._latest: deque[Entry] = deque()

    def get(self, bucket: Bucket, key: Key) -> Entry | None:
        """What is stored under a key."""
        shelf = self._shelves.get(bucket)
        return None if shelf is None else shelf.entries.get(key)

    def count(self, bucket: Bucket) -> int:
        """Number of objects."""
        shelf = self._shelves.get(bucket)
        return 0 if shelf is None else len(shelf.keys)

    def put(self, bucket: Bucket, key: Key, stored: Object, writer: object = None) -> Entry:
        """Store an object in place of what was there; its resource version is set.

        Args:
            bucket: Which kind of object.
            key: Its name.
            stored: The object.
            writer: By what rules it was made.
        """
        shelf = self._shelf(bucket)
        previous = shelf.entries.get(key)
        self.revision += 1
        entry = Entry(key, _versioned(stored, self.revision), self.revision)
        entry.writer = writer
        entry.first = previous is None
        shelf.entries[key] = entry
        if previous is None:
            insort(shelf.keys, key)
        self._commit(shelf, Change(self.revision, entry, previous, removed=False))
        return entry

    def remove(self, bucket: Bucket, key: Key, *, last: Object | None = None) -> Entry:
        """Remove an object.

        Args:
            bucket: Which kind of object.
            key: Its name.
            last: Its last state; by default, the one that is stored.

        Returns:
            The last state, under the removal's revision.

        Raises:
            KeyError: there is none.
        """
        shelf = self._shelf(bucket)
        previous = shelf.entries.pop(key)
        del shelf.keys[bisect_left(shelf.keys, key)]
        self.revision += 1
        entry = Entry(key, _versioned(previous.object if last is None else last, self.revision), self.revision)
        self._commit(shelf, Change(self.revision, entry, previous, removed=True))
        return entry

    def range(
        self, bucket: Bucket, namespace: str = "", *, after: Key | None = None, revision: int | None = None
    ) -> Iterator[Entry]:
        """Objects in the order of their keys.

        Args:
            bucket: Which.
            namespace: Only those in it; empty for all.
            after: Only those behind this key.
            revision: As of then; by default, as of now.

        Raises:
            Forgotten: the revision is older than what is kept.
        """
        shelf = self._shelves.get(bucket)
        if shelf is None:
            return iter(())
        if revision is None or revision >= self.revision:
            return _slice(shelf.keys, shelf.entries, namespace, after)
        entries = dict(shelf.entries)
        for change in reversed(self.since(bucket, revision)):
            if change.previous is None:
                entries.pop(change.entry.key, None)
            else:
                entries[change.entry.key] = change.previous
        return _slice(sorted(entries), entries, namespace, after)

    def since(self, bucket: Bucket, revision: int) -> Sequence[Change]:
        """What was committed after a revision.

        Raises:
            Forgotten: not all of it is kept.
        """
        shelf = self._shelf(bucket)
        oldest = max(shelf.compacted, self._compacted)
        if revision < oldest:
            raise Forgotten(oldest)
        found = list(shelf.history)
        return found[bisect_right(found, revision, key=lambda change: change.revision) :]

    def listen(self, bucket: Bucket, listener: Callable[[Change], None]) -> Callable[[], None]:
        """Have every later change told; returns what ends it."""
        listeners = self._shelf(bucket).listeners
        listeners[listener] = None
        return lambda: listeners.pop(listener, None)

    def compact(self) -> None:
        """Forget every change up to now, as etcd's compaction does."""
        self._compacted = self.revision
        for shelf in self._shelves.values():
            shelf.history.clear()

    def begin_with(self, other: "Store") -> None:
        """Have what another has stored at this moment, instead of what is stored here, and none of the past."""
        self.revision = other.revision
        for bucket in [*self._shelves, *other._shelves]:
            own, given = self._shelf(bucket), other._shelves.get(bucket) or _Shelf()
            own.entries, own.keys, own.compacted = dict(given.entries), list(given.keys), 0
        self.compact()

    def _shelf(self, bucket: Bucket) -> _Shelf:
        return self._shelves.setdefault(bucket, _Shelf())

    def _commit(self, shelf: _Shelf, change: Change) -> None:
        self._latest.append(change.entry)
        if len(self._latest) > _LATEST:
            self._latest.popleft().rest()
        shelf.history.append(change)
        if len(shelf.history) > self._history:
            shelf.compacted = shelf.history.popleft().revision
        for listener in tuple(shelf.listeners):
            listener(change)


def _versioned(stored: Object, revision: int) -> Object:
    return stored | {"metadata": stored["metadata"] | {"resourceVersion": str(revision)}}


def _slice(keys: Sequence[Key], entries: dict[Key, Entry], namespace: str, after: Key | None) -> Iterator[Entry]:
    start = bisect_right(keys, after) if after is not None else 0
    if namespace:
        start = max(start, bisect_left(keys, Key(namespace, "")))
    for number in range(start, len(keys)):
        key = keys[number]
        if namespace and key.namespace != namespace:
            return
        yield entries[key]
