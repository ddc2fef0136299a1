"""Objects as ``meta.k8s.io/v1`` Tables, which kubectl prints."""

import json
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from marie_operator.testing.apiserver import jsonpath
from marie_operator.testing.apiserver.builtin import find_builtin
from marie_operator.testing.apiserver.discovery import Kind
from marie_operator.testing.apiserver.errors import Json, Object, Refusal, quoted
from marie_operator.testing.apiserver.printers import PRINTERS, Printer, column, printer
from marie_operator.testing.apiserver.printers.age import Since, since
from marie_operator.testing.apiserver.printers.shapes import Cells, meta, name

_PLAIN = printer("Name,Created At:date", lambda obj, _: [name(obj), meta(obj).get("creationTimestamp")])
_AGE: Object = {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}


def table(kind: Kind, objects: Iterable[Object], *, now: datetime, include: str = "Metadata") -> Object:
    """A table of some objects.

    Args:
        kind: What they are.
        objects: In the order of the rows, with ``apiVersion`` and ``kind``.
        now: For ages.
        include: What each row carries of its object: ``Metadata``, ``Object`` or ``None``.

    Raises:
        Refusal: 400, there is no such choice.
    """
    if include not in {"", "Metadata", "Object", "None"}:
        why = f"includeObject: Invalid value: {quoted(include)}: must be 'Metadata', 'Object', 'None', or empty"
        raise Refusal(400, f"Unable to convert to Table as requested: {why}")
    chosen = _printer(kind)
    age = since(now)
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": {},
        "columnDefinitions": list(chosen.columns),
        "rows": [_row(chosen, each, age, include) for each in objects],
    }


def _printer(kind: Kind) -> Printer:
    found = PRINTERS.get((kind.group, kind.kind))
    if found is not None:
        return found
    return _PLAIN if find_builtin(kind.group, kind.version, kind.plural) else _custom(kind)


def _row(chosen: Printer, obj: Object, age: Since, include: str) -> Object:
    row: Object = {"cells": chosen.cells(obj, age)}
    if chosen.conditions and (conditions := chosen.conditions(obj)):
        row["conditions"] = conditions
    return row | {"object": _included(obj, include)}


def _included(obj: Object, include: str) -> Object | None:
    if include == "Object":
        return obj
    if include == "None":
        return None
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": obj["metadata"]}


def _custom(kind: Kind) -> Printer:
    """Prints the columns that a CRD defines."""
    found: list[Any] = list(kind.columns or (_AGE,))
    wanted = [(each["type"], each["jsonPath"]) for each in found]

    def cells(obj: Object, age: Since) -> Cells:
        return [name(obj), *(_cell(type_, jsonpath.first(path, obj), age) for type_, path in wanted)]

    return Printer([column("Name", "string"), *map(_definition, found)], cells)


def _definition(found: Any) -> Object:
    told = found.get("description") or f"Custom resource definition column (in JSONPath format): {found['jsonPath']}"
    made = column(found["name"], found["type"], description=told, priority=found.get("priority", 0))
    return made | {"format": found.get("format", "")}


def _cell(type_: str, value: Json, age: Since) -> Json:
    """A value as its column's type wants it; None where it is of another type."""
    if value is jsonpath.MISSING:
        return None
    convert = _CELLS.get(type_)
    return convert(value, age) if convert else None


def _text(value: Json, _: Since) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return _decimal(value)
    if value is None:
        return "<no value>"
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, sort_keys=True)
    # As Go encodes JSON: harmless in a page.
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _decimal(value: float) -> str:
    """A number as Go prints it: with an exponent from a million on, but for whole ones, which are stored as such."""
    if value.is_integer() and abs(value) < 1e21:
        return str(int(value))
    exact = Decimal(repr(value)).normalize()
    exponent = exact.adjusted()
    return f"{exact:f}" if -4 <= exponent < 6 else f"{exact.scaleb(-exponent):f}e{exponent:+03d}"


def _integer(value: Json, _: Since) -> int | None:
    return int(value) if _is_number(value) else None


def _number(value: Json, _: Since) -> float | None:
    return value if _is_number(value) else None


def _is_number(value: Json) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _boolean(value: Json, _: Since) -> bool | None:
    return value if isinstance(value, bool) else None


def _date(value: Json, age: Since) -> str | None:
    if not isinstance(value, str):
        return None
    try:
        return age(value)
    except ValueError:
        return "<invalid>"


_CELLS: Mapping[str, Callable[[Json, Since], Json]] = {
    "string": _text,
    "integer": _integer,
    "number": _number,
    "boolean": _boolean,
    "date": _date,
}
