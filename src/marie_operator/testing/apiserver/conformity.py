"""Whether an applied object has the form that its schema says, and how structured-merge-diff tells that it has not."""

from collections.abc import Mapping

from marie_operator.testing.apiserver.errors import Json
from marie_operator.testing.apiserver.fieldset import Path, display, encoded
from marie_operator.testing.apiserver.merging import Unkeyed, element
from marie_operator.testing.apiserver.schema import ANY, Schema

_SCALARS = {"integer": "numeric", "number": "numeric", "boolean": "boolean", "string": "string"}

_PLAIN: Mapping[str, frozenset[type]] = {
    "string": frozenset({str}),
    "integer": frozenset({int, float}),
    "number": frozenset({int, float}),
    "boolean": frozenset({bool}),
}
"""What needs no further look."""


def mismatches(value: Json, schema: Schema) -> list[str]:
    """What is wrong with an object: fields that are not known, values of other types, repeated items."""
    found: list[str] = []
    _check(value, schema, (), found)
    return found


def told(mistakes: list[str]) -> str:
    """All mistakes in one text."""
    return mistakes[0] if len(mistakes) == 1 else "\n  ".join(["errors:", *mistakes])


def _check(value: Json, schema: Schema, path: Path, found: list[str]) -> None:
    kind = schema.type
    if value is None:
        return
    if isinstance(value, dict | list) and _is_quantity(schema):
        _tell(path, f"expected any scalar, got &{{{go(value)}}}", found)
    elif isinstance(value, dict) and kind in {"object", ""}:
        _check_map(value, schema, path, found)
    elif isinstance(value, list) and kind in {"array", ""}:
        _check_list(value, schema, path, found)
    elif kind in {"object", "array"}:
        _tell(path, f"expected {'map' if kind == 'object' else 'list'}, got &{{{go(value)}}}", found)
    elif kind and (message := _wrong_scalar(value, schema)):
        _tell(path, message, found)


def _tell(path: Path, message: str, found: list[str]) -> None:
    found.append(f"{display(path)}: {message}" if path else message)


def _is_quantity(schema: Schema) -> bool:
    """Whether it is what may be written as a string or as a number."""
    options = schema.node.get("oneOf") or ()
    return (
        not schema.type
        and "format" not in schema.node
        and {each.get("type") for each in options} == {"string", "number"}
    )


def _wrong_scalar(value: Json, schema: Schema) -> str:
    expected = _SCALARS.get(schema.type, "")
    if expected == "numeric" and (isinstance(value, bool) or not isinstance(value, int | float)):
        return f"expected numeric (int or float), got {_go_type(value)}"
    if expected == "boolean" and not isinstance(value, bool):
        return f"expected boolean, got &{{{go(value)}}}"
    if expected == "string":
        # Strings of a format may be written in other ways, such as quantities as numbers.
        if schema.node.get("format", "byte") != "byte":
            return f"expected any scalar, got &{{{go(value)}}}" if isinstance(value, dict | list) else ""
        if not isinstance(value, str):
            return f"expected string, got &value.valueUnstructured{{Value:{_go_syntax(value)}}}"
    return ""


def _check_map(value: dict[str, Json], schema: Schema, path: Path, found: list[str]) -> None:
    fields = schema.fields
    for name, each in value.items():
        known = fields.get(name) or schema.owned(name)
        if known is None:
            _tell((*path, f"f:{name}"), "field not declared in schema", found)
            return
        if each.__class__ not in _PLAIN.get(known.type, ()):
            _check(each, known, (*path, f"f:{name}"), found)


def _check_list(value: list[Json], schema: Schema, path: Path, found: list[str]) -> None:
    items, seen = schema.items or ANY, set()
    for index, each in enumerate(value):
        key = f"i:{index}"
        if schema.granular:
            try:
                key = element(each, schema)
            except Unkeyed as error:
                _tell(path, f"element {index}: {error}", found)
                return
            if key in seen:
                _tell(path, f"duplicate entries for key {display((key,))}", found)
            seen.add(key)
        if each.__class__ not in _PLAIN.get(items.type, ()):
            _check(each, items, (*path, key), found)


def go(value: Json) -> str:
    """A value as Go prints it."""
    if value is None:
        return "<nil>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "map[" + " ".join(f"{name}:{go(value[name])}" for name in sorted(value)) + "]"
    if isinstance(value, list):
        return "[" + " ".join(map(go, value)) + "]"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _go_type(value: Json) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, dict):
        return "map[string]interface {}"
    if isinstance(value, list):
        return "[]interface {}"
    return "string" if isinstance(value, str) else type(value).__name__


def _go_syntax(value: Json) -> str:
    """A value as Go writes it in source code."""
    if isinstance(value, str):
        return encoded(value)
    if isinstance(value, dict):
        return (
            "map[string]interface {}{"
            + ", ".join(f'"{name}":{_go_syntax(value[name])}' for name in sorted(value))
            + "}"
        )
    if isinstance(value, list):
        return "[]interface {}{" + ", ".join(map(_go_syntax, value)) + "}"
    return "interface {}(nil)" if value is None else go(value)
