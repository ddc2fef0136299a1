"""Secrets, read by name when they are needed and kept for seconds: the operator never lists or watches them."""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from marie_operator.runtime.clock import Clock
from marie_operator.runtime.errors import NotFound
from marie_operator.runtime.resource import SECRETS, Object, ObjectKey, Resource

_TTL = 30.0
# Shorter, because a user who has just created the Secret watches the job.
_TTL_OF_ABSENCE = 5.0


class Reader(Protocol):
    """The one verb that reading Secrets needs."""

    async def get(self, resource: Resource, key: ObjectKey) -> Object:
        """Read an object from the API server."""
        ...


@dataclass(frozen=True, slots=True)
class _Entry:
    data: Mapping[str, str] | None
    expires: float


class Secrets:
    """Reads Secrets, each at most once per 30 seconds.

    Args:
        client: reads from the API server; needs the verb ``get`` on Secrets only.
        clock: says when what was read is too old.
    """

    def __init__(self, client: Reader, *, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._entries: dict[ObjectKey, _Entry] = {}

    async def get(self, key: ObjectKey) -> Mapping[str, str] | None:
        """The decoded data of a Secret, at most 30 seconds old; ``None`` when there is no such Secret.

        Values that are no UTF-8 text are left out: none of ours can be.

        Raises:
            ApiError: the API server refused; ``Forbidden`` when the operator may not read it.
            Unreachable: the API server did not answer.
        """
        now = self._clock.monotonic()
        entry = self._entries.get(key)
        if entry is None or entry.expires <= now:
            self._entries = {known: kept for known, kept in self._entries.items() if kept.expires > now}
            entry = self._entries[key] = await self._read(key)
        return entry.data

    async def _read(self, key: ObjectKey) -> _Entry:
        try:
            secret = await self._client.get(SECRETS, key)
        except NotFound:
            return _Entry(None, self._clock.monotonic() + _TTL_OF_ABSENCE)
        data = {name: value for name, encoded in (secret.get("data") or {}).items() if (value := _text(encoded))}
        return _Entry(data, self._clock.monotonic() + _TTL)


def _text(encoded: str) -> str:
    """A value without the line break that ``echo`` leaves at its end; empty when it is no text."""
    try:
        return base64.b64decode(encoded, validate=True).decode().strip()
    except (binascii.Error, UnicodeDecodeError):
        return ""
