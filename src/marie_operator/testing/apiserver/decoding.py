"""What Go's decoder says of JSON that is not of the types of a built-in definition."""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from marie_operator.testing.apiserver.builtin import definitions
from marie_operator.testing.apiserver.errors import Json, number

META: Final = "io.k8s.apimachinery.pkg.apis.meta.v1."
OBJECT_META: Final = f"{META}ObjectMeta"
_ANYTHING: Final = frozenset({"io.k8s.apimachinery.pkg.runtime.RawExtension", f"{META}FieldsV1"})
_TEXTS: Final = frozenset({f"{META}Time", f"{META}MicroTime"})
_SCALARS: Final[Mapping[str, str]] = {"string": "string", "boolean": "bool"}
_NUMBERS: Final[Mapping[str, str]] = {"": "int64", "int32": "int32", "int64": "int64", "double": "float64"}
_UNMARSHALLED: Final = re.compile(r"json: cannot unmarshal (\w+)(?: .*)? into Go .* of type (.+)")
_KINDS: Final[Mapping[str, str]] = {"number": "int64", "object": "map", "array": "slice"}
_BOUNDS: Final[Mapping[str, int]] = {"int32": 2**31, "int64": 2**63}


def problem(value: Json, definition: str, *, root: str = "") -> str:
    """The first thing that is wrong with a value; empty when all is well.

    Args:
        value: JSON.
        definition: The definition that it should be of.
        root: The path of the whole in what is decoded.
    """
    return next(_of_definition(value, definition, _Place(definition, root)), "")


def unconverted(wrong: str) -> str:
    """The same of what was never JSON: fields that a server puts into a Go type one by one."""
    found = _UNMARSHALLED.fullmatch(wrong)
    if found is None:
        return wrong
    given, wanted = _KINDS.get(found[1], found[1]), found[2]
    if wanted.startswith("map["):
        return f"cannot restore map from {given}"
    if wanted.startswith("[]"):
        return f"cannot restore slice from {given}"
    if "." in wanted:
        return f"cannot restore struct from: {given}"
    return f"cannot convert {given} to {wanted}"


class _Place:
    """A field of a Go type.

    Args:
        definition: The type that has it.
        path: Its path in the whole, as Go tells it: without what data has put into it.
    """

    def __init__(self, definition: str, path: str) -> None:
        self.definition = definition
        self.path = path

    def child(self, definition: str, name: str) -> "_Place":
        return _Place(definition, f"{self.path}.{name}" if self.path else name)

    def refuse(self, given: str, wanted: str) -> str:
        if not self.path:
            return f"json: cannot unmarshal {given} into Go value of type {wanted}"
        struct = f"{self.definition.rpartition('.')[2]}.{self.path}"
        return f"json: cannot unmarshal {given} into Go struct field {struct} of type {wanted}"


def _of_definition(value: Json, definition: str, place: _Place) -> Iterator[str]:
    node = definitions()[definition]
    properties = node.get("properties")
    if definition in _ANYTHING or value is None:
        return
    if not isinstance(properties, Mapping):
        yield from _special(value, definition, node)
    elif not isinstance(value, dict):
        yield place.refuse(go_type(value), _name(definition))
    else:
        for name, inner in value.items():
            if name in properties:
                yield from _of(inner, properties[name], place.child(definition, name))


def _special(value: Json, definition: str, node: Json) -> Iterator[str]:
    """Types that read themselves."""
    if definition in _TEXTS and not isinstance(value, str):
        yield f"json: cannot unmarshal {go_type(value)} into Go value of type string"
    elif "oneOf" in node and not isinstance(value, str | int | float):
        yield f"json: cannot unmarshal {go_type(value)} into Go value of type int32"


def _of(value: Json, node: Mapping[str, Json], place: _Place) -> Iterator[str]:
    if value is None:
        return
    if "$ref" in node:
        yield from _of_definition(value, node["$ref"], place)
        return
    kind, values = node.get("type"), node.get("additionalProperties")
    if given := _unlike(value, node):
        yield place.refuse(given, _type(node))
    elif kind == "array":
        for each in value:
            yield from _of(each, node["items"], place)
    elif isinstance(values, Mapping):
        for each in value.values():
            yield from _of(each, values, place)


_TYPES: Final[Mapping[str, type]] = {"string": str, "boolean": bool, "array": list, "object": dict}


def _unlike(value: Json, node: Mapping[str, Json]) -> str:
    """What a value is that is not of a field's type; empty when it is."""
    kind = node.get("type")
    if kind in {"integer", "number"}:
        return _no_number(value, _type(node))
    wanted = _TYPES.get(str(kind), object)
    return "" if isinstance(value, wanted) else go_type(value)


def _no_number(value: Json, wanted: str) -> str:
    """What a value is that is no number of a type; empty when it is one."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return go_type(value)
    if wanted == "float64":
        return ""
    if isinstance(value, float) or not -_BOUNDS[wanted] <= value < _BOUNDS[wanted]:
        return f"number {number(value) if isinstance(value, float) else value}"
    return ""


def _type(node: Mapping[str, Json]) -> str:
    """What Go calls the type of a field."""
    if "$ref" in node:
        return _name(node["$ref"])
    match node.get("type"):
        case "array":
            return f"[]{_type(node['items'])}"
        case "object":
            values = node.get("additionalProperties")
            return f"map[string]{_type(values)}" if isinstance(values, Mapping) else "map[string]interface {}"
        case "integer" | "number":
            return _NUMBERS.get(str(node.get("format", "")), "int64")
        case kind:
            return "[]uint8" if node.get("format") == "byte" else _SCALARS.get(str(kind), "interface {}")


def _name(definition: str) -> str:
    """Package and name of a type."""
    return ".".join(definition.rsplit(".", 2)[1:])


def go_type(value: Json) -> str:
    """What Go's decoder calls a JSON value."""
    match value:
        case bool():
            return "bool"
        case str():
            return "string"
        case int() | float():
            return "number"
        case list():
            return "array"
        case dict():
            return "object"
        case _:
            return "null"
