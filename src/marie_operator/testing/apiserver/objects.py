"""What is wrong with an object of a custom kind: by its schema, as a list of items, by the rules of its definition."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from marie_operator.testing.apiserver import names, validation
from marie_operator.testing.apiserver.errors import NOWHERE, FieldError, Json, Object
from marie_operator.testing.apiserver.kinds import ScalePaths
from marie_operator.testing.apiserver.rules import Rules
from marie_operator.testing.apiserver.schema import MISSING, Schema

_BLOCKING = frozenset(f"FieldValue{name}" for name in ("NotSupported", "Required", "TooLong", "TooMany", "TypeInvalid"))
_UNCHECKED = FieldError(
    "FieldValueInvalid",
    "Invalid value: null: some validation rules were not checked because the object was invalid; "
    "correct the existing errors to complete validation",
    NOWHERE,
)
_MOST_REPLICAS = 2**31 - 1


@dataclass(frozen=True)
class Objects:
    """The objects of a custom kind.

    Attributes:
        schema: Of the whole object.
        scale: Where their replicas are; None where they have none.
    """

    schema: Schema
    scale: ScalePaths | None

    @cached_property
    def _embeds(self) -> bool:
        """Whether any of its fields is an object of a kind of its own."""
        return _has_embedded(self.schema)

    @cached_property
    def _rules(self) -> Rules:
        return Rules(self.schema, whole=True)

    def errors(self, new: Object, old: Object | None) -> list[FieldError]:
        """What is wrong with an object.

        Args:
            new: The object.
            old: What it replaces; None when it is created.
        """
        found = validation.errors(new, self.schema, old=MISSING if old is None else old)
        found += [*_spec_replicas(new, self.scale), *_status_replicas(new, self.scale)]
        return found + self._beyond(new, old, found)

    def status_errors(self, new: Object, old: Object) -> list[FieldError]:
        """What is wrong with an object's new status; the schema of the rest is not looked at."""
        known, found = self.schema.fields.get("status"), []
        if known is not None and "status" in new:
            found = validation.errors(new["status"], known, "status", old=old.get("status", MISSING))
        found += _status_replicas(new, self.scale)
        return found + self._beyond(new, old, found)

    def _beyond(self, new: Object, old: Object | None, found: list[FieldError]) -> list[FieldError]:
        more = embedded_errors(new, self.schema, "") if self._embeds else []
        repeated = list_errors(new, self.schema, "")
        if repeated and (old is None or not list_errors(old, self.schema, "")):
            more += repeated
        if self._rules.any:
            blocked = any(each.reason in _BLOCKING for each in (*found, *more))
            more += [_UNCHECKED] if blocked else self._rules.errors(new, MISSING if old is None else old)
        return more


# Replicas.


def _spec_replicas(new: Object, scale: ScalePaths | None) -> Iterator[FieldError]:
    if scale is not None:
        yield from _replicas(new, scale.spec)


def _status_replicas(new: Object, scale: ScalePaths | None) -> Iterator[FieldError]:
    if scale is None:
        return
    yield from _replicas(new, scale.status)
    if scale.selector:
        found, why = nested(new, scale.selector, str)
        if why:
            yield FieldError.invalid(scale.selector, found or "", why)


def _replicas(new: Object, path: str) -> Iterator[FieldError]:
    found, why = nested(new, path, int)
    if why:
        yield FieldError.invalid(path, 0, why)
    elif found is not None and found < 0:
        yield FieldError.invalid(path, found, "should be a non-negative integer")
    elif found is not None and found > _MOST_REPLICAS:
        yield FieldError.invalid(path, found, f"should be less than or equal to {_MOST_REPLICAS}")


def nested(value: Any, path: str, kind: type) -> tuple[Any, str]:
    """What is at a path, None where nothing is; and why it cannot be what it should (``unstructured.Nested…``)."""
    parts = path.removeprefix(".").split(".")
    for number, part in enumerate(parts):
        if not isinstance(value, Mapping):
            at = "." + ".".join(parts[:number])
            return (
                None,
                f"{at} accessor error: {_go(value)} is of the type {_type(value)}, expected map[string]interface{{}}",
            )
        if part not in value:
            return None, ""
        value = value[part]
    if type(value) is kind:
        return value, ""
    wanted = {int: "int64", str: "string"}[kind]
    return None, f".{'.'.join(parts)} accessor error: {_go(value)} is of the type {_type(value)}, expected {wanted}"


