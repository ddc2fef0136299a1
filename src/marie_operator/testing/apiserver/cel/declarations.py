"""Schemas as rules see them: the types of their values, and the values themselves."""

import re
from collections.abc import Mapping
from datetime import date
from functools import lru_cache
from typing import Any, Final
from weakref import WeakKeyDictionary

from marie_operator.testing.apiserver.cel import types
from marie_operator.testing.apiserver.cel.conversions import decoded_base64
from marie_operator.testing.apiserver.cel.tokens import RESERVED
from marie_operator.testing.apiserver.cel.types import Type
from marie_operator.testing.apiserver.cel.values import (
    NANOS,
    Duration,
    Failure,
    Items,
    Struct,
    Timestamp,
    parsed_duration,
    parsed_timestamp,
)
from marie_operator.testing.apiserver.schema import Schema

_RESERVED = RESERVED | {"true", "false", "null", "in"}
_ESCAPES = {"__": "__underscores__", ".": "__dot__", "-": "__dash__", "/": "__slash__"}
_ESCAPED = re.compile(r"__|[-./]")
_SCALARS: Final[Mapping[str, Type]] = {"boolean": types.BOOL, "number": types.DOUBLE, "integer": types.INT}
_FORMATS: Final[Mapping[str, Type]] = {
    "byte": types.BYTES,
    "duration": types.DURATION,
    "date": types.TIMESTAMP,
    "date-time": types.TIMESTAMP,
}
_STRING: Final = {"type": "string"}
_WHOLE: Final = {
    "kind": _STRING,
    "apiVersion": _STRING,
    "metadata": {"type": "object", "properties": {"name": _STRING, "generateName": _STRING}},
}
_WHOLES: Final[WeakKeyDictionary[Schema, Schema]] = WeakKeyDictionary()
_NAMES: Final[WeakKeyDictionary[Schema, Mapping[str, str]]] = WeakKeyDictionary()
"""What follows from a schema alone, for as long as it lives: objects are looked at more often than schemas change."""


@lru_cache(maxsize=4096)
def escaped(name: str) -> str | None:
    """A field's name as rules write it; None for one that no rule can name."""
    if name in _RESERVED:
        return f"__{name}__"
    if re.fullmatch(r"[A-Za-z_./-][A-Za-z0-9_./-]*", name) is None:
        return None
    return _ESCAPED.sub(lambda found: _ESCAPES[found[0]], name)


def as_whole(schema: Schema) -> Schema:
    """The schema of an object with what every one has, of which rules may see the name; one for each schema."""
    found = _WHOLES.get(schema)
    if found is not None:
        return found
    if all(_describes(schema, name) for name in _WHOLE):
        return schema
    found = _WHOLES[schema] = Schema({**schema.node, "properties": {**(schema.node.get("properties") or {}), **_WHOLE}})
    return found


def _describes(schema: Schema, name: str) -> bool:
    found = schema.fields.get(name)
    if name != "metadata":
        return found is not None and found.type == "string"
    return found is not None and {"name", "generateName"} <= set(found.fields)


def declared(schema: Schema, *, whole: bool, name: str = "selfType") -> Type | None:
    """The type of a schema's values; None where rules cannot see them.

    Args:
        schema: The schema.
        whole: Whether it is an object's with kind and metadata.
        name: Of the type; each place of a schema has one of its own.
    """
    if schema.int_or_string:
        return types.DYN
    if schema.type == "array":
        element = _declared(schema.items, f"{name}.@idx")
        return None if element is None else types.list_of(element)
    if schema.type == "object":
        return _declared_object(as_whole(schema) if whole else schema, name)
    if schema.type == "string":
        return _FORMATS.get(str(schema.node.get("format", "")), types.STRING)
    return _SCALARS.get(schema.type)


def _declared_object(schema: Schema, name: str) -> Type | None:
    if schema.values is not None:
        value = _declared(schema.values, f"{name}.@elem")
        return None if value is None else types.map_of(types.STRING, value)
    fields = {}
    for field, child in schema.fields.items():
        written, found = escaped(field), _declared(child, f"{name}.{field}")
        if written is not None and found is not None:
            fields[written] = found
    return Type("struct", name, fields=fields)


def _declared(schema: Schema | None, name: str) -> Type | None:
    return None if schema is None else declared(schema, whole=schema.embedded, name=name)


# Values.


def lifted(schema: Schema, value: Any, *, whole: bool = False) -> Any:
    """A stored value as rules see it.

    Args:
        schema: Its schema.
        value: As it is stored.
        whole: Whether it is an object with kind and metadata.

    Raises:
        Failure: it is not what its schema says.
    """
    if value is None:
        if schema.nullable:
            return None
        raise Failure("invalid data, got null for schema with nullable=false")
    if isinstance(value, dict) and not schema.int_or_string:
        return _lifted_object(as_whole(schema) if whole or schema.embedded else schema, value)
    if isinstance(value, list) and schema.items is not None:
        return _lifted_list(schema, schema.items, value)
    return _lifted_scalar(schema, value)


def _lifted_list(schema: Schema, items: Schema, value: list[Any]) -> list[Any]:
    elements = [lifted(items, item) for item in value]
    if schema.list_type == "map":
        return Items(elements, value, schema.list_keys)
    return Items(elements, value, None) if schema.list_type == "set" else elements


def _lifted_scalar(schema: Schema, value: Any) -> Any:
    if isinstance(value, str):
        return _lifted_text(schema, value)
    if schema.type == "number" and not isinstance(value, bool):
        return float(value)
    return int(value) if schema.type == "integer" and isinstance(value, float) else value


def _lifted_object(schema: Schema, value: dict[str, Any]) -> Any:
    if schema.values is not None:
        values = schema.values
        return {key: lifted(values, inner) for key, inner in value.items()}
    return Struct(value, _names(schema), lambda name, inner: lifted(schema.fields[name], inner))


def _names(schema: Schema) -> Mapping[str, str]:
    """The fields of an object, by the names that rules know them by."""
    found = _NAMES.get(schema)
    if found is None:
        fields = {written: name for name in schema.fields if (written := escaped(name)) is not None}
        found = _NAMES[schema] = fields
    return found


def _lifted_text(schema: Schema, value: str) -> Any:
    match schema.node.get("format") if schema.type == "string" else "":
        case "duration":
            if (nanos := parsed_duration(value)) is None:
                raise Failure(f"Invalid duration {value}: unable to parse {value} as duration")
            return Duration(nanos)
        case "date":
            return Timestamp((date.fromisoformat(value) - date(1970, 1, 1)).days * 86400 * NANOS)
        case "date-time":
            if (nanos := parsed_timestamp(value)) is None:
                raise Failure(f"Invalid date-time formatted string {value}")
            return Timestamp(nanos)
        case "byte":
            if (found := decoded_base64(value)) is None:
                raise Failure(f"Invalid byte formatted string {value}")
            return found
        case _:
            return value
