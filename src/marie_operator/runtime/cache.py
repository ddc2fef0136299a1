"""Informers: local copies of collections, with indexes and handlers, that also know what this process has written."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import structlog

from marie_operator.runtime.client import Client, PatchKind, WatchEvent
from marie_operator.runtime.clock import Clock
from marie_operator.runtime.reflector import Reflector
from marie_operator.runtime.resource import Object, ObjectKey, Resource

IndexFunction: TypeAlias = Callable[[Object], Iterable[str]]
Transform: TypeAlias = Callable[[Object], Object]
Objects: TypeAlias = list[Object]

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Event:
    """What happened to an object in an informer.

    Attributes:
        kind: added, modified or deleted.
        object: Its newest known state; for deleted, the last one.
        old: Its state before, for modified.
        initial: It was there when the informer, or the handler, started.
    """

    kind: Literal["added", "modified", "deleted"]
    object: Object
    old: Object | None = None
    initial: bool = False


Handler: TypeAlias = Callable[[Event], None]


class NotCached(LookupError):  # noqa: N818
    """A kind was read that no informer keeps; informers are never started by reading (W-10)."""

    def __init__(self, resource: Resource) -> None:
        super().__init__(f"{resource} is not cached; add it to the cache before it runs")


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
        self._deleted: set[str] = set()
        self._versions: dict[str, int] = {}
        self._handlers: list[Handler] = []
        self._synced = asyncio.Event()

    @property
    def synced(self) -> bool:
        """Whether every namespace has been read once (R-17, S-03)."""
        return self._synced.is_set()

    @property
    def last_error(self) -> str:
        """Why the copy is not up to date, as a sentence; empty while it is."""
        return next((reflector.last_error for reflector in self.reflectors if reflector.last_error), "")

    async def wait_synced(self) -> None:
        """Return once ``synced``."""
        await self._synced.wait()

    def __len__(self) -> int:
        return len(self._objects)

    def get(self, key: ObjectKey) -> Object | None:
        """The object of this key, or None; shared, never to be changed (S-12)."""
        return self._objects.get(key)

    def list(self, namespace: str = "") -> Objects:
        """All objects, or those of one namespace, in the order of their keys."""
        keys = sorted(key for key in self._objects if not namespace or key.namespace == namespace)
        return [self._objects[key] for key in keys]

    def indexed(self, index: str, value: str) -> Objects:
        """Objects for which the index function yields ``value``, in the order of their keys.

        Raises:
            KeyError: no such index.
        """
        return [self._objects[key] for key in sorted(self._indexes[index].get(value, ()))]

    def add_handler(self, handler: Handler) -> None:
        """Call ``handler`` for every event, inline; it gets what is there already as added (I-04)."""
        self._handlers.append(handler)
        for obj in self.list():
            self._tell(handler, Event("added", obj, initial=True))

    # What the reflectors say.

    def replace(self, namespace: str, items: Objects, resource_version: str) -> None:
        """A whole list at one version: anything else of this namespace is gone, unless written since (R-14, R-51)."""
        version, initial = int(resource_version), namespace not in self._versions
        listed = {ObjectKey.of(item): item for item in items}
        present = {item["metadata"]["uid"] for item in items}
        self._deleted = {uid for uid in self._deleted if uid in present}
        for key in [key for key in self._objects if not namespace or key.namespace == namespace]:
            if key not in listed and _version(self._objects[key]) <= version:
                self._remove(key)
        for item in items:
            self._offer(item, initial=initial)
        self._advance(namespace, version)
        if self._namespaces <= self._versions.keys():
            self._synced.set()

    def event(self, namespace: str, event: WatchEvent) -> None:
        """One change, which may be older than what this process has written since."""
        obj = event.object
        if event.type == "DELETED":
            uid, key = obj["metadata"]["uid"], ObjectKey.of(obj)
            self._deleted.discard(uid)
            known = self._objects.get(key)
            if known is not None and known["metadata"]["uid"] == uid and _version(known) <= _version(obj):
                self._remove(key)
        else:
            self._offer(obj)
        self._advance(namespace, _version(obj))

    def bookmark(self, namespace: str, resource_version: str) -> None:
        """Nothing else has changed up to this version (R-28)."""
        self._advance(namespace, int(resource_version))

    # What this process has done.

    def written(self, obj: Object) -> None:
        """A write returned ``obj``: know it at once, unless the copy is past it already."""
        key = ObjectKey.of(obj)
        namespace = next((name for name in ("", key.namespace) if name in self._namespaces), None)
        if namespace is None or self._narrow or not _matches(self._selector, obj):
            return
        if key in self._objects or _version(obj) > self._versions.get(namespace, 0):
            self._offer(obj)

    def removed(self, key: ObjectKey, uid: str) -> None:
        """A delete removed the object of this uid: late events about it are history."""
        known = self._objects.get(key)
        if known is not None and known["metadata"]["uid"] == uid:
            self._deleted.add(uid)
            self._remove(key)

    def _offer(self, obj: Object, *, initial: bool = False) -> None:
        """Store ``obj`` if it is newer than what is known under its key."""
        if obj["metadata"]["uid"] in self._deleted:
            return
        key = ObjectKey.of(obj)
        known = self._objects.get(key)
        if known is not None and _version(known) >= _version(obj):
            return
        kept = self._kept(obj)
        self._objects[key] = kept
        self._index(key, known, kept)
        self._notify(Event("added" if known is None else "modified", kept, known, initial))

    def _remove(self, key: ObjectKey) -> None:
        gone = self._objects.pop(key)
        self._index(key, gone, None)
        self._notify(Event("deleted", gone))

    def _kept(self, obj: Object) -> Object:
        metadata = {name: value for name, value in obj["metadata"].items() if name != "managedFields"}
        stripped = {**obj, "metadata": metadata}
        return stripped if self._transform is None else self._transform(stripped)

    def _index(self, key: ObjectKey, old: Object | None, new: Object | None) -> None:
        for name, function in self._index_functions.items():
            before = set() if old is None else set(function(old))
            after = set() if new is None else set(function(new))
            entries = self._indexes[name]
            for value in before - after:
                entries[value].discard(key)
                if not entries[value]:
                    del entries[value]
            for value in after - before:
                entries[value].add(key)

    def _advance(self, namespace: str, version: int) -> None:
        self._versions[namespace] = max(version, self._versions.get(namespace, 0))

    def _notify(self, event: Event) -> None:
        for handler in self._handlers:
            self._tell(handler, event)

    def _tell(self, handler: Handler, event: Event) -> None:
        try:
            handler(event)
        except Exception:
            # One object that a handler cannot digest must not stop the others (I-06).
            log.exception("event handler failed", resource=str(self.resource), object=str(ObjectKey.of(event.object)))


class Cache:
    """The informers of a process.

    Args:
        client: Lists and watches.
        namespaces: What to look at; empty for all namespaces.
        clock: For the reflectors.
    """

    def __init__(self, client: Client, *, namespaces: Sequence[str] = (), clock: Clock) -> None:
        self._client = client
        self._namespaces = tuple(namespaces) or ("",)
        self._clock = clock
        self._informers: dict[Resource, Informer] = {}

    def add(
        self,
        resource: Resource,
        *,
        label_selector: str = "",
        field_selector: str = "",
        indexes: Mapping[str, IndexFunction] | None = None,
        transform: Transform | None = None,
    ) -> Informer:
        """Keep a kind; before ``run``.

        Args:
            resource: The kind.
            label_selector: Narrows on the server; equality and existence only.
            field_selector: Narrows on the server.
            indexes: Functions from an object to the values it is found under, by the index's name.
            transform: Cuts an object down before it is stored; must keep its name, uid and version (R-60).

        Raises:
            ValueError: the kind is there already, or the selector is of another form.
        """
        if resource in self._informers:
            raise ValueError(f"{resource} is cached already")
        namespaces = self._namespaces if resource.namespaced else ("",)
        informer = Informer(
            resource,
            namespaces=namespaces,
            label_selector=label_selector,
            field_selector=field_selector,
            indexes=indexes or {},
            transform=transform,
        )
        informer.reflectors = [
            Reflector(
                self._client,
                resource,
                namespace,
                informer,
                clock=self._clock,
                label_selector=label_selector,
                field_selector=field_selector,
            )
            for namespace in namespaces
        ]
        self._informers[resource] = informer
        return informer

    def __getitem__(self, resource: Resource) -> Informer:
        try:
            return self._informers[resource]
        except KeyError:
            raise NotCached(resource) from None

    def informers(self) -> Iterable[Informer]:
        """Every informer, in the order they were added."""
        return self._informers.values()

    async def run(self) -> None:
        """Keep all copies until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for informer in self._informers.values():
                for reflector in informer.reflectors:
                    tasks.create_task(reflector.run(), name=f"reflector {informer.resource}")

    async def wait_synced(self) -> None:
        """Return once every informer has been read once."""
        for informer in self._informers.values():
            await informer.wait_synced()

    def writer(self, client: Client) -> "Writer":
        """A client whose writes are in this cache when they return."""
        return Writer(client, self)

    def _informer(self, resource: Resource) -> Informer | None:
        return self._informers.get(resource)


