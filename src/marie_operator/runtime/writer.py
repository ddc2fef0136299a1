"""Writes that a cache knows of when they return."""

from collections.abc import Sequence

from marie_operator.runtime.cache import Cache
from marie_operator.runtime.client import Client, PatchKind
from marie_operator.runtime.errors import NotFound
from marie_operator.runtime.resource import Object, ObjectKey, Resource
from marie_operator.runtime.turn import Turn


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

    async def find(self, resource: Resource, key: ObjectKey) -> Object | None:
        """Read from the server, past the cache, by a list narrowed to its name: None where there is no such object.

        Raises:
            NotFound: the server has no such kind.
        """
        return next(iter(await self._named(resource, key)), None)

    async def refresh(self, resource: Resource, key: ObjectKey) -> None:
        """Have the cache show one object as it is on the server now: changed, made anew, or gone.

        A list narrowed to its name tells a missing object from a missing kind, and needs no right that the cache's own
        lists do not.
        """
        informer = self._cache[resource]
        known = informer.get(key)
        found = await self._named(resource, key)
        for obj in found:
            informer.written(obj)
        uids = {obj["metadata"]["uid"] for obj in found}
        if known is not None and known["metadata"]["uid"] not in uids:
            informer.removed(key, known["metadata"]["uid"])

    async def create(self, resource: Resource, obj: Object) -> Object:
        """As ``Client.create``."""
        return self._written(resource, await self._client.create(resource, obj), alone=True)

    async def update(self, resource: Resource, obj: Object, *, subresource: str = "") -> Object:
        """As ``Client.update``."""
        result = await self._client.update(resource, obj, subresource=subresource)
        return self._written(resource, result, alone=_is_conditional(obj))

    async def apply(
        self,
        resource: Resource,
        obj: Object,
        *,
        field_manager: str,
        force: bool = False,
        only_create: bool = False,
        subresource: str = "",
    ) -> Object:
        """As ``Client.apply``."""
        result = await self._client.apply(
            resource,
            obj,
            field_manager=field_manager,
            force=force,
            only_create=only_create,
            subresource=subresource,
        )
        return self._written(resource, result, alone=only_create or _is_conditional(obj))

    async def try_apply(self, resource: Resource, obj: Object, *, field_manager: str) -> Object:
        """Learn what the server would make of an apply, without making it.

        Raises:
            ApiError: as ``Client.apply``; a BadRequest where a webhook that is to be asked knows no dry run.
        """
        return await self._client.apply(resource, obj, field_manager=field_manager, dry_run=True)

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
        result = await self._client.patch(resource, key, body, kind=kind, subresource=subresource)
        return self._written(resource, result, alone=isinstance(body, dict) and _is_conditional(body))

    async def delete(
        self,
        resource: Resource,
        key: ObjectKey,
        *,
        uid: str = "",
        resource_version: str = "",
        propagation: str = "Background",
        grace: int | None = None,
    ) -> Object:
        """As ``Client.delete``."""
        try:
            result = await self._client.delete(
                resource, key, uid=uid, resource_version=resource_version, propagation=propagation, grace=grace
            )
        except NotFound:
            self._removed(resource, key, uid)
            raise
        told = result.get("kind") != "Status"
        if told and _stays(result):
            return self._written(resource, result, alone=bool(resource_version))
        named = result["metadata"] if told else result.get("details") or {}
        self._removed(resource, key, uid or named.get("uid", ""))
        return result

    async def _named(self, resource: Resource, key: ObjectKey) -> Sequence[Object]:
        """The object of a name as the server lists it, or nothing: a get would not tell a kind that is not there."""
        found = await self._client.list(resource, key.namespace, field_selector=f"metadata.name={key.name}")
        return found.items

    def _removed(self, resource: Resource, key: ObjectKey, uid: str) -> None:
        informer = self._cache.find(resource)
        if informer is not None and uid:
            informer.removed(key, uid)

    def _written(self, resource: Resource, obj: Object, *, alone: bool) -> Object:
        """Know what a write has made of an object.

        Args:
            resource: Its kind.
            obj: What the API server answered.
            alone: Whether nobody else can have had a part in it since the version that the write was made for. Without
                such a version the answer may hold what others did meanwhile, which no other event may tell of.
        """
        turn = Turn.present()
        if turn is not None and alone:
            turn.wrote(resource, obj)
        informer = self._cache.find(resource)
        if informer is not None:
            informer.written(obj)
        return obj


def _is_conditional(body: Object) -> bool:
    """Whether a write succeeds on one version of the object alone."""
    return bool((body.get("metadata") or {}).get("resourceVersion"))


def _stays(obj: Object) -> bool:
    """Whether an object is there after its deletion: some kinds are shown a last time when they are gone already."""
    metadata = obj["metadata"]
    return "deletionTimestamp" in metadata and bool(
        metadata.get("finalizers") or metadata.get("deletionGracePeriodSeconds")
    )
