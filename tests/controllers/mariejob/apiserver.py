"""As much of an API server as the reconciler talks to: optimistic concurrency, merge patches, one informer."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydantic_core import from_json, to_json

from marie_operator.runtime import Conflict, Forbidden, Informer, NotFound, Unreachable, WatchEvent
from marie_operator.runtime.client import PatchKind
from marie_operator.runtime.resource import Object, ObjectKey, Resource


class ApiServer:
    """Objects by kind and key; every write is seen by the informer of its kind."""

    def __init__(self) -> None:
        self.objects: dict[tuple[Resource, ObjectKey], Object] = {}
        self.informers: dict[Resource, Informer] = {}
        self.requests: list[str] = []
        self.forbidden: set[tuple[str, Resource]] = set()
        self.lose_reply_of: Callable[[str, Resource], bool] = lambda _verb, _resource: False
        self._version = 1

    def inform(self, resource: Resource, **indexes: Callable[[Object], Any]) -> Informer:
        informer = Informer(
            resource, namespaces=("",), label_selector="", field_selector="", indexes=indexes, transform=None
        )
        informer.replace("", [], "1")
        self.informers[resource] = informer
        return informer

    def put(self, resource: Resource, obj: Object) -> Object:
        """What users do."""
        key = ObjectKey.of(obj)
        old = self.objects.get((resource, key))
        self._version += 1
        metadata = {"uid": f"uid-{key.name}", "generation": 1, **obj["metadata"], "resourceVersion": str(self._version)}
        stored = self.objects[resource, key] = _copied({**obj, "metadata": metadata})
        if (informer := self.informers.get(resource)) is not None:
            informer.event("", WatchEvent("ADDED" if old is None else "MODIFIED", _copied(stored)))
        return _copied(stored)

    def remove(self, resource: Resource, key: ObjectKey) -> None:
        self._version += 1
        gone = self.objects.pop((resource, key))
        gone["metadata"]["resourceVersion"] = str(self._version)
        if (informer := self.informers.get(resource)) is not None:
            informer.event("", WatchEvent("DELETED", gone))

    async def get(self, resource: Resource, key: ObjectKey) -> Object:
        self._admit("get", resource)
        return _copied(self._existing(resource, key))

    async def refresh(self, resource: Resource, key: ObjectKey) -> None:
        self._admit("list", resource)
        obj, informer = self.objects.get((resource, key)), self.informers.get(resource)
        if obj is not None and informer is not None:
            informer.written(_copied(obj))

    async def patch(
        self,
        resource: Resource,
        key: ObjectKey,
        body: Object | Sequence[Object],
        *,
        kind: PatchKind,
        subresource: str = "",
    ) -> Object:
        self._admit("patch", resource)
        assert kind is PatchKind.MERGE
        assert isinstance(body, dict)
        live = self._existing(resource, key)
        if body["metadata"]["resourceVersion"] != live["metadata"]["resourceVersion"]:
            raise Conflict(409, "Conflict", "the object has been modified")
        if subresource:
            assert subresource == "status"
            changed = {**live, "status": _merged(live.get("status"), body["status"])}
        else:
            changed = _merged(live, body)
        return self._reply("patch", resource, self.put(resource, changed))

    async def apply(
        self, resource: Resource, obj: Object, *, field_manager: str, force: bool = False, subresource: str = ""
    ) -> Object:
        self._admit("apply", resource)
        assert (field_manager, subresource) == ("marie-operator", "")
        assert force
        return self._reply("apply", resource, self.put(resource, obj))

    async def delete(
        self,
        resource: Resource,
        key: ObjectKey,
        *,
        uid: str = "",
        resource_version: str = "",
        propagation: str = "Background",
    ) -> Object:
        self._admit("delete", resource)
        assert (resource_version, propagation) == ("", "Background")
        if self._existing(resource, key)["metadata"]["uid"] != uid:
            raise Conflict(409, "Conflict", "the uid differs")
        self.remove(resource, key)
        return {"kind": "Status"}

    def _admit(self, verb: str, resource: Resource) -> None:
        self.requests.append(f"{verb} {resource.kind}")
        if (verb, resource) in self.forbidden:
            raise Forbidden(403, "Forbidden", f'cannot {verb} resource "{resource.plural}"')

    def _existing(self, resource: Resource, key: ObjectKey) -> Object:
        if (resource, key) not in self.objects:
            raise NotFound(404, "NotFound", f"{resource.plural} {key.name} not found")
        return self.objects[resource, key]

    def _reply(self, verb: str, resource: Resource, obj: Object) -> Object:
        if self.lose_reply_of(verb, resource):
            raise Unreachable(f"{verb} {resource.plural}: connection reset", maybe_sent=True)
        return obj


def _copied(obj: Object) -> Object:
    """As it comes out of a request."""
    copied: Object = from_json(to_json(obj))
    return copied


def _merged(old: Mapping[str, Any] | None, patch: Mapping[str, Any]) -> Object:
    result = dict(old or {})
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            before = result.get(name)
            result[name] = (
                _merged(before if isinstance(before, dict) else {}, value) if isinstance(value, dict) else value
            )
    return result
