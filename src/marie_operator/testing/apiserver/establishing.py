"""What becomes of definitions: whether their names are taken, and the kinds that are served by them."""

from collections.abc import Callable
from datetime import datetime

from marie_operator.testing.apiserver import definitions, objectmeta
from marie_operator.testing.apiserver.errors import Object
from marie_operator.testing.apiserver.kinds import CRD_FINALIZER, Kind, Kinds
from marie_operator.testing.apiserver.store import Key, Store


class Establishment:
    """Serves what definitions define.

    Args:
        store: Where they are, and the objects of their kinds.
        kinds: What is served.
        now: The time.
    """

    def __init__(self, store: Store, kinds: Kinds, now: Callable[[], datetime]) -> None:
        self.store = store
        self.kinds = kinds
        self._now = now

    def after(self, kind: Kind, new: Object | None, old: Object | None) -> None:
        """Follow a change of an object, which may be a definition."""
        if not definitions.is_definition(kind):
            return
        if new is not None and new["metadata"].get("deletionTimestamp"):
            self._retire(kind, new)
        elif new is not None:
            self._accept(kind, new)

    def _accept(self, kind: Kind, definition: Object) -> None:
        """Serve a definition, as far as its names are no other's."""
        name, group = definition["metadata"]["name"], definition["spec"]["group"]
        rest = [entry.object for entry in self.store.range(kind.bucket) if entry.key.name != name]
        others = [each for each in rest if each["spec"]["group"] == group]
        told = definitions.accepted(definition, others, objectmeta.timestamp(self._now()))
        definitions.serve(self.kinds, told)
        if told != definition:
            self.store.put(kind.bucket, Key("", name), told)
            self._reconsider(kind, others)

    def _reconsider(self, kind: Kind, others: list[Object]) -> None:
        """Names may have become free."""
        for other in others:
            if other["spec"]["names"] != other["status"]["acceptedNames"]:
                self._accept(kind, other)

    def _retire(self, kind: Kind, definition: Object) -> None:
        """Delete what a definition that goes has defined, then the definition."""
        spec = definition["spec"]
        bucket = (spec["group"], spec["names"]["plural"])
        for entry in list(self.store.range(bucket)):
            self.store.remove(bucket, entry.key)
        self.kinds.remove(*bucket)
        meta = definition["metadata"]
        left = [each for each in meta.get("finalizers") or () if each != CRD_FINALIZER]
        key = Key("", meta["name"])
        if left:
            self.store.put(kind.bucket, key, definition | {"metadata": meta | {"finalizers": left}})
            return
        if self.store.get(kind.bucket, key) is not None:
            self.store.remove(kind.bucket, key)
        rest = [entry.object for entry in self.store.range(kind.bucket)]
        self._reconsider(kind, [each for each in rest if each["spec"]["group"] == spec["group"]])
