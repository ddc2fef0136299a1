"""Garbage collection: what belongs to owners that are gone goes too, before or after them, or is let go."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from marie_operator.testing.api import RETRY_PERIOD, ApiStatus, ApiUnreachable
from marie_operator.testing.workloads.cache import Cluster
from marie_operator.testing.workloads.controller import Controller, Mapper, Now, Periods
from marie_operator.testing.workloads.discovery import deletable
from marie_operator.testing.workloads.objects import (
    DEFINITIONS,
    Key,
    Object,
    Resource,
    has_condition,
    is_deleting,
    key_of,
    owners_of,
    uid_of,
)

ORPHAN = "orphan"
FOREGROUND = "foregroundDeletion"
# Events are many, and belong to nobody.
_IGNORED = frozenset({"events"})
_UNKNOWN_OWNER = 5.0


@dataclass(frozen=True)
class Verdict:
    """What becomes of an object that has owners.

    Attributes:
        delete: The propagation policy to delete it with; empty when it stays.
        drop: Uids of owners whose references go.
        unblock: Whether its references are to block no deletion, as its owners and dependents wait for each other.
    """

    delete: str = ""
    drop: frozenset[str] = frozenset()
    unblock: bool = False


def verdict(found: Object, owners: Mapping[str, Object | None], dependents: Sequence[Object]) -> Verdict:
    """Judge an object that nobody has deleted.

    Args:
        found: The object.
        owners: By uid, those it refers to; None for one that is gone.
        dependents: What refers to it.
    """
    waiting = {each["uid"] for each in owners_of(found) if _waits(owners.get(each["uid"]), each)}
    dangling = {each["uid"] for each in owners_of(found) if owners.get(each["uid"]) is None}
    solid = {each["uid"] for each in owners_of(found)} - waiting - dangling
    if solid or not owners_of(found):
        return Verdict(drop=frozenset(waiting | dangling))
    if waiting and dependents:
        return Verdict("Foreground", unblock=any(holds(each, FOREGROUND) for each in dependents))
    policy = "Orphan" if has(found, ORPHAN) else "Foreground" if has(found, FOREGROUND) else "Background"
    return Verdict(policy)


def _waits(owner: Object | None, reference: Mapping[str, Any]) -> bool:
    return owner is not None and holds(owner, FOREGROUND) and bool(reference.get("blockOwnerDeletion"))


def has(found: Object, finalizer: str) -> bool:
    """Whether a finalizer is there."""
    return finalizer in (found["metadata"].get("finalizers") or ())


def holds(found: Object, finalizer: str) -> bool:
    """Whether an object that is being deleted waits for a finalizer."""
    return is_deleting(found) and has(found, finalizer)


def blocking(uid: str, dependents: Iterable[Object]) -> list[Object]:
    """The dependents that an owner's deletion in the foreground waits for."""
    return [
        each
        for each in dependents
        if any(ref["uid"] == uid and ref.get("blockOwnerDeletion") for ref in owners_of(each))
    ]


