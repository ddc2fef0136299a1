"""Who owns an object, and whether that owner is still what the cache shows."""

from collections.abc import Iterable, Mapping
from typing import Any

from marie_operator.runtime.informer import Event, Informer
from marie_operator.runtime.resource import Object, ObjectKey
from marie_operator.runtime.writer import Writer


def controller_of(obj: Object) -> Mapping[str, Any] | None:
    """The owner reference of the object that controls this one, if one does."""
    references = obj["metadata"].get("ownerReferences") or ()
    return next((each for each in references if each.get("controller")), None)


def controller_uid(obj: Object) -> str:
    """The uid of the object that controls this one; empty for none."""
    reference = controller_of(obj)
    return "" if reference is None else str(reference["uid"])


class Owners:
    """Reads owners anew whose children vanish, before anything is done for them again.

    Deleting an owner deletes its children, and watches of different kinds do not wait for each other: where the one on
    owners has fallen silent, the cache shows an owner that is no more, and whoever made its children again would do so
    against garbage collection for as long as the silence lasts. One read settles it; client-go's controllers make the
    same one before they adopt (``RecheckDeletionTimestamp``).

    Args:
        owners: Their informer.
        children: The informers of what they own.
        writer: Reads from the API server.
    """

    def __init__(self, owners: Informer, children: Iterable[Informer], writer: Writer) -> None:
        self._owners = owners
        self._writer = writer
        self._doubted: set[ObjectKey] = set()
        owners.add_handler(self._on_owner)
        for informer in children:
            informer.add_handler(self._on_child)

    async def current(self, key: ObjectKey) -> Object | None:
        """An owner as it is; None when there is none. It is read, and in the cache, if a child of it has vanished.

        Raises:
            ApiError: the API server refuses.
            Unreachable: it does not answer.
        """
        if key in self._doubted:
            # First, so that a child that vanishes meanwhile counts.
            self._doubted.discard(key)
            settled = False
            try:
                await self._writer.refresh(self._owners.resource, key)
                settled = True
            finally:
                if not settled:
                    self._doubted.add(key)
        return self._owners.get(key)

    def _on_child(self, event: Event) -> None:
        if event.kind != "deleted":
            return
        reference = controller_of(event.object)
        if reference is None:
            return
        namespace = event.object["metadata"].get("namespace", "") if self._owners.resource.namespaced else ""
        key = ObjectKey(namespace, reference["name"])
        owner = self._owners.get(key)
        if owner is not None and owner["metadata"]["uid"] == reference["uid"]:
            self._doubted.add(key)

    def _on_owner(self, event: Event) -> None:
        if event.kind == "deleted":
            self._doubted.discard(ObjectKey.of(event.object))
