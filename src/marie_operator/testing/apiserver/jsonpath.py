"""JSONPath as ``additionalPrinterColumns`` have it: fields, indexes, slices, wildcards, filters and descent."""

import re
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import Final

from marie_operator.testing.apiserver.errors import Json

MISSING: Final = object()

Step = Callable[[Json], Iterable[Json]]

_QUOTED = r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\""
_TOKEN: Final = re.compile(
    rf"""
      \.\.                                                # everything below
    | \.?\*                                               # all
    | \.?(?P<field>(?:[^\\.\[\]*?()'"\s]|\\.)+)           # a field, dots in it escaped
    | \[\s*(?P<name>{_QUOTED})\s*\]                       # a field, quoted
    | \[\s*\*\s*\]                                        # all
    | \[\s*(?P<index>-?\d+)\s*\]
    | \[\s*(?P<start>-?\d+)?\s*:\s*(?P<stop>-?\d+)?\s*(?::\s*(?P<step>\d+)\s*)?\]
    | \[\?\(\s*@(?P<left>(?:[^=!<>()'"\s]|{_QUOTED})*)\s*(?:(?P<operator>==|!=|<=|>=|<|>)\s*(?P<right>[^)]*?))?\s*\)\]
    """,
    re.VERBOSE,
)
_COMPARED: Final[dict[str, Callable[[Json, Json], bool]]] = {
    "==": lambda left, right: bool(left == right),
    "!=": lambda left, right: bool(left != right),
    "<": lambda left, right: bool(left < right),
    ">": lambda left, right: bool(left > right),
    "<=": lambda left, right: bool(left <= right),
    ">=": lambda left, right: bool(left >= right),
}


def find(path: str, value: Json) -> list[Json]:
    """What a path leads to; nothing where it leads nowhere.

    Args:
        path: Such as ``.status.conditions[?(@.type=="Ready")].status``.
        value: Where it begins.

    Raises:
        ValueError: it is no path.
    """
    found = [value]
    for step in steps(path):
        found = [each for one in found for each in step(one)]
    return found


def first(path: str, value: Json) -> Json:
    """The first of what a path leads to; MISSING where it leads nowhere, or is no path."""
    try:
        return next(iter(find(path, value)), MISSING)
    except ValueError:
        return MISSING


@lru_cache(maxsize=1024)
def steps(path: str) -> tuple[Step, ...]:
    """The steps of a path, each from one value to some.

    Raises:
        ValueError: it is no path.
    """
    made: list[Step] = []
    place = 1 if path.startswith("$") else 0
    if path[place:] == ".":
        return ()
    while place < len(path):
        match = _TOKEN.match(path, place)
        if match is None:
            raise ValueError(f"unrecognized path {path!r}")
        made.append(_step(match))
        place = match.end()
    return tuple(made)


def _step(match: re.Match[str]) -> Step:
    groups = match.groupdict()
    field = groups["field"] if groups["name"] is None else groups["name"][1:-1]
    if field is not None:
        return _field(re.sub(r"\\(.)", r"\1", field))
    if groups["index"] is not None:
        return _index(int(groups["index"]))
    if groups["left"] is not None:
        return _filter(groups["left"], groups["operator"], groups["right"])
    if match[0] == "..":
        return _below
    if ":" in match[0]:
        bounds = (int(groups[each]) if groups[each] else None for each in ("start", "stop", "step"))
        return _slice(slice(*bounds))
    return _all


def _field(name: str) -> Step:
    return lambda value: (value[name],) if isinstance(value, dict) and name in value else ()


def _index(number: int) -> Step:
    return lambda value: value[number:][:1] if isinstance(value, list) and -len(value) <= number < len(value) else ()


def _slice(part: slice) -> Step:
    return lambda value: value[part] if isinstance(value, list) else ()


def _all(value: Json) -> Iterable[Json]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _below(value: Json) -> Iterator[Json]:
    yield value
    for each in _all(value):
        yield from _below(each)


def _filter(left: str, operator: str | None, right: str | None) -> Step:
    path = steps(left)
    compared, wanted = _COMPARED.get(operator or ""), _literal(right or "")

    def chosen(value: Json) -> Iterator[Json]:
        for each in value if isinstance(value, list) else ():
            found = [each]
            for step in path:
                found = [one for before in found for one in step(before)]
            if found and (compared is None or (_comparable(found[0], wanted) and compared(found[0], wanted))):
                yield each

    return chosen


def _comparable(found: Json, wanted: Json) -> bool:
    if isinstance(found, bool) or isinstance(wanted, bool):
        return isinstance(found, bool) and isinstance(wanted, bool)
    if isinstance(found, str) or isinstance(wanted, str):
        return isinstance(found, str) and isinstance(wanted, str)
    return isinstance(found, int | float) and isinstance(wanted, int | float)


def _literal(text: str) -> Json:
    if text[:1] in {"'", '"'}:
        return re.sub(r"\\(.)", r"\1", text[1:-1])
    if text in {"true", "false"}:
        return text == "true"
    try:
        return float(text) if "." in text else int(text)
    except ValueError:
        return text