class GarbageCollector(Controller):
    """The controller of owner references."""

    name = "garbage-collector-controller"

    def __init__(self, cluster: Cluster, now: Now, periods: Periods) -> None:
        super().__init__(cluster, now, periods)
        self._resources: dict[str, Resource] = {}
        self._kinds: dict[tuple[str, str], Resource] = {}
        # By an owner's uid: the collections in which it has had dependents, few among all that there are.
        self._places: defaultdict[str, dict[str, None]] = defaultdict(dict)
        self._changed = asyncio.Event()

    def watches(self) -> Mapping[Resource, Mapper]:
        """Nothing to begin with: what there is to watch is discovered."""
        return {}

    async def prepare(self, add: Callable[[Key], None]) -> None:
        """Follow everything that the server serves, for ever."""
        self.cluster[DEFINITIONS].listen(self._defined)
        self.cluster.on_lost(self._lost)
        while True:
            self._changed.clear()
            try:
                found = await deletable(self.cluster.api)
            except (ApiStatus, ApiUnreachable) as error:
                if isinstance(error, ApiStatus) and not error.passing:
                    raise
                found = []
            for resource in found:
                self._take(resource, add)
            if self._is_complete():
                await self._changed.wait()
            else:
                await asyncio.sleep(RETRY_PERIOD)

    def _take(self, resource: Resource, add: Callable[[Key], None]) -> None:
        name = f"{resource.plural}.{resource.version}"
        if resource.plural in _IGNORED or name in self._resources:
            return
        self._resources[name] = resource
        self._kinds[resource.group, resource.kind] = resource
        self.cluster[resource].listen(partial(self._see, name, resource, add))

    def _is_complete(self) -> bool:
        """Whether all that is defined is followed."""
        followed = {(each.group, each.kind) for each in self._resources.values()}
        served = [each for each in self.cluster[DEFINITIONS].all() if _is_served(each)]
        kinds = {(each["spec"]["group"], each["spec"]["names"]["kind"]) for each in served}
        return bool(self._resources) and kinds <= followed

    def _defined(self, definition: Object) -> None:
        if _is_served(definition):
            self._changed.set()

    def _lost(self, resource: Resource) -> None:
        self._resources.pop(f"{resource.plural}.{resource.version}", None)
        self._kinds.pop((resource.group, resource.kind), None)
        self._changed.set()

    def _see(self, name: str, resource: Resource, add: Callable[[Key], None], found: Object) -> None:
        uid = uid_of(found)
        for owner in owners_of(found):
            self._places[owner["uid"]][name] = None
        if owners_of(found) or is_deleting(found):
            add(Key(name, uid))
        if is_deleting(found) or self.cluster[resource].by_uid(uid) is None:
            for place, _ in self._dependents(uid):
                add(place)
        for owner in owners_of(found):
            kind = self._kinds.get((owner["apiVersion"].rpartition("/")[0], owner["kind"]))
            known = self.cluster[kind].by_uid(owner["uid"]) if kind is not None else None
            if kind is not None and known is not None and is_deleting(known):
                add(Key(f"{kind.plural}.{kind.version}", owner["uid"]))

    def _dependents(self, uid: str) -> list[tuple[Key, Object]]:
        return [
            (Key(name, uid_of(each)), each)
            for name in self._places.get(uid, ())
            if (resource := self._resources.get(name)) is not None
            for each in self.cluster[resource].owned(uid)
        ]

    async def reconcile(self, key: Key) -> float | None:
        """Judge one object, by its resource and uid."""
        resource = self._resources.get(key.namespace)
        found = self.cluster[resource].by_uid(key.name) if resource is not None else None
        if resource is None or found is None:
            return None
        if is_deleting(found):
            if has(found, ORPHAN):
                await self._let_go(resource, found)
            elif has(found, FOREGROUND):
                await self._wait(resource, found)
            return None
        owners: dict[str, Object | None] = {}
        for reference in owners_of(found):
            try:
                owners[reference["uid"]] = await self._owner(resource, found, reference)
            except LookupError:
                return _UNKNOWN_OWNER
        dependents = [each for _, each in self._dependents(key.name)]
        await self._carry_out(resource, found, verdict(found, owners, dependents))
        return None

    async def _owner(self, resource: Resource, found: Object, reference: Mapping[str, Any]) -> Object | None:
        """Who is referred to; None for one that is gone.

        Raises:
            LookupError: nobody can tell, as the kind is not served, or lives in namespaces while the object does not.
        """
        kind = self._kinds.get((reference["apiVersion"].rpartition("/")[0], reference["kind"]))
        if kind is None or (kind.namespaced and not resource.namespaced):
            raise LookupError(reference["kind"])
        namespace = key_of(found).namespace if kind.namespaced else ""
        known = self.cluster[kind].by_uid(reference["uid"])
        if known is not None and key_of(known) == Key(namespace, reference["name"]):
            return known
        try:
            current: Object = await self.cluster.api.get(kind.path(namespace, reference["name"]))
        except ApiStatus as error:
            if error.code == 404 and isinstance(error.body, dict) and error.body.get("details", {}).get("name"):
                return None
            raise
        return current if uid_of(current) == reference["uid"] else None

    async def _carry_out(self, resource: Resource, found: Object, judged: Verdict) -> None:
        if judged.drop:
            await self._drop_owners(resource, found, judged.drop)
        if judged.unblock:
            references = [{**each, "blockOwnerDeletion": False} for each in owners_of(found)]
            found = await self.cluster.patch(resource, found, {"metadata": {"ownerReferences": references}})
        if judged.delete:
            await self.cluster.delete(resource, found, propagation=judged.delete, unchanged=True)

    async def _let_go(self, resource: Resource, owner: Object) -> None:
        """Make orphans of the dependents, and then let the owner end."""
        uid = uid_of(owner)
        for place, each in self._dependents(uid):
            await self._drop_owners(self._resources[place.namespace], each, frozenset({uid}))
        await self._finish(resource, owner, ORPHAN)

    async def _wait(self, resource: Resource, owner: Object) -> None:
        """Let the owner end once nothing is left that blocks it; whoever goes brings another look."""
        if not blocking(uid_of(owner), [each for _, each in self._dependents(uid_of(owner))]):
            await self._finish(resource, owner, FOREGROUND)

    async def _finish(self, resource: Resource, found: Object, finalizer: str) -> None:
        left = [each for each in found["metadata"]["finalizers"] if each != finalizer]
        await self.cluster.patch(resource, found, {"metadata": {"finalizers": left or None}})

    async def _drop_owners(self, resource: Resource, found: Object, uids: frozenset[str]) -> None:
        left = [each for each in owners_of(found) if each["uid"] not in uids]
        await self.cluster.patch(resource, found, {"metadata": {"ownerReferences": left or None}})


def _is_served(definition: Object) -> bool:
    return has_condition(definition, "Established") and not is_deleting(definition)
