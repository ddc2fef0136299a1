"""Structural schemas at work: unknown fields, pruning, defaults, and what is wrong with a value."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from marie_operator.testing.apiserver import formats
from marie_operator.testing.apiserver.errors import FieldError, Json, Object
from marie_operator.testing.apiserver.schema import MISSING, OBJECT_META, Schema

_META = Schema(OBJECT_META)
_OPEN = frozenset({"object", ""})
_SCALARS: Mapping[type, frozenset[str]] = {
    str: frozenset({"string", ""}),
    bool: frozenset({"boolean", ""}),
    int: frozenset({"integer", "number", ""}),
    float: frozenset({"number", ""}),
}
_OBJECT = frozenset({"apiVersion", "kind", "metadata"})
_TYPES: Mapping[str, Callable[[Json], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "integer": lambda value: isinstance(value, int | float) and not isinstance(value, bool) and value == int(value),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
}


def fits(value: Json, schema: Schema) -> bool:
    """Whether a value of a built-in kind has known fields of the right types alone, and no null: most have."""
    kind = type(value)
    if kind is dict:
        fields, values = schema.fields, schema.values
        if not fields and values is None:
            return schema.type in _OPEN
        for name, inner in value.items():
            known = fields.get(name) or values
            if known is None or not fits(inner, known):
                return False
        return True
    if kind is list:
        items = schema.items
        return schema.type == "array" and (items is None or all(fits(item, items) for item in value))
    return schema.type in _SCALARS.get(kind, ()) or (schema.int_or_string and kind in {int, str})


# Unknown fields.


def unknown(value: Json, schema: Schema) -> list[str]:
    """The paths of fields that a schema does not know, such as ``spec.groups[0].name``."""
    return list(_unknown(value, schema, "", root=True))


def _unknown(value: Json, schema: Schema, path: str, *, root: bool = False) -> Iterator[str]:
    if isinstance(value, list):
        if schema.items is not None:
            for number, item in enumerate(value):
                yield from _unknown(item, schema.items, f"{path}[{number}]")
        return
    if not isinstance(value, dict):
        return
    whole = root or schema.embedded
    for name, inner in value.items():
        at = f"{path}.{name}" if path else name
        known = _known(schema, name, whole=whole)
        if known is not None:
            yield from _unknown(inner, known, at)
        elif not _open(schema) and not (whole and name in _OBJECT):
            yield at


def _open(schema: Schema) -> bool:
    """Whether any field may be; of built-in kinds, in every object of which nothing is said."""
    return schema.preserves or (schema.built_in and schema.open)


def _known(schema: Schema, name: str, *, whole: bool) -> Schema | None:
    """What is known of a field. The metadata of an object is not the definition's to describe."""
    return _META if whole and name == "metadata" and not schema.built_in else schema.child(name)


def prune(value: Json, schema: Schema) -> Json:
    """A value without the fields that its schema does not know; itself when it has none."""
    return _prune(value, schema, root=True)


def _prune(value: Json, schema: Schema, *, root: bool = False) -> Json:
    if isinstance(value, list):
        if schema.items is None:
            return value
        items = [_prune(item, schema.items) for item in value]
        return items if any(new is not old for new, old in zip(items, value, strict=True)) else value
    if not isinstance(value, dict):
        return value
    whole, changed, result = root or schema.embedded, False, {}
    for name, inner in value.items():
        known = _known(schema, name, whole=whole)
        if known is not None:
            kept = _prune(inner, known)
            changed = changed or kept is not inner
            result[name] = kept
        elif _open(schema) or (whole and name in _OBJECT):
            result[name] = inner
        else:
            changed = True
    return result if changed else value


def without_nulls(value: Json) -> Json:
    """A value without fields that are null, which are absent in built-in kinds; itself when it has none."""
    if isinstance(value, list):
        items = [without_nulls(item) for item in value]
        return items if any(new is not old for new, old in zip(items, value, strict=True)) else value
    if not isinstance(value, dict):
        return value
    kept = {name: without_nulls(inner) for name, inner in value.items() if inner is not None}
    changed = len(kept) != len(value) or any(kept[name] is not value[name] for name in kept)
    return kept if changed else value


# Defaults.


def default(value: Json, schema: Schema) -> Json:
    """A value with what its schema fills in; itself when that is nothing. Nulls that may not be are absent."""
    if isinstance(value, list):
        if schema.items is None or not has_defaults(schema.items):
            return value
        items = [default(item, schema.items) for item in value]
        return items if any(new is not old for new, old in zip(items, value, strict=True)) else value
    if not isinstance(value, dict):
        return value
    changes: Object = {}
    for name, field in schema.fields.items():
        found = value.get(name, MISSING)
        filled = _field_default(found, field)
        if filled is not found:
            changes[name] = filled
    if schema.values is not None and has_defaults(schema.values):
        for name, found in value.items():
            if name not in schema.fields and (filled := default(found, schema.values)) is not found:
                changes[name] = filled
    return {**value, **changes} if changes else value


