"""The one form that JSON of a built-in kind has, as what Go reads into its types and writes again.

A field that was not set is absent, null, or its zero, as its Go type says; quantities, times and data are written in
one way. Most objects that clients send have known fields of the right types alone, and no null: their types are looked
at on the way. Others come in once they are known to have the types that their schemas say.
"""

import base64
import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Final, NamedTuple

from marie_operator.testing.apiserver import times
from marie_operator.testing.apiserver.builtin import definitions
from marie_operator.testing.apiserver.errors import Json, Object
from marie_operator.testing.apiserver.marks import DROPPED, marks_of
from marie_operator.testing.apiserver.strategies import quantity

Take = Callable[[Json], Json]

META: Final = "io.k8s.apimachinery.pkg.apis.meta.v1."
_QUANTITY: Final = "io.k8s.apimachinery.pkg.api.resource.Quantity"
_DEEPEST = 2
_TYPES: Final[Mapping[str, frozenset[type]]] = {
    "string": frozenset({str}),
    "integer": frozenset({int}),
    "number": frozenset({int, float}),
    "boolean": frozenset({bool}),
    "array": frozenset({list}),
    "object": frozenset({dict}),
}
_ANY: Final = frozenset({str, int, float, bool, list, dict})
_SIZES: Final[Mapping[str, int]] = {"int32": 2**31, "int64": 2**63}
_ZEROS: Final[Mapping[str, Json]] = {"string": "", "integer": 0, "number": 0, "boolean": False}


class Unfit(ValueError):  # noqa: N818 - what it is
    """JSON that is not of known fields of the right types alone."""


class _Field(NamedTuple):
    """A field of a Go type.

    Attributes:
        types: What JSON of it is.
        dropped: Whether it is absent when it is zero.
        take: Gives a value its form; None where it has it anyway.
        zero: What it is when it was not set: its zero, null, or the default that its type declares.
        written: Whether it is there when it was not set.
    """

    types: frozenset[type]
    dropped: bool
    take: Take | None
    zero: Json
    written: bool


@cache
def form(definition: str, *, exact: bool = False) -> Take:
    """What gives objects of a definition their form.

    It raises ``ValueError``, with what Go says, for a value that cannot be read.

    Args:
        definition: Its name.
        exact: Whether an object must have known fields of the right types alone, and no null; for any other, what is
            returned raises ``ValueError``.
    """
    special = _SPECIAL.get(definition)
    if special is not None:
        return special
    if not definitions()[definition].get("properties"):
        return _same
    return _exact(definition) if exact else _lenient(definition)


def _lenient(definition: str) -> Take:
    known: dict[str, _Field] = {}
    written: list[tuple[str, Json]] = []

    def take(value: Json) -> Json:
        if not known:
            known.update(_fields(definition, exact=False))
            written.extend(_written(known))
        result = {}
        for name, given in (value or {}).items():
            field = known.get(name)
            if field is None:
                result[name] = given
                continue
            inner = given if field.take is None or given is None else field.take(given)
            if inner or not (field.dropped or inner is None):
                result[name] = inner
        for name, zero in written:
            if name not in result:
                result[name] = zero
        return result

    return take


def _exact(definition: str) -> Take:
    known: dict[str, _Field] = {}
    written: list[tuple[str, Json]] = []

    def take(value: Json) -> Json:
        if not known:
            known.update(_fields(definition, exact=True))
            written.extend(_written(known))
        result = {}
        for name, given in value.items():
            field = known.get(name)
            if field is None or given.__class__ not in field.types:
                raise Unfit
            inner = given if field.take is None else field.take(given)
            if inner or not field.dropped:
                result[name] = inner
        for name, zero in written:
            if name not in result:
                result[name] = zero
        return result

    return take


def _written(known: Mapping[str, _Field]) -> list[tuple[str, Json]]:
    return [(name, field.zero) for name, field in known.items() if field.written]


def _fields(definition: str, *, exact: bool) -> dict[str, _Field]:
    properties = definitions()[definition].get("properties") or {}
    marks = marks_of(definition)
    return {name: _field(marks.get(name, ""), node, exact=exact) for name, node in properties.items()}


def _field(mark: str, node: Mapping[str, Json], *, exact: bool) -> _Field:
    declared = node.get("default")
    zero = declared if declared not in ({}, None) else _zero(node) if mark == "!" else None
    written = mark in {"!", "^"} or bool(declared)
    return _Field(_types(node), mark in DROPPED, _take(node, exact=exact), zero, written)


