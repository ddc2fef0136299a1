"""Writing status: only what changed, and only onto the version it was computed from."""

from collections.abc import Mapping
from typing import Any, Protocol

from marie_operator.runtime.client import PatchKind
from marie_operator.runtime.resource import Object, ObjectKey, Resource


class StatusWriter(Protocol):
    """The one verb that writing a status needs."""

    async def patch(
        self, resource: Resource, key: ObjectKey, body: Object, *, kind: PatchKind, subresource: str = ""
    ) -> Object:
        """Patch an object or its subresource."""
        ...


def merge_patch(old: Mapping[str, Any], new: Mapping[str, Any]) -> Object:
    """The JSON merge patch (RFC 7386) that turns ``old`` into ``new``; empty when they are equal."""
    patch: Object = {key: None for key in old if key not in new}
    for key, value in new.items():
        before = old.get(key)
        if isinstance(before, Mapping) and isinstance(value, Mapping):
            if changes := merge_patch(before, value):
                patch[key] = changes
        elif key not in old or before != value:
            patch[key] = value
    return patch


async def write_status(client: StatusWriter, resource: Resource, live: Object, status: Mapping[str, Any]) -> bool:
    """Make ``status`` the status of ``live``, if it is not already.

    A field that is None is one that is not there, as JSON's merge patches have it.

    The patch carries the resource version the status was computed from: when the object has
    changed since, nothing is written and the reconcile starts over from what is there now.

    Returns:
        Whether a write was needed.

    Raises:
        Conflict: the object is no longer at the version of ``live``.
    """
    changes = merge_patch(_stored(live.get("status") or {}), _stored(status))
    if not changes:
        return False
    body = {"metadata": {"resourceVersion": live["metadata"]["resourceVersion"]}, "status": changes}
    await client.patch(resource, ObjectKey.of(live), body, kind=PatchKind.MERGE, subresource="status")
    return True


def _stored(value: Any) -> Any:
    """A value as it is read back: fields that are None are left out, and sequences are lists."""
    if isinstance(value, Mapping):
        return {key: _stored(each) for key, each in value.items() if each is not None}
    if isinstance(value, list | tuple):
        return [_stored(each) for each in value]
    return value
