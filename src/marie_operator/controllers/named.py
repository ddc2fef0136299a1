"""Secrets and ConfigMaps, read by name when they are needed and kept for seconds: they are never listed or watched."""

from dataclasses import dataclass
from typing import Protocol

from marie_operator.runtime.clock import Clock
from marie_operator.runtime.errors import NotFound
from marie_operator.runtime.resource import Object, ObjectKey, Resource

TTL = 30.0
"""Seconds for which an object is not read again."""
TTL_OF_ABSENCE = 5.0
"""As ``TTL``, where there was none: a user who has just created it watches."""


class Reader(Protocol):
    """The one verb that reading by name needs."""

    async def get(self, resource: Resource, key: ObjectKey) -> Object:
        """Read an object from the API server."""
        ...


@dataclass(frozen=True, slots=True)
class _Entry:
    found: Object | None
    expires: float


class NamedObjects:
    """Reads objects by name, each at most once per 30 seconds.

    Args:
        client: Reads from the API server; needs the verb ``get`` only.
        clock: Says when what was read is too old.
    """

    def __init__(self, client: Reader, *, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._entries: dict[tuple[Resource, ObjectKey], _Entry] = {}

    async def get(self, resource: Resource, key: ObjectKey) -> Object | None:
        """An object, at most 30 seconds old; ``None`` when there was none at most 5 seconds ago.

        Raises:
            ApiError: the API server refused; ``Forbidden`` when the operator may not read it.
            Unreachable: the API server did not answer.
        """
        now = self._clock.monotonic()
        entry = self._entries.get((resource, key))
        if entry is not None and entry.expires > now:
            return entry.found
        return await self.read(resource, key)

    async def read(self, resource: Resource, key: ObjectKey) -> Object | None:
        """As ``get``, from the API server in any case: for who is about to write what is missing."""
        now = self._clock.monotonic()
        self._entries = {known: kept for known, kept in self._entries.items() if kept.expires > now}
        try:
            found = await self._client.get(resource, key)
        except NotFound:
            self._entries[resource, key] = _Entry(None, self._clock.monotonic() + TTL_OF_ABSENCE)
            return None
        self.written(resource, found)
        return found

    def written(self, resource: Resource, obj: Object) -> None:
        """Know what a write has made of an object."""
        self._entries[resource, ObjectKey.of(obj)] = _Entry(obj, self._clock.monotonic() + TTL)

    def forget(self, resource: Resource, key: ObjectKey) -> None:
        """Read an object anew the next time: it was deleted."""
        self._entries.pop((resource, key), None)
