"""Informers: local copies of collections, with indexes and handlers, that also know what this process has written."""

import asyncio
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

import structlog

from marie_operator.runtime.decoding import WatchEvent
from marie_operator.runtime.reflector import Reflector
from marie_operator.runtime.resource import Object, ObjectKey, Resource

IndexFunction: TypeAlias = Callable[[Object], Iterable[str]]
Transform: TypeAlias = Callable[[Object], Object]
Objects: TypeAlias = list[Object]

_KEPT = ("namespace", "name", "uid", "resourceVersion")
"""What tells one object, and one version of it, from another."""

MOST_KEPT_OUT = 1000
"""Deleted objects of a kind that are kept out although nothing more may ever be told of them: it was told already that
they are gone, or they were never seen here."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Event:
    """What happened to an object in an informer.

    Attributes:
        kind: added, modified or deleted.
        object: Its newest known state; for deleted, the last one known, which may not be its last (R-52).
        old: Its state before, for modified; of another uid when it was deleted and made again unseen (R-53).
        initial: It was there when the informer, or the handler, started.
    """

    kind: Literal["added", "modified", "deleted"]
    object: Object
    old: Object | None = None
    initial: bool = False


Handler: TypeAlias = Callable[[Event], None]


class NotCached(LookupError):  # noqa: N818
    """A kind, or a namespace, was read that no informer keeps; informers are never started by reading (W-10)."""

    def __init__(self, resource: Resource, namespace: str = "") -> None:
        where = f" in namespace {namespace}" if namespace else ""
        super().__init__(f"{resource} is not cached{where}; add it to the cache before it runs")


@dataclass(frozen=True, slots=True)
class _Gone:
    """An object that a write of this process took out of the copy, while events about it may still come.

    Attributes:
        key: Its key.
        seen: The version that was in the copy.
        until: The version up to which whatever comes about it is history.
        missed: Whether it was told since that it is not there.
    """

    key: ObjectKey
    seen: int
    until: float
    missed: bool = False


class Informer:
    """A local copy of one kind, fed by one reflector for each namespace.

    What this process writes is in the copy when the write returns, and older events that arrive
    later do not undo it (W-01): resource versions order all states of a kind, so the newer one wins.
    """

    def __init__(
        self,
        resource: Resource,
        *,
        namespaces: Sequence[str],
        label_selector: str,
        field_selector: str,
        indexes: Mapping[str, IndexFunction],
        transform: Transform | None,
    ) -> None:
        self.resource = resource
        self.reflectors: list[Reflector] = []
        self._namespaces = frozenset(namespaces)
        self._selector = _parsed(label_selector)
        self._narrow = bool(field_selector)
        self._index_functions = dict(indexes)
        self._indexes: dict[str, dict[str, set[ObjectKey]]] = {name: defaultdict(set) for name in indexes}
        self._transform = transform
        self._objects: dict[ObjectKey, Object] = {}
        self._gone: dict[str, _Gone] = {}
        self._doubted: dict[str, None] = {}
        self._ended: dict[str, None] = {}
        self._next = math.inf
        self._undone: set[ObjectKey] = set()
        self._versions: dict[str, int] = {}
        self._handlers: list[Handler] = []
        self._synced = asyncio.Event()

    @property
    def synced(self) -> bool:
        """Whether every namespace has been read once, and every handler has heard of it (R-17, S-03, I-05)."""
        return self._synced.is_set()

    @property
    def last_error(self) -> str:
        """Why the copy is not up to date, as a sentence; empty while it is."""
        return next((reflector.last_error for reflector in self.reflectors if reflector.last_error), "")

    @property
    def age(self) -> float:
        """Seconds since the API server last said anything, in the namespace where that is longest ago."""
        return max((reflector.age for reflector in self.reflectors), default=0.0)

    def report(self) -> dict[str, Any]:
        """How the copy is, for /debug."""
        return {
            "resource": str(self.resource),
            "objects": len(self),
            "synced": self.synced,
            "age": round(self.age, 3),
            "versions": {namespace or "*": version for namespace, version in self._versions.items()},
            "problem": self.last_error,
        }

    async def wait_synced(self) -> None:
        """Return once ``synced``."""
        await self._synced.wait()

    def __len__(self) -> int:
        return len(self._objects)

    def get(self, key: ObjectKey) -> Object | None:
        """The object of this key, or None; shared, never to be changed (S-12).

        Raises:
            NotCached: the namespace is not among those that are kept (K-02).
        """
        self._check(key.namespace)
        return self._objects.get(key)

    def list(self, namespace: str = "") -> Objects:
        """All objects, or those of one namespace, in the order of their keys.

        Raises:
            NotCached: the namespace is not among those that are kept (K-02).
        """
        if namespace:
            self._check(namespace)
        keys = sorted(key for key in self._objects if not namespace or key.namespace == namespace)
        return [self._objects[key] for key in keys]

    def indexed(self, index: str, value: str) -> Objects:
        """Objects for which the index function yields ``value``, in the order of their keys.

        Raises:
            KeyError: no such index.
        """
        return [self._objects[key] for key in sorted(self._indexes[index].get(value, ()))]

    def counts(self, index: str) -> Mapping[str, int]:
        """Number of objects for each value that the index function yields for any.

        Raises:
            KeyError: no such index.
        """
        return {value: len(keys) for value, keys in self._indexes[index].items()}

    def add_handler(self, handler: Handler) -> None:
        """Call ``handler`` for every event, inline, in order; it hears of what is there as added (I-02, I-04)."""
        self._handlers.append(handler)
        for obj in self.list():
            self._tell(handler, Event("added", obj, initial=True))

    # What the reflectors say.

    def cut(self, obj: Object) -> Object:
        """What is kept of an object that was just decoded (R-60, R-61).

        Raises:
            ValueError: the transform does not keep what tells one object and version from another.
        """
        metadata = {name: value for name, value in obj["metadata"].items() if name != "managedFields"}
        stripped = {**obj, "metadata": metadata}
        if self._transform is None:
            return stripped
        result = self._transform(stripped)
        if any(result.get("metadata", {}).get(name) != metadata.get(name) for name in _KEPT):
            raise ValueError(f"the transform of {self.resource} must keep {', '.join(_KEPT)} as they are")
        return result

    def replace(self, namespace: str, items: Objects, resource_version: str) -> None:
        """A whole list at one version: anything else of this namespace is gone, unless written since (R-14, R-51).

        A version before the one known means that the API server itself was set back, as by a backup that was
        restored: then what it says now is all there is (W-03). Handlers hear of it when all of it is stored: first
        what is gone, then what is there, in the order of the list (S-04, S-05).
        """
        version, initial = self._number(resource_version), namespace not in self._versions
        if version < self._versions.get(namespace, 0):
            self._rewind(namespace, items)
        listed = {ObjectKey.of(item): item for item in items}
        present = {item["metadata"]["uid"] for item in items}
        for uid, gone in list(self._gone.items()):
            if _within(namespace, gone.key):
                self._keep(uid, self._passed(gone, version, uid in present))
        told: list[Event] = []
        for key in [key for key in self._objects if _within(namespace, key)]:
            if key not in listed and self._reached(key) <= version:
                told.append(self._remove(key))
                self._told_end(told[-1].object["metadata"]["uid"])
        told += [event for item in items if (event := self._offer(item, initial=initial, cut=True)) is not None]
        self._advance(namespace, version)
        for event in told:
            self._notify(event)
        if self._namespaces <= self._versions.keys():
            self._synced.set()

    def event(self, namespace: str, event: WatchEvent) -> None:
        """One change, which may be older than what this process has written since."""
        obj = event.object
        version = self._version(obj)
        told: Event | None = None
        if event.type == "DELETED":
            uid, key = obj["metadata"]["uid"], ObjectKey.of(obj)
            if (gone := self._gone.get(uid)) is not None:
                self._keep(uid, self._passed(gone, version, present=False))
            self._told_end(uid)
            known = self._objects.get(key)
            if known is not None and known["metadata"]["uid"] == uid and self._reached(key) <= version:
                told = self._remove(key)
        else:
            told = self._offer(obj)
        self._advance(namespace, version)
        self._told(told)

    def bookmark(self, namespace: str, resource_version: str) -> None:
        """Nothing else has changed up to this version (R-28)."""
        self._advance(namespace, self._number(resource_version))

    # What this process has done.

    def written(self, obj: Object) -> None:
        """A write returned ``obj``: know it at once, unless the copy is past it already."""
        key = ObjectKey.of(obj)
        namespace = self._kept_in(key)
        if namespace is None or self._narrow:
            return
        if not _matches(self._selector, obj):
            # It was written out of the selector: here it is gone, up to the state in which it comes back.
            self._withdraw(key, obj["metadata"]["uid"], until=self._version(obj))
        elif key in self._objects or self._version(obj) > self._versions.get(namespace, 0):
            self._told(self._offer(obj))

    def removed(self, key: ObjectKey, uid: str) -> None:
        """A delete removed the object of this uid: late events about it are history."""
        self._withdraw(key, uid, until=math.inf)

    def _withdraw(self, key: ObjectKey, uid: str, *, until: float) -> None:
        known, namespace = self._objects.get(key), self._kept_in(key)
        if namespace is None:
            return
        if known is None or known["metadata"]["uid"] != uid:
            # It may be on its way here, in a list from before; or the news of its end has overtaken the answer.
            if self._versions.get(namespace, 0) < until and uid not in self._ended:
                self._keep(uid, _Gone(key, 0, until))
        elif self._reached(key) < until:
            self._keep(uid, _Gone(key, self._reached(key), until))
            self._notify(self._remove(key))

    def _passed(self, gone: _Gone, version: int, present: bool) -> _Gone | None:
        """What is left to be kept out after a list, or the deletion, at ``version``; None once nothing is.

        What was told may be older than the write that took the object out. That it is not there proves only without a
        selector that it is gone: others may have taken it out of the selector before, and put it back since. What was
        written out of the selector has a version, up to which it is kept out; what was deleted may have none, and is
        kept out until it was told twice that it is not there.
        """
        if present or gone.seen > version:
            return gone
        if self._whole:
            return None
        if gone.until < math.inf:
            return gone
        return None if gone.missed else replace(gone, missed=True)

    @property
    def _whole(self) -> bool:
        """Whether no selector narrows the copy, so that what is not in it is nowhere."""
        return not self._selector and not self._narrow

    def _keep(self, uid: str, gone: _Gone | None) -> None:
        """Keep an object out, or no longer."""
        if gone is None:
            self._gone.pop(uid, None)
            return
        self._gone[uid] = gone
        self._next = min(self._next, gone.until)
        if gone.until == math.inf and (gone.missed or not gone.seen):
            self._gone.pop(_pushed_out(self._doubted, uid), None)

    def _told_end(self, uid: str) -> None:
        """It was told that an object is not in the copy's collection, which the answer to its deletion may say next."""
        if self._whole:
            _pushed_out(self._ended, uid)

    def _kept_in(self, key: ObjectKey) -> str | None:
        """The namespace, or all of them, under whose version a key is kept; None if it is not."""
        return next((name for name in ("", key.namespace) if name in self._namespaces), None)

    def _offer(self, obj: Object, *, initial: bool = False, cut: bool = False) -> Event | None:
        """Store ``obj``, once ``cut``, if it is newer than what is known under its key; what then happened."""
        uid, key, version = obj["metadata"]["uid"], ObjectKey.of(obj), self._version(obj)
        gone = self._gone.get(uid)
        if gone is not None:
            if version <= gone.until:
                return None
            del self._gone[uid]
        known = self._objects.get(key)
        if known is not None and self._reached(key) >= version:
            return None
        self._undone.discard(key)
        kept = self._objects[key] = obj if cut else self.cut(obj)
        self._index(key, known, kept)
        return Event("added" if known is None else "modified", kept, known, initial)

    def _remove(self, key: ObjectKey) -> Event:
        gone = self._objects.pop(key)
        self._undone.discard(key)
        self._index(key, gone, None)
        return Event("deleted", gone)

    def _reached(self, key: ObjectKey) -> int:
        """The version of what is known under a key; any is newer than one that was undone with its server."""
        return 0 if key in self._undone else self._version(self._objects[key])

    def _rewind(self, namespace: str, items: Objects) -> None:
        """Forget in which order the versions of before were."""
        log.warning("the API server was set back to an earlier state", resource=str(self.resource))
        del self._versions[namespace]
        listed = {ObjectKey.of(item): item for item in items}
        self._gone = {uid: gone for uid, gone in self._gone.items() if not _within(namespace, gone.key)}
        self._ended.clear()
        # One version may have been given twice, so only what is equal is the same.
        self._undone |= {
            key for key, known in self._objects.items() if _within(namespace, key) and known != listed.get(key)
        }

    def _index(self, key: ObjectKey, old: Object | None, new: Object | None) -> None:
        for name, function in self._index_functions.items():
            before = set() if old is None else set(function(old))
            after = set() if new is None else set(function(new))
            if before == after:
                continue
            entries = self._indexes[name]
            for value in before - after:
                entries[value].discard(key)
                if not entries[value]:
                    del entries[value]
            for value in after - before:
                entries[value].add(key)

    def _advance(self, namespace: str, version: int) -> None:
        reached = self._versions[namespace] = max(version, self._versions.get(namespace, 0))
        if reached >= self._next:
            # What is older than this has come; nothing is left to be kept out.
            self._gone = {
                uid: gone
                for uid, gone in self._gone.items()
                if gone.until > reached or not _within(namespace, gone.key)
            }
            self._next = min((gone.until for gone in self._gone.values()), default=math.inf)

    def _told(self, event: Event | None) -> None:
        if event is not None:
            self._notify(event)

    def _notify(self, event: Event) -> None:
        for handler in self._handlers:
            self._tell(handler, event)

    def _tell(self, handler: Handler, event: Event) -> None:
        try:
            handler(event)
        except Exception:
            # One object that a handler cannot digest must not stop the others (I-06).
            namespace, name = ObjectKey.of(event.object)
            log.exception("event handler failed", resource=str(self.resource), namespace=namespace, name=name)

    def _check(self, namespace: str) -> None:
        if "" not in self._namespaces and namespace not in self._namespaces:
            raise NotCached(self.resource, namespace)

    def _version(self, obj: Object) -> int:
        return self._number(obj["metadata"]["resourceVersion"])

    def _number(self, version: str) -> int:
        """Resource versions of one kind are ordered as numbers; what has others cannot be kept (S-10)."""
        try:
            return int(version)
        except ValueError:
            raise ValueError(
                f"{self.resource} cannot be cached: its resource version {version!r} is no number, as those of"
                " Kubernetes' own kinds and of custom resources are"
            ) from None


def _pushed_out(uids: dict[str, None], uid: str) -> str:
    """Add to uids, of which the newest are kept; the one that is kept no longer, or nothing."""
    uids[uid] = None
    if len(uids) <= MOST_KEPT_OUT:
        return ""
    oldest = next(iter(uids))
    del uids[oldest]
    return oldest


def _within(namespace: str, key: ObjectKey) -> bool:
    return not namespace or key.namespace == namespace


def _parsed(selector: str) -> Sequence[tuple[str, str | None]]:
    terms: list[tuple[str, str | None]] = []
    for term in filter(None, (part.strip() for part in selector.split(","))):
        name, equals, value = term.partition("=")
        if any(sign in term for sign in "!() ") or "=" in value:
            raise ValueError(f"label selector {selector!r}: only 'name' and 'name=value' can be matched here")
        terms.append((name, value if equals else None))
    return terms


def _matches(selector: Sequence[tuple[str, str | None]], obj: Object) -> bool:
    labels = obj["metadata"].get("labels") or {}
    return all(name in labels and value in {None, labels[name]} for name, value in selector)