def _go(value: Json) -> str:
    return "<nil>" if value is None else json.dumps(value).strip('"')


def _type(value: Json) -> str:
    names = {str: "string", int: "int64", float: "float64", bool: "bool", list: "[]interface {}"}
    return "<nil>" if value is None else names.get(type(value), "map[string]interface {}")


# Embedded objects.


def embedded_errors(value: Json, schema: Schema, path: str) -> list[FieldError]:
    """What is wrong with version, kind and metadata of objects within a value."""
    return list(_embedded(value, schema, path))


def _embedded(value: Json, schema: Schema, path: str) -> Iterator[FieldError]:
    if isinstance(value, dict):
        if schema.embedded:
            yield from _embedded_object(value, path)
        for name, inner in value.items():
            known = schema.child(name)
            if known is not None and isinstance(inner, dict | list):
                yield from _embedded(inner, known, _below(path, name, schema))
    elif isinstance(value, list) and schema.items is not None:
        for index, item in enumerate(value):
            yield from _embedded(item, schema.items, f"{path}[{index}]")


def _has_embedded(schema: Schema) -> bool:
    below = (*schema.fields.values(), *filter(None, (schema.values, schema.items)))
    return schema.embedded or any(map(_has_embedded, below))


def _below(path: str, name: str, schema: Schema) -> str:
    if name in schema.fields:
        return f"{path}.{name}" if path else name
    return f"{path}[{name}]"


def _embedded_object(value: Object, path: str) -> Iterator[FieldError]:
    for name in ("apiVersion", "kind"):
        at = f"{path}.{name}" if path else name
        if name not in value:
            yield FieldError.required(at)
        elif not isinstance(value[name], str):
            yield FieldError.invalid(at, value[name], "must be a string")
        elif not value[name]:
            yield FieldError.invalid(at, "", "must not be empty")
        elif name == "apiVersion" and value[name].count("/") > 1:
            yield FieldError.invalid(at, value[name], f"unexpected GroupVersion string: {value[name]}")
        elif name == "kind" and (wrong := names.label_1035(value[name].lower())):
            why = f"may have mixed case, but should otherwise match: {','.join(wrong)}"
            yield FieldError.invalid(at, value[name], why)


# Lists.


def list_errors(value: Json, schema: Schema, path: str) -> list[FieldError]:
    """Items that are there twice, in lists whose items are told apart."""
    return list(_lists(value, schema, path))


def _lists(value: Json, schema: Schema, path: str) -> Iterator[FieldError]:
    if isinstance(value, dict):
        for name, inner in value.items():
            known = schema.child(name)
            if known is not None and isinstance(inner, dict | list):
                yield from _lists(inner, known, _below(path, name, schema))
    elif isinstance(value, list):
        if schema.list_type == "map":
            yield from _map_items(value, schema, path)
        elif schema.list_type == "set":
            yield from _repeated(value, path)
        if schema.items is not None:
            for index, item in enumerate(value):
                yield from _lists(item, schema.items, f"{path}[{index}]")


def _map_items(value: list[Json], schema: Schema, path: str) -> Iterator[FieldError]:
    for index, item in enumerate(value):
        if item is not None and not isinstance(item, dict):
            why = "must be an object for an array of list-type map"
            yield FieldError.invalid(f"{path}[{index}]", item, why)
            return
    keys = [{key: item[key] for key in schema.list_keys if key in (item or {})} for item in value]
    yield from _repeated(keys, path)


def _repeated(items: list[Json], path: str) -> Iterator[FieldError]:
    """The second of each item that is there more than once."""
    seen: dict[str, int] = {}
    for index, item in enumerate(items):
        text = json.dumps(item, sort_keys=True)
        seen[text] = seen.get(text, 0) + 1
        if seen[text] == 2:
            yield FieldError.duplicate(f"{path}[{index}]", item)
