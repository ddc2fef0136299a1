"""CEL's own operators and functions."""

import math
import operator
from collections.abc import Mapping
from typing import Any

from marie_operator.testing.apiserver.cel.functions import function
from marie_operator.testing.apiserver.cel.values import (
    Duration,
    Failure,
    Timestamp,
    Uint,
    as_int,
    as_uint,
    compared,
    equal,
)
from marie_operator.testing.apiserver.crd import regexp

# Operators.


@function("_?_:_(bool, A, A): A", "_&&_(bool, bool): bool", "_||_(bool, bool): bool")
def _lazy(*_: Any) -> Any:
    raise TypeError("the evaluation looks at the operands itself")


@function("!_(bool): bool")
def _negated(value: bool) -> bool:
    return not value


@function("_==_(A, A): bool")
def _same(one: Any, other: Any) -> bool:
    return equal(one, other)


@function("_!=_(A, A): bool")
def _different(one: Any, other: Any) -> bool:
    return not equal(one, other)


_ORDERED = [
    *((kind, kind) for kind in ("bool", "int", "uint", "double", "string", "bytes", "timestamp", "duration")),
    *((one, other) for one in ("int", "uint", "double") for other in ("int", "uint", "double") if one != other),
]
for _name, _holds in (("<", operator.lt), ("<=", operator.le), (">", operator.gt), (">=", operator.ge)):
    function(*(f"_{_name}_({one}, {other}): bool" for one, other in _ORDERED))(
        lambda one, other, holds=_holds: holds(compared(one, other), 0)
    )


for _symbol, _apply in (("+", operator.add), ("-", operator.sub), ("*", operator.mul)):
    for _kind, _made in (("int", as_int), ("uint", as_uint), ("double", float)):
        function(f"_{_symbol}_({_kind}, {_kind}): {_kind}")(
            lambda one, other, apply=_apply, made=_made: made(apply(one, other))
        )


@function("_/_(int, int): int", "_/_(uint, uint): uint")
def _divided(one: int, other: int) -> int:
    if other == 0:
        raise Failure("division by zero")
    found = abs(one) // abs(other) * (1 if (one < 0) == (other < 0) else -1)
    return Uint(found) if isinstance(one, Uint) else as_int(found)


@function("_/_(double, double): double")
def _divided_double(one: float, other: float) -> float:
    if other != 0:
        return one / other
    if one == 0 or math.isnan(one):
        return math.nan
    return math.copysign(math.inf, one) * math.copysign(1, other)


@function("_%_(int, int): int", "_%_(uint, uint): uint")
def _remainder(one: int, other: int) -> int:
    if other == 0:
        raise Failure("modulus by zero")
    found = abs(one) % abs(other) * (1 if one >= 0 else -1)
    return Uint(found) if isinstance(one, Uint) else found


@function("-_(int): int")
def _minus(value: int) -> int:
    return as_int(-value)


@function("-_(double): double")
def _minus_double(value: float) -> float:
    return -value


@function("_+_(string, string): string", "_+_(bytes, bytes): bytes")
def _concatenated(one: Any, other: Any) -> Any:
    return one + other


@function("_+_(duration, duration): duration")
def _longer(one: Duration, other: Duration) -> Duration:
    return Duration.of(one.nanos + other.nanos)


@function("_+_(duration, timestamp): timestamp", "_+_(timestamp, duration): timestamp")
def _later(one: Any, other: Any) -> Timestamp:
    return Timestamp.of(one.nanos + other.nanos)


@function("_-_(duration, duration): duration", "_-_(timestamp, timestamp): duration")
def _between(one: Any, other: Any) -> Duration:
    return Duration.of(one.nanos - other.nanos)


@function("_-_(timestamp, duration): timestamp")
def _earlier(one: Timestamp, other: Duration) -> Timestamp:
    return Timestamp.of(one.nanos - other.nanos)


@function("@in(A, list(A)): bool")
def _in_list(value: Any, elements: list[Any]) -> bool:
    return any(equal(value, element) for element in elements)


@function("@in(A, map(A, B)): bool")
def _in_map(key: Any, entries: Mapping[Any, Any]) -> bool:
    return not isinstance(key, list | dict) and key in entries


@function(
    *(f"size({kind}): int" for kind in ("string", "bytes", "list(A)", "map(A, B)")),
    *(f"{kind}.size(): int" for kind in ("string", "bytes", "list(A)", "map(A, B)")),
)
def _size(value: Any) -> int:
    return len(value)


# Texts.


@function("string.contains(string): bool")
def _contains(text: str, part: str) -> bool:
    return part in text


@function("string.startsWith(string): bool")
def _starts(text: str, part: str) -> bool:
    return text.startswith(part)


@function("string.endsWith(string): bool")
def _ends(text: str, part: str) -> bool:
    return text.endswith(part)


def is_pattern(text: str) -> bool:
    """Whether a text is a regular expression."""
    try:
        return bool(regexp.compiled(text)) or True
    except regexp.Malformed:
        return False


@function("matches(string, string): bool", "string.matches(string): bool")
def _matches(text: str, pattern: str) -> bool:
    try:
        return regexp.compiled(pattern).search(text) is not None
    except regexp.Malformed as error:
        raise Failure(f"error parsing regexp: {error}") from error
