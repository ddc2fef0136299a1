"""What is wrong with a value, by its schema, in the words of kube-openapi's validator.

A change is not blamed for what was wrong before it: where nothing has changed, nothing is told.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from marie_operator.testing.apiserver import formats
from marie_operator.testing.apiserver.crd import regexp
from marie_operator.testing.apiserver.errors import NOWHERE, FieldError, Json, Object, number, quoted
from marie_operator.testing.apiserver.schema import MISSING, Schema


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a value is: below a root, which the words of messages leave out."""

    root: str
    name: str = ""

    @property
    def field(self) -> str:
        return ".".join(filter(None, (self.root, self.name))) or NOWHERE

    def child(self, name: str) -> "_Place":
        return _Place(self.root, f"{self.name}.{name}" if self.name else name)

    def item(self, index: int) -> "_Place":
        return _Place(self.root, f"{self.name}[{index}]")


def errors(value: Json, schema: Schema, root: str = "", *, old: Json = MISSING) -> list[FieldError]:
    """Everything about a value that breaks its schema.

    Args:
        value: The value.
        schema: Its schema.
        root: Where it is; empty for a whole object.
        old: What it replaces; MISSING when there was none, or nobody knows.
    """
    return list(_errors(value, schema, _Place(root), old))


def _errors(value: Json, schema: Schema, place: _Place, old: Json) -> Iterator[FieldError]:
    found = [*_broken(value, schema, place, old)]
    if found and old is not MISSING and same(value, old, schema):
        return
    yield from found


def _broken(value: Json, schema: Schema, place: _Place, old: Json) -> Iterator[FieldError]:
    if schema.type or schema.int_or_string:
        yield from _mistyped(value, schema, place)
    if value is not None:
        if schema.combined:
            yield from _combined(value, schema, place, old)
        if isinstance(value, str):
            yield from _text(value, schema, place)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield from _number(value, schema, place)
        elif isinstance(value, list):
            yield from _items(value, schema, place, old)
    if (enum := schema.node.get("enum")) and not any(_equal(value, each) for each in enum):
        yield FieldError.unsupported(place.field, value, enum)
    if isinstance(value, dict):
        yield from _fields(value, schema, place, old)


def _equal(value: Json, other: Json) -> bool:
    return bool(value == other) and isinstance(value, bool) == isinstance(other, bool)


def same(value: Json, old: Json, schema: Schema) -> bool:
    """Whether nothing has changed; the order of items that are told apart by keys does not matter."""
    if isinstance(value, list) and isinstance(old, list) and schema.list_type == "map" and len(value) == len(old):
        before = by_key(schema, old)
        items = schema.items
        return items is not None and all(same(item, before.get(key(schema, item), MISSING), items) for item in value)
    if isinstance(value, dict) and isinstance(old, dict) and (schema.fields or schema.values):
        if value.keys() != old.keys():
            return False
        known = {name: schema.child(name) for name in value}
        return all((child := known[name]) is not None and same(value[name], old[name], child) for name in value)
    return _equal(value, old)


def by_key(schema: Schema, items: Json) -> dict[str, Json]:
    """The items of a list by what tells them apart; those of a list without keys cannot be told apart."""
    return {key(schema, item): item for item in items} if schema.list_type == "map" and isinstance(items, list) else {}


def key(schema: Schema, item: Json) -> str:
    """What tells an item of a list apart."""
    if not isinstance(item, dict):
        return ""
    return json.dumps([item.get(each, schema.item_defaults.get(each)) for each in schema.list_keys], default=str)


# Types.


def _mistyped(value: Json, schema: Schema, place: _Place) -> Iterator[FieldError]:
    given, kind = _kind(value), schema.type
    wanted = "integer,string" if schema.int_or_string and not schema.built_in else kind
    if value is None:
        if not schema.nullable and not schema.built_in:
            yield _wrong_type(wanted, "null", place)
        return
    of_format = schema.known_format
    if of_format and kind == "string" and isinstance(value, str | list):
        return
    if of_format and kind == "string":
        yield _wrong_type(of_format, {"integer": "int64", "number": "double"}.get(given, ""), place)
    elif not _is(value, given, kind, int_or_string=schema.int_or_string):
        yield _wrong_type(wanted, given, place)


def _is(value: Json, given: str, kind: str, *, int_or_string: bool) -> bool:
    whole = given == "integer" or (given == "number" and value == int(value))
    if int_or_string:
        return whole or given == "string"
    return given == kind or (kind == "number" and given == "integer") or (kind == "integer" and whole)


def _kind(value: Json) -> str:
    names = {dict: "object", list: "array", str: "string", bool: "boolean", int: "integer", float: "number"}
    return names.get(type(value), "null")


def _wrong_type(wanted: str, given: str, place: _Place) -> FieldError:
    why = f'{place.name} in body must be of type {wanted}: "{given}"'
    return FieldError("FieldValueTypeInvalid", f'Invalid value: "{given}": {why}', place.field)


# Parts of a value.


