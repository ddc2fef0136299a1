"""Expressions of rules, and what they come to: a value that is true or false, or the error that there is none."""

from typing import Any

from tests.conformance.samples import definition

GROUP = "rules.example"
_WORD = {"type": "string", "maxLength": 20}
_POINT = {
    "type": "object",
    "required": ["x"],
    "properties": {"x": {"type": "integer"}, "y": {"type": "integer"}, "note": {**_WORD, "nullable": True}},
}
FIELDS: dict[str, Any] = {
    "s": _WORD,
    "i": {"type": "integer"},
    "n": {"type": "number"},
    "b": {"type": "boolean"},
    "l": {"type": "array", "maxItems": 5, "items": {"type": "integer"}},
    "words": {"type": "array", "maxItems": 5, "items": _WORD},
    "m": {"type": "object", "maxProperties": 5, "additionalProperties": {"type": "integer"}},
    "o": _POINT,
    "p": _POINT,
    "points": {"type": "array", "maxItems": 5, "items": _POINT},
    "set": {"type": "array", "maxItems": 5, "items": _WORD, "x-kubernetes-list-type": "set"},
    "map": {
        "type": "array",
        "maxItems": 5,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["name"],
        "items": {"type": "object", "required": ["name"], "properties": {"name": _WORD, "v": {"type": "integer"}}},
    },
    "either": {"x-kubernetes-int-or-string": True, "maxLength": 20},
    "t": {"type": "string", "format": "date-time"},
    "day": {"type": "string", "format": "date"},
    "d": {"type": "string", "format": "duration"},
    "raw": {"type": "string", "format": "byte", "maxLength": 20},
    "absent": _WORD,
    "open": {"type": "object", "x-kubernetes-preserve-unknown-fields": True, "properties": {"k": _WORD}},
    "name.with-dashes/x": _WORD,
    "namespace": _WORD,
    "__a": _WORD,
    "nothing": {**_WORD, "nullable": True},
    "inner": {"type": "object", "x-kubernetes-embedded-resource": True, "x-kubernetes-preserve-unknown-fields": True},
}
VALUES: dict[str, Any] = {
    "s": "Hello, wörld",
    "i": 7,
    "n": 2.5,
    "b": True,
    "l": [3, 1, 2],
    "words": ["b", "a", "c"],
    "m": {"one": 1, "two": 2},
    "o": {"x": 1},
    "p": {"x": 1, "y": 2},
    "points": [{"x": 1}, {"x": 2, "y": 0}],
    "set": ["b", "a"],
    "map": [{"name": "a", "v": 1}, {"name": "b", "v": 2}],
    "either": "10%",
    "t": "2026-02-28T23:59:59.123456Z",
    "day": "2026-02-28",
    "d": "1h30m",
    "raw": "aGk=",
    "open": {"k": "v", "z": 1},
    "name.with-dashes/x": "escaped",
    "namespace": "reserved",
    "__a": "underscores",
    "nothing": None,
    "inner": {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}},
}
# By expression: true, false, or an error that is told. Macros, operators, functions; what is there, and what is not.
CASES: dict[str, bool | str] = {}


def rules(cases: dict[str, Any]) -> list[dict[str, Any]]:
    """Rules of which each object picks one."""
    return [{"rule": f"self.pick != {number} || ({text})"} for number, text in enumerate(cases)]


def kind(cases: dict[str, Any]) -> dict[str, Any]:
    """The definition that all the expressions are in."""
    spec = {
        "type": "object",
        "required": ["pick"],
        "properties": {"pick": {"type": "integer"}, **FIELDS},
        "x-kubernetes-validations": rules(cases),
    }
    return definition("rulings", "Ruling", spec, group=GROUP)
