"""What controllers know: the objects of a collection, fed by a watch and by the answers to their own writes."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from marie_operator.testing.api import Api, ApiStatus
from marie_operator.testing.workloads.objects import (
    Key,
    Object,
    Resource,
    is_deleting,
    key_of,
    owners_of,
    uid_of,
    version_of,
)

Listener: TypeAlias = Callable[[Object], None]


class Cache:
    """The objects of one collection, by place, namespace and owner.

    Args:
        resource: The collection.
    """

    def __init__(self, resource: Resource) -> None:
        self.resource = resource
        self.synced = asyncio.Event()
        self._objects: dict[str, Object] = {}
        self._places: dict[Key, str] = {}
        self._namespaces: defaultdict[str, dict[str, None]] = defaultdict(dict)
        self._owned: defaultdict[str, dict[str, None]] = defaultdict(dict)
        self._ended: set[str] = set()
        self._listeners: list[Listener] = []

    def __len__(self) -> int:
        return len(self._objects)

    def listen(self, listener: Listener) -> None:
        """Have every object told that is there, comes, changes or goes: as it is now, and as it was."""
        self._listeners.append(listener)
        for found in list(self._objects.values()):
            listener(found)

    def get(self, key: Key) -> Object | None:
        """What is in a place."""
        return self._objects.get(self._places.get(key, ""))

    def by_uid(self, uid: str) -> Object | None:
        """An object, wherever it is."""
        return self._objects.get(uid)

    def all(self) -> list[Object]:
        """Every object."""
        return list(self._objects.values())

    def within(self, namespace: str) -> list[Object]:
        """The objects of a namespace."""
        return [self._objects[uid] for uid in self._namespaces.get(namespace, ())]

    def owned(self, uid: str) -> list[Object]:
        """The objects that refer to an owner."""
        return [self._objects[each] for each in self._owned.get(uid, ())]

    def store(self, found: Object) -> None:
        """Learn of an object; older news than what is known is ignored."""
        uid = uid_of(found)
        old = self._objects.get(uid)
        if uid in self._ended or (old is not None and version_of(old) >= version_of(found)):
            return
        if old is not None:
            self._drop(old)
        self._objects[uid] = found
        self._places[key_of(found)] = uid
        self._namespaces[key_of(found).namespace][uid] = None
        for owner in owners_of(found):
            self._owned[owner["uid"]][uid] = None
        self._tell(found, old)

    def remove(self, found: Object, *, told: bool = True) -> None:
        """Learn of an object's end; unless the watch has told it, older news of the object may still come."""
        uid = uid_of(found)
        if told:
            self._ended.discard(uid)
        elif uid in self._objects:
            self._ended.add(uid)
        old = self._objects.pop(uid, None)
        if old is not None:
            self._drop(old)
            self._tell(found, old)

    def _drop(self, found: Object) -> None:
        uid, key = uid_of(found), key_of(found)
        if self._places.get(key) == uid:
            del self._places[key]
        _discard(self._namespaces, key.namespace, uid)
        for owner in owners_of(found):
            _discard(self._owned, owner["uid"], uid)

    def _tell(self, found: Object, old: Object | None) -> None:
        for listener in self._listeners:
            listener(found)
            if old is not None and old is not found:
                listener(old)