def _fields(value: Object, schema: Schema, place: _Place, old: Json) -> Iterator[FieldError]:
    least, most = schema.node.get("minProperties"), schema.node.get("maxProperties")
    if least is not None and len(value) < least:
        why = f"{place.name} in body should have at least {least} properties"
        yield FieldError.invalid(place.field, len(value), why)
    if most is not None and len(value) > most:
        yield FieldError.too_many(place.field, len(value), most)
    before = old if isinstance(old, dict) else {}
    for name, inner in value.items():
        known = schema.child(name)
        if known is not None and inner.__class__ not in known.unbounded and not (inner is None and known.built_in):
            # The version and the kind of the old object are those of the new one, whatever was stored.
            former = before.get(name, MISSING) if place.name or name not in {"apiVersion", "kind"} else MISSING
            yield from _errors(inner, known, place.child(name), former)
    for name in schema.node.get("required") or ():
        if name not in value:
            yield FieldError.required(place.child(name).field)


def _items(value: list[Json], schema: Schema, place: _Place, old: Json) -> Iterator[FieldError]:
    if schema.items is not None:
        before = by_key(schema, old)
        for index, item in enumerate(value):
            if item.__class__ in schema.items.unbounded:
                continue
            former = before.get(key(schema, item), MISSING) if before else MISSING
            yield from _errors(item, schema.items, place.item(index), former)
    least, most = schema.node.get("minItems"), schema.node.get("maxItems")
    if least is not None and len(value) < least:
        yield FieldError.invalid(place.field, len(value), f"{place.name} in body should have at least {least} items")
    if most is not None and len(value) > most:
        yield FieldError.too_many(place.field, len(value), most)


def _text(value: str, schema: Schema, place: _Place) -> Iterator[FieldError]:
    node = schema.node
    if len(value) > node.get("maxLength", len(value)):
        yield FieldError.too_long(place.field, node["maxLength"])
    elif len(value) < node.get("minLength", 0):
        why = f"{place.name} in body should be at least {node['minLength']} chars long"
        yield FieldError.invalid(place.field, value, why)
    elif (pattern := node.get("pattern")) and not regexp.compiled(pattern).search(value):
        yield FieldError.invalid(place.field, value, f"{place.name} in body should match '{pattern}'")
    if (name := schema.known_format) and not formats.matches(name, value):
        why = f"{place.name} in body must be of type {name}: {quoted(value)}"
        yield FieldError("FieldValueTypeInvalid", f"Invalid value: {quoted(value)}: {why}", place.field)


_LIMITS: Mapping[str, float] = {"int32": 2**31 - 1, "float": 3.4028235677973366e38}


def _number(value: float, schema: Schema, place: _Place) -> Iterator[FieldError]:
    node, name = schema.node, place.name
    limit = _LIMITS.get(schema.known_format)
    if limit is not None and not -limit - (schema.known_format == "int32") <= value <= limit:
        why = f"Checked value must be of type {schema.type} with format {schema.known_format} in {name}"
        yield FieldError.invalid(place.root or NOWHERE, "", why)
    low, high, step = node.get("minimum"), node.get("maximum"), node.get("multipleOf")
    if step and value % step:
        yield FieldError.invalid(place.field, value, f"{name} in body should be a multiple of {number(step)}")
    if low is not None and (value < low or (value == low and node.get("exclusiveMinimum"))):
        than = "greater than" if node.get("exclusiveMinimum") else "greater than or equal to"
        yield FieldError.invalid(place.field, value, f"{name} in body should be {than} {number(low)}")
    if high is not None and (value > high or (value == high and node.get("exclusiveMaximum"))):
        than = "less than" if node.get("exclusiveMaximum") else "less than or equal to"
        yield FieldError.invalid(place.field, value, f"{name} in body should be {than} {number(high)}")


def _combined(value: Json, schema: Schema, place: _Place, old: Json) -> Iterator[FieldError]:
    """Junctors. Of choices that all fail, the first that has the fewest mistakes is told as well."""
    name = quoted(place.name)
    if schema.any_of:
        found = _choices(value, schema.any_of, place, old)
        if all(found):
            yield FieldError.invalid(place.root or NOWHERE, "", f"{name} must validate at least one schema (anyOf)")
            yield from min(found, key=len)
    if schema.one_of:
        found = _choices(value, schema.one_of, place, old)
        valid = sum(not each for each in found)
        if valid != 1:
            more = f"Found {valid} valid alternatives" if valid else "Found none valid"
            yield FieldError.invalid(
                place.root or NOWHERE, "", f"{name} must validate one and only one schema (oneOf). {more}"
            )
        if not valid:
            yield from min(found, key=len)
    if schema.all_of:
        found = _choices(value, schema.all_of, place, old)
        for each in found:
            yield from each
        if any(found):
            none = ". None validated" if all(found) else ""
            yield FieldError.invalid(place.root or NOWHERE, "", f"{name} must validate all the schemas (allOf){none}")
    if schema.excluded is not None and not [*_broken(value, schema.excluded, place, old)]:
        yield FieldError.invalid(place.root or NOWHERE, "", f"{name} must not validate the schema (not)")


def _choices(value: Json, choices: Sequence[Schema], place: _Place, old: Json) -> list[list[FieldError]]:
    return [[*_broken(value, choice, place, old)] for choice in choices]
