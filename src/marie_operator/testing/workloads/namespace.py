"""Namespaces: what every one has, and the end of all that is in one that is deleted."""

from collections.abc import Mapping
from typing import Any

from marie_operator.testing.api import ApiStatus
from marie_operator.testing.workloads.controller import Controller, Mapper, is_terminating
from marie_operator.testing.workloads.discovery import deletable
from marie_operator.testing.workloads.objects import (
    CONFIG_MAPS,
    NAMESPACES,
    SERVICE_ACCOUNTS,
    Key,
    Object,
    Resource,
    is_deleting,
    key_of,
    written,
)

ROOT_CA = "kube-root-ca.crt"
_FINALIZER = "kubernetes"
_LOOK_AGAIN = 0.1


class Namespaces(Controller):
    """The controller of namespaces, and of the accounts and certificates in them."""

    name = "namespace-controller"

    def watches(self) -> Mapping[Resource, Mapper]:
        """Namespaces, and what each must have."""
        return {
            NAMESPACES: lambda found: [Key("", found["metadata"]["name"])],
            SERVICE_ACCOUNTS: _default,
            CONFIG_MAPS: _root_ca,
        }

    async def reconcile(self, key: Key) -> float | None:
        """Fill a namespace, or empty it."""
        namespace = self.cluster[NAMESPACES].get(key)
        if namespace is None:
            return None
        if is_deleting(namespace):
            return await self._empty(namespace)
        if self.cluster[SERVICE_ACCOUNTS].get(Key(key.name, "default")) is None:
            await self._ensure(SERVICE_ACCOUNTS, {"metadata": {"name": "default", "namespace": key.name}})
        if self.cluster[CONFIG_MAPS].get(Key(key.name, ROOT_CA)) is None:
            metadata = {"name": ROOT_CA, "namespace": key.name}
            await self._ensure(CONFIG_MAPS, {"metadata": metadata, "data": {"ca.crt": ""}})
        return None

    async def _ensure(self, resource: Resource, body: Object) -> None:
        try:
            await self.cluster.create(resource, body)
        except ApiStatus as error:
            if error.code != 409 and not is_terminating(error):
                raise

    async def _empty(self, namespace: Object) -> float | None:
        name = key_of(namespace).name
        if _FINALIZER not in (namespace["spec"].get("finalizers") or ()):
            return None
        left: dict[str, int] = {}
        finalizers: dict[str, int] = {}
        for resource in await deletable(self.cluster.api, namespaced=True):
            items = await self._delete_all(resource, name)
            if items:
                left[_qualified(resource)] = len(items)
            for each in items:
                for finalizer in each["metadata"].get("finalizers") or ():
                    finalizers[finalizer] = finalizers.get(finalizer, 0) + 1
        if left:
            await self._tell(namespace, remaining(left, finalizers))
            return _LOOK_AGAIN
        await self._tell(namespace, remaining({}, {}))
        current = await self.cluster.api.get(NAMESPACES.path("", name))
        kept = [each for each in current["spec"].get("finalizers") or () if each != _FINALIZER]
        body = {**current, "spec": {**current["spec"], "finalizers": kept}}
        await self.cluster.api.call("PUT", NAMESPACES.path("", name, "finalize"), body)
        return None

    async def _delete_all(self, resource: Resource, namespace: str) -> list[Object]:
        """Delete what there is of a resource; what is still there afterwards."""
        path = resource.path(namespace)
        try:
            listed = await self.cluster.api.get(path)
            if listed["items"]:
                await self.cluster.api.delete(path, {"propagationPolicy": "Background"})
                listed = await self.cluster.api.get(path)
        except ApiStatus as error:
            # The resource itself may have gone, or offer no deletion of whole collections.
            if error.code not in {404, 405}:
                raise
            return []
        items: list[Object] = listed["items"]
        return items

    async def _tell(self, namespace: Object, conditions: list[dict[str, str]]) -> None:
        current = self.cluster[NAMESPACES].get(key_of(namespace))
        if current is None:
            return
        told = current.get("status", {}).get("conditions") or []
        plain = [{name: value for name, value in each.items() if name != "lastTransitionTime"} for each in told]
        if plain != conditions:
            timed = [{**each, "lastTransitionTime": written(self.now())} for each in conditions]
            await self.cluster.patch(NAMESPACES, current, {"status": {"conditions": timed}}, "status")


def remaining(left: Mapping[str, int], finalizers: Mapping[str, int]) -> list[dict[str, str]]:
    """The conditions of a namespace that is being deleted, given what is left in it."""
    content = ", ".join(f"{name} has {count} resource instances" for name, count in sorted(left.items()))
    held = ", ".join(f"{name} in {count} resource instances" for name, count in sorted(finalizers.items()))
    rows: list[tuple[str, bool, str, str]] = [
        ("NamespaceDeletionDiscoveryFailure", False, "ResourcesDiscovered", "All resources successfully discovered"),
        (
            "NamespaceDeletionGroupVersionParsingFailure",
            False,
            "ParsedGroupVersions",
            "All legacy kube types successfully parsed",
        ),
        (
            "NamespaceDeletionContentFailure",
            False,
            "ContentDeleted",
            "All content successfully deleted, may be waiting on finalization",
        ),
        ("NamespaceContentRemaining", True, "SomeResourcesRemain", f"Some resources are remaining: {content}")
        if left
        else ("NamespaceContentRemaining", False, "ContentRemoved", "All content successfully removed"),
        (
            "NamespaceFinalizersRemaining",
            True,
            "SomeFinalizersRemain",
            f"Some content in the namespace has finalizers remaining: {held}",
        )
        if finalizers
        else (
            "NamespaceFinalizersRemaining",
            False,
            "ContentHasNoFinalizers",
            "All content-preserving finalizers finished",
        ),
    ]
    return [
        {"type": kind, "status": str(truth), "reason": reason, "message": text} for kind, truth, reason, text in rows
    ]


def _qualified(resource: Resource) -> str:
    return f"{resource.plural}.{resource.group}"


def _default(found: dict[str, Any]) -> list[Key]:
    return _about(found, "default")


def _root_ca(found: dict[str, Any]) -> list[Key]:
    return _about(found, ROOT_CA)


def _about(found: dict[str, Any], name: str) -> list[Key]:
    key = key_of(found)
    return [Key("", key.namespace)] if key.name == name else []
