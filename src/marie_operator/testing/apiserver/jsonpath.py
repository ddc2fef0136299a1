"""JSONPath as ``additionalPrinterColumns`` have it: fields, indexes, slices, wildcards, filters and descent."""

import operator
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
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
    | \[(?P<name>'[^']*')\]                               # a field, quoted
    | \[\s*\*\s*\]                                        # all
    | \[\s*(?P<index>-?\d+)\s*\]
    | \[\s*(?P<start>-?\d+)?\s*:\s*(?P<stop>-?\d+)?\s*(?::\s*(?P<step>\d+)\s*)?\]
    | \[\?\(\s*@(?P<left>(?:[^=!<>()'"\s]|{_QUOTED})*)\s*(?:(?P<operator>==|!=|<=|>=|<|>)\s*(?P<right>[^)]*?))?\s*\)\]
    """,
    re.VERBOSE | re.DOTALL,
)
_COMPARED: Final[Mapping[str, Callable[[Json, Json], bool]]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
}


def find(path: str, value: Json) -> list[Json]:
    """What a path leads to; nothing where it leads nowhere.

    Args:
        path: Such as ``.status.conditions[?(@.type=="Ready")].status``.
        value: Where it begins.

    Raises:
        ValueError: it is no path, or compares what cannot be compared.
    """
    return _walk(steps(path), value)


def _walk(path: Iterable[Step], value: Json) -> list[Json]:
    found = [value]
    for step in path:
        found = [each for one in found for each in step(one)]
    return found


def first(path: str, value: Json) -> Json:
    """The first of what a path leads to; MISSING where it leads nowhere."""
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
        name = match["name"]
        # Quoting does not keep dots together: they have to be escaped all the same.
        made += steps(f".{name[1:-1]}") if name is not None else [_step(match)]
        place = match.end()
    return tuple(made)


def _step(match: re.Match[str]) -> Step:
    groups = match.groupdict()
    if groups["field"] is not None:
        return _field(re.sub(r"(?s)\\(.)", r"\1", groups["field"]))
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
    def chosen(value: Json) -> Iterable[Json]:
        if not isinstance(value, list):
            return ()
        # Bounds beyond the list make it no part of the list at all, other than in Python.
        bounds = (0 if part.start is None else part.start, len(value) if part.stop is None else part.stop)
        start, stop = (bound + len(value) if bound < 0 else bound for bound in bounds)
        return value[start : stop : part.step] if 0 <= start <= stop <= len(value) else ()

    return chosen


def _all(value: Json) -> Iterable[Json]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _below(value: Json) -> Iterator[Json]:
    yield value
    for each in _all(value):
        yield from _below(each)


def _filter(left: str, compare: str | None, right: str | None) -> Step:
    path, wanted = steps(left), _literal(right or "")

    def chosen(value: Json) -> Iterator[Json]:
        for each in value if isinstance(value, list) else ():
            found = _walk(path, each)
            if found and (compare is None or _holds(found[0], compare, wanted)):
                yield each

    return chosen


def _holds(found: Json, compare: str, wanted: Json) -> bool:
    """Whether a comparison holds.

    Raises:
        ValueError: the two cannot be compared, not even a whole number with one that is not.
    """
    ordered = compare not in {"==", "!="}
    if type(found) is not type(wanted) or found is None or (ordered and isinstance(found, bool)):
        raise ValueError(f"{found!r} cannot be compared with {wanted!r}")
    return _COMPARED[compare](found, wanted)


def _literal(text: str) -> Json:
    if text[:1] in {"'", '"'}:
        return re.sub(r"(?s)\\(.)", r"\1", text[1:-1])
    if text in {"true", "false"}:
        return text == "true"
    try:
        return float(text) if "." in text else int(text)
    except ValueError:
        return text