def _field_default(found: Json, field: Schema) -> Json:
    """A field's value with what its schema fills in; MISSING when it stays absent."""
    if found is MISSING or (found is None and not field.nullable and field.default is not MISSING):
        return found if field.default is MISSING else default(json.loads(json.dumps(field.default)), field)
    return default(found, field) if has_defaults(field) else found


def has_defaults(schema: Schema) -> bool:
    """Whether anything below a node has a default; found out once."""
    known = schema.__dict__.get("_has_defaults")
    if known is None:
        # A schema that contains itself is looked at once.
        schema.__dict__["_has_defaults"] = False
        children = [*schema.fields.values(), *filter(None, (schema.values, schema.items))]
        known = any(child.default is not MISSING or has_defaults(child) for child in children)
        schema.__dict__["_has_defaults"] = known
    return bool(known)


# What is wrong.


def errors(value: Json, schema: Schema, path: str = "") -> list[FieldError]:
    """Everything about a value that breaks its schema."""
    return list(_errors(value, schema, path))


def _errors(value: Json, schema: Schema, path: str) -> Iterator[FieldError]:
    if value is None:
        if not (schema.nullable or not schema.type):
            yield _mistyped(value, schema.type, path)
        return
    if schema.int_or_string:
        if not isinstance(value, int | str) or isinstance(value, bool):
            yield _mistyped(value, "integer,string", path)
            return
    elif schema.type and not _TYPES[schema.type](value):
        yield _mistyped(value, schema.type, path)
        return
    yield from _bounds(value, schema, path)
    yield from _combined(value, schema, path)
    if isinstance(value, dict):
        yield from _fields(value, schema, path)
    elif isinstance(value, list):
        yield from _items(value, schema, path)


def _fields(value: Object, schema: Schema, path: str) -> Iterator[FieldError]:
    for name in schema.node.get("required") or ():
        if name not in value:
            yield FieldError("FieldValueRequired", "Required value", _at(path, name))
    for name, inner in value.items():
        known = schema.child(name)
        if known is not None and not (inner is None and known.built_in):
            yield from _errors(inner, known, _at(path, name))


def _items(value: list[Json], schema: Schema, path: str) -> Iterator[FieldError]:
    if schema.items is not None:
        for number, item in enumerate(value):
            yield from _errors(item, schema.items, f"{path}[{number}]")
    if schema.list_type == "atomic":
        return
    seen: set[str] = set()
    for number, item in enumerate(value):
        shown = item
        if schema.list_type == "map":
            if not isinstance(item, dict):
                continue
            shown = {key: item[key] for key in schema.list_keys if key in item}
        key = json.dumps(shown, sort_keys=True)
        if key in seen:
            message = f"Duplicate value: {json.dumps(shown, separators=(',', ':'))}"
            yield FieldError("FieldValueDuplicate", message, f"{path}[{number}]")
        seen.add(key)


def _bounds(value: Json, schema: Schema, path: str) -> Iterator[FieldError]:
    node, at = schema.node, path or "<nil>"
    if (enum := node.get("enum")) and value not in enum:
        listed = ", ".join(json.dumps(each) for each in enum)
        message = f"Unsupported value: {json.dumps(value)}: supported values: {listed}"
        yield FieldError("FieldValueNotSupported", message, path)
    if isinstance(value, str):
        yield from _text(value, node, path, at)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield from _number(value, node, path, at)
    elif isinstance(value, list | dict):
        yield from _size(value, node, path, at)


def _text(value: str, node: Mapping[str, Json], path: str, at: str) -> Iterator[FieldError]:
    if len(value) < node.get("minLength", 0):
        yield _wrong(value, f"{at} in body should be at least {node['minLength']} chars long", path)
    if len(value) > node.get("maxLength", len(value)):
        message = f"Too long: may not be more than {node['maxLength']} bytes"
        yield FieldError("FieldValueTooLong", message, path)
    if (pattern := node.get("pattern")) and not re.search(pattern, value):
        yield _wrong(value, f"{at} in body should match '{pattern}'", path)
    if (name := node.get("format")) and not formats.matches(name, value):
        yield _wrong(value, f"{at} in body must be of type {name}: {json.dumps(value)}", path)