def nullable(definition: str, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Where objects have lists and maps that are null when they are empty, as far as no list is on the way."""
    found = []
    fields = marks_of(definition)
    for name, node in (definitions()[definition].get("properties") or {}).items():
        if fields.get(name) == "^" and "$ref" not in node:
            found.append((*path, name))
        elif "$ref" in node and node["$ref"] != definition and len(path) < _DEEPEST:
            found += nullable(node["$ref"], (*path, name))
    return found


def read_back(value: Object, paths: list[tuple[str, ...]]) -> Object:
    """An object as it comes out of storage, which does not tell what is empty from what is not there."""
    for path in paths:
        inner: Json = value
        for name in path:
            inner = inner.get(name) if isinstance(inner, dict) else None
        if inner is not None and not inner:
            value = _nulled(value, path)
    return value


def _nulled(value: Object, path: tuple[str, ...]) -> Object:
    return {**value, path[0]: _nulled(value[path[0]], path[1:]) if len(path) > 1 else None}


def _zero(node: Mapping[str, Json]) -> Json:
    reference = node.get("$ref")
    if reference is None:
        return _ZEROS.get(str(node.get("type")))
    if reference in _NOTHING:
        return _NOTHING[reference]
    return form(reference)({}) if definitions()[reference].get("properties") else None


def _types(node: Mapping[str, Json]) -> frozenset[type]:
    """What JSON of a node is."""
    if "$ref" in node:
        return _types(definitions()[node["$ref"]])
    if "oneOf" in node:
        return frozenset().union(*map(_types, node["oneOf"]))
    return _TYPES.get(str(node.get("type", "")), _ANY)


def _take(node: Mapping[str, Json], *, exact: bool) -> Take | None:
    values = node.get("additionalProperties")
    if "$ref" in node:
        return form(node["$ref"], exact=exact)
    if node.get("type") == "array":
        return (_exact_list if exact else _list)(_take(node["items"], exact=exact), node["items"])
    if isinstance(values, Mapping):
        take = _of_resource if values == {"$ref": _QUANTITY} else _take(values, exact=exact)
        return (_exact_map if exact else _map)(take, values)
    if node.get("type") == "integer" and exact:
        return _whole(_SIZES[node.get("format", "int64")])
    return _data if node.get("format") == "byte" else None


def _list(take: Take | None, node: Mapping[str, Json]) -> Take:
    def items(values: list[Json]) -> list[Json]:
        given = [_zero(node) if each is None else each for each in values]
        return given if take is None else [take(each) for each in given]

    return items


def _exact_list(take: Take | None, node: Mapping[str, Json]) -> Take:
    types = _types(node)

    def items(values: list[Json]) -> list[Json]:
        for each in values:
            if each.__class__ not in types:
                raise Unfit
        return values if take is None else [take(each) for each in values]

    return items


def _map(take: Take | None, node: Mapping[str, Json]) -> Take:
    def entries(values: Mapping[str, Json]) -> Object:
        given = {name: _zero(node) if each is None else each for name, each in values.items()}
        return given if take is None else {name: take(each) for name, each in given.items()}

    return entries


def _exact_map(take: Take | None, node: Mapping[str, Json]) -> Take:
    types = _types(node)

    def entries(values: Object) -> Object:
        for each in values.values():
            if each.__class__ not in types:
                raise Unfit
        return values if take is None else {name: take(each) for name, each in values.items()}

    return entries


def _whole(bound: int) -> Take:
    def number(value: int) -> int:
        if not -bound <= value < bound:
            raise Unfit
        return value

    return number


# What has a form of its own.


def _amount(value: Json) -> Json:
    return quantity.canonical(value.strip() if isinstance(value, str) else value)


def _of_resource(value: Json) -> Json:
    return quantity.canonical(value.strip() if isinstance(value, str) else value, -3)


def _same(value: Json) -> Json:
    return value


_PLAIN_DATA = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{4}|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{2}==)")


def _data(value: str) -> str:
    """Base64, padded and on one line."""
    if not value:
        return value
    whole = value.replace("\n", "").replace("\r", "")
    if not _PLAIN_DATA.fullmatch(whole):
        raise ValueError(f"illegal base64 data at input byte {_corrupt(value)}")
    return base64.b64encode(base64.b64decode(whole)).decode()


def _corrupt(value: str) -> int:
    """Where base64 begins to be none."""
    held = 0
    for place, letter in enumerate(value):
        if letter in "\r\n":
            continue
        if letter == "=":
            return _padding(value, place, held)
        if not re.match(r"[A-Za-z0-9+/]", letter):
            return place
        held = (held + 1) % 4
    return len(value) - held


def _padding(value: str, place: int, held: int) -> int:
    """Where padding that begins at a place goes wrong."""
    rest = [each for each in range(place + 1, len(value)) if value[each] not in "\r\n"]
    if held < 2:
        return place
    if held == 2:
        if not rest:
            return len(value)
        if value[rest[0]] != "=":
            return rest[0]
        rest = rest[1:]
    return rest[0] if rest else place


_SPECIAL: Final[Mapping[str, Take]] = {
    _QUANTITY: _amount,
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": _same,
    "io.k8s.apimachinery.pkg.runtime.RawExtension": _same,
    f"{META}FieldsV1": _same,
    f"{META}Time": times.second,
    f"{META}MicroTime": times.microsecond,
}
_NOTHING: Final[Mapping[str, Json]] = {
    _QUANTITY: "0",
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": 0,
    "io.k8s.apimachinery.pkg.runtime.RawExtension": None,
    f"{META}Time": None,
    f"{META}MicroTime": None,
}
"""What is written of them when they were not set."""
