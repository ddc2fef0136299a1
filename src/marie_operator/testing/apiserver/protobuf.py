"""Objects of built-in kinds in protobuf, as kubectl and clients in Go send them, decoded to what they are in JSON."""

import base64
import json
import struct
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from marie_operator.testing.apiserver.builtin import definition_of, definitions
from marie_operator.testing.apiserver.errors import Json, Object, Refusal
from marie_operator.testing.apiserver.marks import MARKS, marked

MEDIA_TYPE: Final = "application/vnd.kubernetes.protobuf"

_MAGIC: Final = b"k8s\x00"
_META: Final = "io.k8s.apimachinery.pkg.apis.meta.v1."
_EXTENSIONS: Final = "io.k8s.apiextensions-apiserver."
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

Wire = int | bytes
"""A number, or what stands behind a length; a fixed-width number is its bytes."""


def decoded(body: bytes) -> Object:
    """The object in the body of a request.

    Raises:
        Refusal: 400, it cannot be read; 415, it is of a kind that is known in JSON and YAML only.
    """
    if not body.startswith(_MAGIC):
        raise Refusal(400, "provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]")
    try:
        envelope = dict(_fields(body[len(_MAGIC) :]))
        kind = {number: _text(value) for number, value in _fields(_bytes(envelope.get(1, b"")))}
        api_version, name = kind.get(1, ""), kind.get(2, "")
        group, _, version = api_version.rpartition("/")
        definition = definition_of(group, version, name) or _common(name)
        if definition not in marked() or definition in _SPECIAL or definition.startswith(_EXTENSIONS):
            raise Refusal(
                415,
                "the body of the request was in an unknown format - accepted media types include: "
                "application/json, application/yaml",
            )
        content = _object(definition, _bytes(envelope.get(2, b"")))
    except (ValueError, TypeError, IndexError, OverflowError, RecursionError, struct.error) as error:
        raise Refusal(400, f"the body of the request cannot be decoded: {error}") from None
    return {"apiVersion": api_version, "kind": name, **content}


def _common(kind: str) -> str:
    """The definition of a kind that belongs to every group, such as ``DeleteOptions``."""
    return _META + kind if _META + kind in definitions() else ""


def _fields(data: bytes) -> Iterator[tuple[int, Wire]]:
    """The fields of a message, in the order in which they were written."""
    place = 0
    while place < len(data):
        key, place = _varint(data, place)
        match key & 7:
            case 0:
                value, place = _varint(data, place)
                yield key >> 3, value
                continue
            case 1:
                size = 8
            case 5:
                size = 4
            case 2:
                size, place = _varint(data, place)
            case wire:
                raise ValueError(f"wire type {wire}")
        if place + size > len(data):
            raise ValueError("unexpected end")
        yield key >> 3, data[place : place + size]
        place += size


def _varint(data: bytes, place: int) -> tuple[int, int]:
    """A number, and where it ends."""
    value = shift = 0
    while True:
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value & (1 << 64) - 1, place
        if shift > 63:
            raise ValueError("a number is too long")


def _object(definition: str, data: bytes) -> Json:
    """What a message is in JSON."""
    special = _SPECIAL.get(definition)
    if special is not None:
        return special(data)
    found: Object = {}
    _fill(found, marked()[definition], definitions()[definition]["properties"], data)
    return found


def _fill(found: Object, numbers: Mapping[str, Json], properties: Mapping[str, Json], data: bytes) -> None:
    for number, value in _fields(data):
        named = numbers.get(str(number))
        if isinstance(named, dict):
            # Fields of an embedded type stand among those of the type that embeds it.
            _fill(found, named, properties, _bytes(value))
        elif named is not None:
            _put(found, named, properties[named.lstrip(MARKS)], value)


def _put(found: Object, named: str, node: Mapping[str, Json], value: Wire) -> None:
    """Add a field, or to a field."""
    name = named.lstrip(MARKS)
    if node.get("type") == "array":
        found.setdefault(name, []).extend(_items(node["items"], value))
    elif "additionalProperties" in node:
        key, entry = _entry(node["additionalProperties"], _bytes(value))
        found.setdefault(name, {})[key] = entry
    else:
        read = _value(node, value)
        empty = read in ("", 0, None) if named[0] == "?" else not read if named[0] == "~" else read is None
        if not empty:
            found[name] = read


def _items(node: Mapping[str, Json], value: Wire) -> Iterator[Json]:
    """The items of a list that one field holds: one, or several numbers."""
    if node.get("type") in {"integer", "boolean"} and isinstance(value, bytes):
        place = 0
        while place < len(value):
            number, place = _varint(value, place)
            yield _value(node, number)
    else:
        yield _value(node, value)


def _entry(node: Mapping[str, Json], data: bytes) -> tuple[str, Json]:
    """A key and its value."""
    fields = dict(_fields(data))
    value = fields.get(2, b"" if node.get("type") == "string" or "$ref" in node else 0)
    if node.get("type") == "array":
        items = [_value(node["items"], each) for _, each in _fields(_bytes(fields.get(2, b"")))]
        return _text(fields.get(1, b"")), items
    return _text(fields.get(1, b"")), _value(node, value)


def _value(node: Mapping[str, Json], value: Wire) -> Json:
    reference = node.get("$ref")
    if reference is not None:
        return _object(reference, _bytes(value))
    match node.get("type"):
        case "string":
            data = _bytes(value)
            return base64.b64encode(data).decode() if node.get("format") == "byte" else _text(data)
        case "integer":
            return _signed(value)
        case "boolean":
            return bool(_signed(value))
        case "number":
            return struct.unpack("<d", _bytes(value))[0]
        case _:
            raise ValueError("a field of no known type")


def _bytes(value: Wire) -> bytes:
    if isinstance(value, int):
        raise TypeError("a number where a message was expected")
    return value


def _text(value: Wire) -> str:
    return _bytes(value).decode()


def _signed(value: Wire) -> int:
    if not isinstance(value, int):
        raise TypeError("a message where a number was expected")
    return value - (1 << 64) if value >= 1 << 63 else value


def _quantity(data: bytes) -> str:
    return _text(dict(_fields(data)).get(1, b"0"))


def _int_or_string(data: bytes) -> int | str:
    fields = dict(_fields(data))
    return _text(fields.get(3, b"")) if fields.get(1) else _signed(fields.get(2, 0))


def _time(data: bytes) -> str | None:
    """A second; None for the time that is none."""
    return _instant(data).strftime("%Y-%m-%dT%H:%M:%SZ") if data else None


def _micro_time(data: bytes) -> str | None:
    return _instant(data).strftime("%Y-%m-%dT%H:%M:%S.%fZ") if data else None


def _instant(data: bytes) -> datetime:
    fields = dict(_fields(data))
    return _EPOCH + timedelta(seconds=_signed(fields.get(1, 0)), microseconds=_signed(fields.get(2, 0)) // 1000)


def _raw(data: bytes) -> Json:
    """An object that stands in the message as JSON."""
    return json.loads(_bytes(dict(_fields(data)).get(1, b"null")), parse_constant=_no_constant)


def _no_constant(name: str) -> Json:
    """Python reads numbers that JSON does not have."""
    raise ValueError(f"{name} is no JSON")


_SPECIAL: Final = {
    "io.k8s.apimachinery.pkg.api.resource.Quantity": _quantity,
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": _int_or_string,
    "io.k8s.apimachinery.pkg.runtime.RawExtension": _raw,
    f"{_META}FieldsV1": _raw,
    f"{_META}Time": _time,
    f"{_META}MicroTime": _micro_time,
}