def _number(value: float, node: Mapping[str, Json], path: str, at: str) -> Iterator[FieldError]:
    low, high, step = node.get("minimum"), node.get("maximum"), node.get("multipleOf")
    if low is not None and (value < low or (value == low and node.get("exclusiveMinimum"))):
        than = "greater than" if node.get("exclusiveMinimum") else "greater than or equal to"
        yield _wrong(value, f"{at} in body should be {than} {_plain(low)}", path)
    if high is not None and (value > high or (value == high and node.get("exclusiveMaximum"))):
        than = "less than" if node.get("exclusiveMaximum") else "less than or equal to"
        yield _wrong(value, f"{at} in body should be {than} {_plain(high)}", path)
    if step and value % step:
        yield _wrong(value, f"{at} in body should be a multiple of {_plain(step)}", path)


def _size(value: Any, node: Mapping[str, Json], path: str, at: str) -> Iterator[FieldError]:
    kinds = ("Items", "items") if isinstance(value, list) else ("Properties", "properties")
    least, most = node.get(f"min{kinds[0]}"), node.get(f"max{kinds[0]}")
    if least is not None and len(value) < least:
        yield _wrong(len(value), f"{at} in body should have at least {least} {kinds[1]}", path)
    if most is not None and len(value) > most:
        message = f"Too many: {len(value)}: must have at most {most} items"
        yield FieldError("FieldValueTooMany", message, path)


def _combined(value: Json, schema: Schema, path: str) -> Iterator[FieldError]:
    node, at = schema.node, path or "<nil>"
    for part in node.get("allOf") or ():
        if "$ref" not in part:
            yield from _errors(value, Schema(part), path)
    if (choices := node.get("anyOf")) and not any(_fits(value, choice) for choice in choices):
        yield _wrong(value, f"{at} in body must validate at least one schema (anyOf)", path)
    if (choices := node.get("oneOf")) and sum(_fits(value, choice) for choice in choices) != 1:
        yield _wrong(value, f"{at} in body must validate one and only one schema (oneOf)", path)
    if (excluded := node.get("not")) and _fits(value, excluded):
        yield _wrong(value, f"{at} in body must not validate the schema (not)", path)


def _fits(value: Json, node: Mapping[str, Json]) -> bool:
    return not errors(value, Schema(node))


def _mistyped(value: Json, wanted: str, path: str) -> FieldError:
    names = {dict: "object", list: "array", str: "string", bool: "boolean", int: "integer", float: "number"}
    given = names.get(type(value), "null")
    return _wrong(
        given, f'{path or "<nil>"} in body must be of type {wanted}: "{given}"', path, "FieldValueTypeInvalid"
    )


def _wrong(value: Json, why: str, path: str, reason: str = "FieldValueInvalid") -> FieldError:
    return FieldError(reason, f"Invalid value: {json.dumps(value, separators=(',', ':'))}: {why}", path)


def _plain(value: float) -> str:
    return str(int(value)) if value == int(value) else str(value)


def _at(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


# Definitions.


def problems(node: Mapping[str, Json]) -> list[FieldError]:
    """What keeps the schema of a definition from being a structural one."""
    return list(_problems(node, "", root=True))


_FORBIDDEN = (
    "$ref",
    "definitions",
    "dependencies",
    "deprecated",
    "discriminator",
    "id",
    "patternProperties",
    "readOnly",
)


def _problems(node: Mapping[str, Json], path: str, *, root: bool = False) -> Iterator[FieldError]:
    for name in _FORBIDDEN:
        if name in node:
            yield FieldError("FieldValueForbidden", f"Forbidden: {name} is not supported", _at(path, name))
    if node.get("uniqueItems"):
        why = "Forbidden: uniqueItems cannot be set to true since the runtime complexity becomes quadratic"
        yield FieldError("FieldValueForbidden", why, _at(path, "uniqueItems"))
    yield from _type_problems(node, path, root=root)
    if node.get("properties") and node.get("additionalProperties"):
        why = "Forbidden: additionalProperties and properties are mutual exclusive"
        yield FieldError("FieldValueForbidden", why, _at(path, "additionalProperties"))
    if node.get("type") == "array" and not node.get("items"):
        yield FieldError("FieldValueRequired", "Required value: must be specified", _at(path, "items"))
    for name, inner in (node.get("properties") or {}).items():
        yield from _problems(inner, f"{_at(path, 'properties')}[{name}]")
    for name in ("items", "additionalProperties"):
        if isinstance(node.get(name), Mapping):
            yield from _problems(node[name], _at(path, name))


def _type_problems(node: Mapping[str, Json], path: str, *, root: bool) -> Iterator[FieldError]:
    open_ended = node.get("x-kubernetes-preserve-unknown-fields") or node.get("x-kubernetes-int-or-string")
    if root and node.get("type") != "object":
        why = f"Invalid value: {json.dumps(node.get('type', ''))}: must be object at the root"
        yield FieldError("FieldValueInvalid", why, _at(path, "type"))
    elif not node.get("type") and not open_ended:
        why = "Required value: must not be empty for specified object fields"
        yield FieldError("FieldValueRequired", why, _at(path, "type"))