class Cluster:
    """Reads from caches, and writes that the caches know of at once.

    Args:
        api: An entered client.
        spawn: Starts the following of a collection.
    """

    def __init__(self, api: Api, spawn: Callable[[Any, str], None]) -> None:
        self.api = api
        self._spawn = spawn
        self._caches: dict[Resource, Cache] = {}
        self._lost: list[Callable[[Resource], None]] = []

    def __getitem__(self, resource: Resource) -> Cache:
        """The cache of a collection, which is followed from now on."""
        cache = self._caches.get(resource)
        if cache is None:
            cache = self._caches[resource] = Cache(resource)
            self._spawn(self._follow(cache), f"follow {resource.plural}")
        return cache

    def on_lost(self, listener: Callable[[Resource], None]) -> None:
        """Have it told when a collection is not served any more."""
        self._lost.append(listener)

    async def synced(self, resources: Iterable[Resource]) -> None:
        """Wait until everything is known that was there when they were first followed."""
        for resource in resources:
            await self[resource].synced.wait()

    async def create(self, resource: Resource, body: Object) -> Object:
        """Create an object."""
        metadata = body["metadata"]
        body = {"apiVersion": resource.version, "kind": resource.kind, **body}
        made: Object = await self.api.create(resource.path(metadata.get("namespace", "")), body)
        self[resource].store(made)
        return made

    async def patch(self, resource: Resource, found: Object, change: Object, *subresource: str) -> Object:
        """Merge a change into an object, unless it has changed since it was seen."""
        metadata = {"resourceVersion": found["metadata"]["resourceVersion"], "uid": uid_of(found)}
        body = {**change, "metadata": {**change.get("metadata", {}), **metadata}}
        key = key_of(found)
        try:
            made: Object = await self.api.patch(resource.path(key.namespace, key.name, *subresource), body)
        except ApiStatus as error:
            if error.code == 404:
                self[resource].remove(found, told=False)
            raise
        self._learn(resource, made)
        return made

    async def replace(self, resource: Resource, body: Object) -> None:
        """Replace an object by a changed one, unless it has changed since it was seen."""
        key = key_of(body)
        self._learn(resource, await self.api.call("PUT", resource.path(key.namespace, key.name), body))

    async def write_status(self, resource: Resource, found: Object, status: Object) -> Object:
        """Make a status what it should be, if it is not so already; fields that it does not name are removed."""
        change = difference(found.get("status") or {}, status)
        if not change:
            return found
        return await self.patch(resource, found, {"status": change}, "status")

    async def delete(
        self,
        resource: Resource,
        found: Object,
        *,
        propagation: str = "",
        unchanged: bool = False,
        grace: int | None = None,
    ) -> None:
        """Delete this very object, or only if it is unchanged since it was seen; one that is gone is fine."""
        options: Object = {"preconditions": {"uid": uid_of(found)}}
        if grace is not None:
            options["gracePeriodSeconds"] = grace
        if unchanged:
            options["preconditions"]["resourceVersion"] = found["metadata"]["resourceVersion"]
        if propagation:
            options["propagationPolicy"] = propagation
        key = key_of(found)
        try:
            left = await self.api.delete(resource.path(key.namespace, key.name), options)
        except ApiStatus as error:
            # 409: another one is in its place, unless the versions are compared.
            if error.code != 404 and (unchanged or error.code != 409):
                raise
            self[resource].remove(found, told=False)
            return
        if is_deleting({"metadata": {}, **left}):
            self._learn(resource, left)
        else:
            # A Status, or the object as it last was.
            self[resource].remove(found, told=False)

    def _learn(self, resource: Resource, answer: Object) -> None:
        """Take an answer for news: of an object that has ended, when its end was asked for and nothing holds it."""
        metadata = answer["metadata"]
        held = (
            metadata.get("finalizers")
            or metadata.get("deletionGracePeriodSeconds")
            or (answer.get("spec") or {}).get("finalizers")
        )
        if is_deleting(answer) and not held:
            self[resource].remove(answer, told=False)
        else:
            self[resource].store(answer)

    async def _follow(self, cache: Cache) -> None:
        try:
            async for kind, found in self.api.watch(cache.resource.path(), listed=cache.synced.set):
                if kind == "DELETED":
                    cache.remove(found)
                else:
                    cache.store(found)
        except ApiStatus as error:
            # The definition of a custom resource may have been deleted.
            if error.code != 404:
                raise
            self._lose(cache)

    def _lose(self, cache: Cache) -> None:
        """A collection that is not served is empty."""
        self._caches.pop(cache.resource, None)
        for found in cache.all():
            cache.remove(found)
        cache.synced.set()
        for listener in self._lost:
            listener(cache.resource)


def difference(old: Object, new: Object) -> Object:
    """The merge patch that makes one of the other."""
    change: Object = {name: None for name in old if name not in new}
    for name, value in new.items():
        before = old.get(name)
        if isinstance(before, dict) and isinstance(value, dict):
            if nested := difference(before, value):
                change[name] = nested
        elif name not in old or before != value:
            change[name] = value
    return change


def _discard(index: dict[str, dict[str, None]], name: str, uid: str) -> None:
    members = index.get(name)
    if members is not None:
        members.pop(uid, None)
        if not members:
            del index[name]