class Writer:
    """Writes through to a cache: read your own writes (W-01).

    Args:
        client: Does the writing; fenced when a lease guards it.
        cache: Knows the results at once.
    """

    def __init__(self, client: Client, cache: Cache) -> None:
        self._client = client
        self._cache = cache

    async def get(self, resource: Resource, key: ObjectKey) -> Object:
        """Read from the server, past the cache."""
        return await self._client.get(resource, key)

    async def create(self, resource: Resource, obj: Object) -> Object:
        """As ``Client.create``."""
        return self._written(resource, await self._client.create(resource, obj))

    async def update(self, resource: Resource, obj: Object, *, subresource: str = "") -> Object:
        """As ``Client.update``."""
        return self._written(resource, await self._client.update(resource, obj, subresource=subresource))

    async def apply(
        self, resource: Resource, obj: Object, *, field_manager: str, force: bool = False, subresource: str = ""
    ) -> Object:
        """As ``Client.apply``."""
        result = await self._client.apply(
            resource, obj, field_manager=field_manager, force=force, subresource=subresource
        )
        return self._written(resource, result)

    async def patch(
        self,
        resource: Resource,
        key: ObjectKey,
        body: Object | Sequence[Object],
        *,
        kind: PatchKind,
        subresource: str = "",
    ) -> Object:
        """As ``Client.patch``."""
        return self._written(
            resource, await self._client.patch(resource, key, body, kind=kind, subresource=subresource)
        )

    async def delete(
        self,
        resource: Resource,
        key: ObjectKey,
        *,
        uid: str = "",
        resource_version: str = "",
        propagation: str = "Background",
    ) -> Object:
        """As ``Client.delete``."""
        result = await self._client.delete(
            resource, key, uid=uid, resource_version=resource_version, propagation=propagation
        )
        if result.get("kind") != "Status":
            return self._written(resource, result)
        informer = self._cache._informer(resource)
        if informer is not None and uid:
            informer.removed(key, uid)
        return result

    def _written(self, resource: Resource, obj: Object) -> Object:
        informer = self._cache._informer(resource)
        if informer is not None:
            informer.written(obj)
        return obj


def _version(obj: Object) -> int:
    """Resource versions of one kind are ordered as numbers (S-10)."""
    return int(obj["metadata"]["resourceVersion"])


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
