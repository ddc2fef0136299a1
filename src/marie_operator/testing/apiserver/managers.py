"""Managers and what they own, as ``managedFields`` of an object tells it."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from marie_operator.testing.apiserver import fieldset
from marie_operator.testing.apiserver.errors import Json, Object
from marie_operator.testing.apiserver.fieldset import FieldSet

ANCIENT = "ancient-changes"
MAX_UPDATERS = 10


@dataclass(frozen=True, slots=True)
class Manager:
    """Who an entry of ``managedFields`` is about.

    Attributes:
        name: As it calls itself.
        operation: ``Apply`` or ``Update``.
        api_version: What it updated in; empty for appliers, who are the same in all versions.
        subresource: What it wrote to; empty for the object itself.
    """

    name: str
    operation: str
    api_version: str
    subresource: str

    def __str__(self) -> str:
        text = fieldset.encoded(self.name)
        if self.subresource:
            text += f" with subresource {fieldset.encoded(self.subresource)}"
        return f"{text} using {self.api_version}" if self.operation == "Update" else text


@dataclass(frozen=True, slots=True)
class Owned:
    """What a manager owns.

    Attributes:
        fields: The set.
        api_version: Of the object when it was last written.
        time: When; empty when that is not known.
        entry: As ``managedFields`` has it, when nothing has changed since it was read.
    """

    fields: FieldSet
    api_version: str
    time: str = ""
    entry: Object | None = None

    def narrowed(self, fields: FieldSet) -> "Owned":
        """The same with fewer fields."""
        return self if fields is self.fields or fields == self.fields else replace(self, fields=fields, entry=None)


Managed = dict[Manager, Owned]
"""Who owns what."""


def capped(managed: Managed) -> Managed:
    """With the oldest updaters put together, when there are more than are kept apart."""
    updaters = [who for who in managed if who.operation == "Update"]
    if len(updaters) <= MAX_UPDATERS:
        return managed
    updaters.sort(key=lambda who: (managed[who].time, who.name, who.api_version, who.subresource))
    result, count, first = dict(managed), len(updaters), dict[str, Manager]()
    for who in updaters:
        if count <= MAX_UPDATERS:
            break
        owned = result[who]
        bucket = Manager(ANCIENT, "Update", owned.api_version, "")
        if owned.api_version not in first:
            first[owned.api_version] = who
            continue
        if bucket not in result:
            result[bucket] = result.pop(first[owned.api_version])
        fields = fieldset.union(owned.fields, result[bucket].fields)
        del result[who]
        result[bucket] = Owned(fields, owned.api_version, owned.time)
        count -= 1
    return result


# From and to ``managedFields``.


def bare(shown: Object) -> Object:
    """An object without who owns what of it."""
    meta = shown.get("metadata") or {}
    if "managedFields" not in meta:
        return shown
    return {**shown, "metadata": {name: value for name, value in meta.items() if name != "managedFields"}}


def with_managed(shown: Object, managed: Managed) -> Object:
    """An object with who owns what of it."""
    meta = {name: value for name, value in (shown.get("metadata") or {}).items() if name != "managedFields"}
    if entries := _entries(managed):
        meta["managedFields"] = entries
    return {**shown, "metadata": meta}


def managed_before(live: Object | None, new: Object, subresource: str) -> Managed:
    """Who owned what: as the live object has it, or as somebody wrote it into the new one."""
    stored = None if live is None else live["metadata"].get("managedFields")
    sent = (new.get("metadata") or {}).get("managedFields")
    if not subresource and isinstance(sent, list) and sent != stored:
        if not sent or (len(sent) == 1 and not any((sent[0] or {}).values())):
            return {}
        try:
            return _parsed(sent, trusted=False)
        except (ValueError, TypeError, AttributeError):
            pass
    return {} if live is None else decoded(live)


def decoded(live: Object) -> Managed:
    """Who owns what of a stored object."""
    return _parsed(live["metadata"].get("managedFields") or (), trusted=True)


def _parsed(entries: Iterable[Any], *, trusted: bool) -> Managed:
    """Who owns what, as entries have it.

    Raises:
        ValueError: an entry is not as it should be.
    """
    result: Managed = {}
    for entry in entries:
        operation, api_version = entry.get("operation"), entry.get("apiVersion")
        if operation not in {"Apply", "Update"} or not api_version or entry.get("fieldsType") != "FieldsV1":
            raise ValueError("an entry of managedFields needs operation, apiVersion and fieldsType")
        versioned = api_version if operation == "Update" else ""
        who = Manager(entry.get("manager", ""), operation, versioned, entry.get("subresource", ""))
        fields = entry.get("fieldsV1", {})
        if not trusted:
            if not all(isinstance(value, str) for name, value in entry.items() if name != "fieldsV1"):
                raise ValueError("an entry of managedFields is made of strings")
            fields = fieldset.parsed(fields)
            fields.pop(".", None)
        time = entry.get("time") or ""
        result[who] = Owned(fields, api_version, time, entry if trusted else None)
    return result


def _entries(managed: Managed) -> list[Object]:
    def order(each: tuple[Manager, Owned]) -> tuple[str, ...]:
        who, owned = each
        return who.operation, owned.time, who.name, owned.api_version, who.subresource

    return [owned.entry or _entry(who, owned) for who, owned in sorted(managed.items(), key=order) if owned.fields]


def _entry(who: Manager, owned: Owned) -> Object:
    entry: Object = {
        "manager": who.name,
        "operation": who.operation,
        "apiVersion": owned.api_version,
        "time": owned.time,
        "fieldsType": "FieldsV1",
        "fieldsV1": owned.fields,
        "subresource": who.subresource,
    }
    return {name: value for name, value in entry.items() if value or name == "fieldsV1"}


def settled(new: Object, live: Object) -> bool:
    """Whether nothing but times of ``managedFields`` differs."""
    return new == live or (bare(new) == bare(live) and _timeless(new) == _timeless(live))


def _timeless(shown: Object) -> list[Json]:
    entries = shown["metadata"].get("managedFields") or ()
    return [{name: value for name, value in entry.items() if name != "time"} for entry in entries]
