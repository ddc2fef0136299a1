"""An OpenAPI document of version 2 in protobuf, as kubectl reads it: the messages of gnostic's ``OpenAPIv2.proto``.

What those messages have and documents of an API server never tell is left out.
"""

import json
import struct
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from marie_operator.testing.apiserver.errors import Json, Object

MEDIA_TYPES: Final = (
    "application/com.github.proto-openapi.spec.v2.v1.0+protobuf",
    "application/com.github.proto-openapi.spec.v2@v1.0+protobuf",
)
"""What clients call it: the right name and the old one."""

Write = Callable[[int, Json], bytes]
"""Writes a value as the field of a number."""


def encoded(document: Object) -> bytes:
    """A document of version 2."""
    return _message(document, _DOCUMENT)


# What is on the wire.


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)


def _bytes(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _text(number: int, value: Json) -> bytes:
    return _bytes(number, str(value).encode()) if value else b""


def _texts(number: int, values: Json) -> bytes:
    return b"".join(_bytes(number, str(each).encode()) for each in ([values] if isinstance(values, str) else values))


def _truth(number: int, value: Json) -> bytes:
    return _varint(number << 3) + b"\x01" if value else b""


def _whole(number: int, value: Json) -> bytes:
    return _varint(number << 3) + _varint(int(value)) if value else b""


def _double(number: int, value: Json) -> bytes:
    return _varint(number << 3 | 1) + struct.pack("<d", value) if value else b""


def _any(number: int, value: Json) -> bytes:
    """A value of no type, which is text; JSON is YAML."""
    return _bytes(number, _bytes(2, json.dumps(value).encode()))


def _anys(number: int, values: Json) -> bytes:
    return b"".join(_any(number, each) for each in values)


# Messages.


def _message(value: Mapping[str, Json], fields: Mapping[str, tuple[int, Write]], *, extensions: int = 0) -> bytes:
    """A message; fields that the format knows nothing of go among its extensions."""
    found = [fields[name][1](fields[name][0], given) for name, given in value.items() if name in fields]
    if extensions:
        found += (
            _bytes(extensions, _text(1, name) + _any(2, given)) for name, given in value.items() if name[:2] == "x-"
        )
    return b"".join(found)


def _named(number: int, values: Mapping[str, Json], write: Write) -> bytes:
    return b"".join(_bytes(number, _text(1, name) + write(2, value)) for name, value in values.items())


def _schema(number: int, value: Json) -> bytes:
    return _bytes(number, _message(value, _SCHEMA, extensions=31))


def _schemas(number: int, values: Json) -> bytes:
    return _bytes(number, _named(1, values, _schema))


def _items(number: int, value: Json) -> bytes:
    return _bytes(number, _schema(1, value))


def _additional(number: int, value: Json) -> bytes:
    return _bytes(number, _schema(1, value) if isinstance(value, Mapping) else _truth(2, value))


def _type(number: int, value: Json) -> bytes:
    return _bytes(number, _texts(1, value))


def _info(number: int, value: Json) -> bytes:
    return _bytes(number, _message(value, {"title": (1, _text), "version": (2, _text)}))


def _paths(number: int, values: Json) -> bytes:
    return _bytes(number, _named(2, values, lambda place, item: _bytes(place, _message(item, _PATH, extensions=10))))


def _operation(number: int, value: Json) -> bytes:
    return _bytes(number, _message(value, _OPERATION, extensions=13))


def _responses(number: int, values: Json) -> bytes:
    return _bytes(number, _named(1, values, _response))


def _response(number: int, value: Json) -> bytes:
    content = _text(1, value["description"])
    if "schema" in value:
        content += _bytes(2, _schema(1, value["schema"]))
    return _bytes(number, _bytes(1, content))


def _parameters(number: int, values: Iterable[Json]) -> bytes:
    # Each is an item of a list of parameters or references, and a parameter of the body or of something else.
    return b"".join(_bytes(number, _bytes(1, _parameter(each))) for each in values)


def _parameter(value: Json) -> bytes:
    if value["in"] == "body":
        return _bytes(1, _message(value, _BODY, extensions=6))
    place, fields = (4, _IN_PATH) if value["in"] == "path" else (3, _IN_QUERY)
    return _bytes(2, _bytes(place, _message(value, fields)))


_SCHEMA: Final[Mapping[str, tuple[int, Write]]] = {
    "$ref": (1, _text),
    "format": (2, _text),
    "title": (3, _text),
    "description": (4, _text),
    "multipleOf": (6, _double),
    "maximum": (7, _double),
    "exclusiveMaximum": (8, _truth),
    "minimum": (9, _double),
    "exclusiveMinimum": (10, _truth),
    "maxLength": (11, _whole),
    "minLength": (12, _whole),
    "pattern": (13, _text),
    "maxItems": (14, _whole),
    "minItems": (15, _whole),
    "uniqueItems": (16, _truth),
    "maxProperties": (17, _whole),
    "minProperties": (18, _whole),
    "required": (19, _texts),
    "enum": (20, _anys),
    "additionalProperties": (21, _additional),
    "type": (22, _type),
    "items": (23, _items),
    "properties": (25, _schemas),
}
_BODY: Final[Mapping[str, tuple[int, Write]]] = {
    "name": (2, _text),
    "in": (3, _text),
    "required": (4, _truth),
    "schema": (5, _schema),
}
_ANYWHERE: Final[Mapping[str, tuple[int, Write]]] = {"required": (1, _truth), "in": (2, _text), "name": (4, _text)}
_IN_PATH: Final[Mapping[str, tuple[int, Write]]] = {**_ANYWHERE, "type": (5, _text), "uniqueItems": (19, _truth)}
_IN_QUERY: Final[Mapping[str, tuple[int, Write]]] = {**_ANYWHERE, "type": (6, _text), "uniqueItems": (20, _truth)}
_OPERATION: Final[Mapping[str, tuple[int, Write]]] = {
    "tags": (1, _texts),
    "operationId": (5, _text),
    "produces": (6, _texts),
    "consumes": (7, _texts),
    "parameters": (8, _parameters),
    "responses": (9, _responses),
}
_PATH: Final[Mapping[str, tuple[int, Write]]] = {
    "get": (2, _operation),
    "put": (3, _operation),
    "post": (4, _operation),
    "delete": (5, _operation),
    "patch": (8, _operation),
    "parameters": (9, _parameters),
}
_DOCUMENT: Final[Mapping[str, tuple[int, Write]]] = {
    "swagger": (1, _text),
    "info": (2, _info),
    "paths": (8, _paths),
    "definitions": (9, _schemas),
}
