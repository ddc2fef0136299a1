"""What Go's types say of the fields of built-in kinds, from ``protobuf.json``; see hack/protobuf_numbers.py."""

import json
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Final

MARKS: Final = "?~!^"
"""What may stand before the name of a field."""
DROPPED: Final = frozenset("?~")
"""The marks of fields that are not written when they are zero."""


@cache
def marked() -> Mapping[str, Mapping[str, Any]]:
    """By definition: the fields by number, each with its mark."""
    found: Mapping[str, Mapping[str, Any]] = json.loads((files(__package__) / "protobuf.json").read_bytes())
    return found


@cache
def marks_of(definition: str) -> Mapping[str, str]:
    """The marks of a definition's fields, those of embedded types among them; empty for most pointers."""
    return {each.lstrip(MARKS): each[0] if each[0] in MARKS else "" for each in _names(marked().get(definition, {}))}


def _names(fields: Mapping[str, Any]) -> Iterator[str]:
    for each in fields.values():
        if isinstance(each, Mapping):
            yield from _names(each)
        else:
            yield each
