"""Finds who changed an object of a cache, which all share; for tests."""

import hashlib
import json
from collections.abc import Iterable

from marie_operator.runtime.informer import Event, Informer
from marie_operator.runtime.resource import Object, ObjectKey


class MutationDetector:
    """Remembers what informers stored, to compare it with what they hold later (S-12).

    Args:
        informers: Those to look at.
    """

    def __init__(self, informers: Iterable[Informer]) -> None:
        self._informers = tuple(informers)
        self._digests: dict[int, dict[ObjectKey, str]] = {}
        for number, informer in enumerate(self._informers):
            digests = self._digests[number] = {}
            informer.add_handler(lambda event, digests=digests: _note(digests, event))  # type: ignore[misc]

    def check(self) -> None:
        """Compare.

        Raises:
            AssertionError: an object is not what was stored; the message names it.
        """
        changed = [
            f"{informer.resource} {key}"
            for number, informer in enumerate(self._informers)
            for key, digest in self._digests[number].items()
            if (obj := informer.get(key)) is not None and _digest(obj) != digest
        ]
        if changed:
            raise AssertionError(f"objects of the cache were changed: {', '.join(changed)}; copy them before you do")


def _note(digests: dict[ObjectKey, str], event: Event) -> None:
    key = ObjectKey.of(event.object)
    if event.kind == "deleted":
        digests.pop(key, None)
    else:
        digests[key] = _digest(event.object)


def _digest(obj: Object) -> str:
    return hashlib.sha256(json.dumps(obj, sort_keys=True).encode()).hexdigest()
