"""CEL's conversions between types, and the parts of times."""

import base64
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from marie_operator.testing.apiserver.cel import types
from marie_operator.testing.apiserver.cel.functions import function
from marie_operator.testing.apiserver.cel.types import Type
from marie_operator.testing.apiserver.cel.values import (
    INT_MAX,
    INT_MIN,
    NANOS,
    UINT_MAX,
    Duration,
    Failure,
    IpAddress,
    Network,
    Optional,
    Quantity,
    Timestamp,
    Uint,
    as_int,
    as_uint,
    parsed_duration,
    parsed_timestamp,
)

_PLAIN_DIGITS = 6
"""Numbers of more digits are written with an exponent."""


def _no_conversion(value: Any, wanted: str) -> Failure:
    given = {str: "string", float: "double"}.get(type(value), "int")
    return Failure(f"type conversion error from '{given}' to '{wanted}'")


@function("type(A): type(A)")
def _type(value: Any) -> Type:
    for kinds, found in _TYPES:
        if isinstance(value, kinds):
            return found
    raise Failure("no such overload")


_TYPES: tuple[tuple[Any, Type], ...] = (
    (bool, types.BOOL),
    (Uint, types.UINT),
    (int, types.INT),
    (float, types.DOUBLE),
    (str, types.STRING),
    (bytes, types.BYTES),
    (list, types.list_of(types.DYN)),
    (Mapping, types.map_of(types.DYN, types.DYN)),
    (type(None), types.NULL),
    (Duration, types.DURATION),
    (Timestamp, types.TIMESTAMP),
    (Type, types.type_of(types.DYN)),
    (Optional, types.optional_of(types.DYN)),
    (Quantity, types.QUANTITY),
    (IpAddress, types.IP),
    (Network, types.CIDR),
)


@function(
    *(
        f"{kind}({kind}): {kind}"
        for kind in ("bool", "bytes", "double", "int", "uint", "string", "duration", "timestamp")
    ),
    "dyn(A): dyn",
)
def _itself(value: Any) -> Any:
    return value


@function("bool(string): bool")
def _to_bool(text: str) -> bool:
    if text in {"1", "t", "T", "true", "TRUE", "True"}:
        return True
    if text in {"0", "f", "F", "false", "FALSE", "False"}:
        return False
    raise _no_conversion(text, "bool")


@function("bytes(string): bytes")
def _to_bytes(text: str) -> bytes:
    return text.encode()


@function("double(int): double", "double(uint): double", "double(string): double")
def _to_double(value: Any) -> float:
    try:
        hexadecimal = isinstance(value, str) and "0x" in value.lower()
        number = float.fromhex(value) if hexadecimal else float(value)
    except (ValueError, OverflowError) as error:
        raise _no_conversion(value, "double") from error
    if isinstance(value, str) and value != value.strip():
        raise _no_conversion(value, "double")
    return number


@function("int(uint): int", "int(double): int", "int(string): int", "int(timestamp): int", "int(duration): int")
def _to_int(value: Any) -> int:
    if isinstance(value, Timestamp):
        return value.nanos // NANOS
    if isinstance(value, Duration):
        return value.nanos
    return as_int(_whole(value, "int"))


@function("uint(int): uint", "uint(double): uint", "uint(string): uint")
def _to_uint(value: Any) -> Uint:
    return as_uint(_whole(value, "uint"))


def _whole(value: Any, wanted: str) -> int:
    if isinstance(value, str):
        sign = value[:1] if wanted == "int" and value[:1] in {"+", "-"} else ""
        if not value[len(sign) :].isascii() or not value[len(sign) :].isdigit():
            raise _no_conversion(value, wanted)
        number = int(value)
        if not INT_MIN <= number <= (INT_MAX if wanted == "int" else UINT_MAX):
            raise _no_conversion(value, wanted)
        return number
    try:
        return int(value)
    except (ValueError, OverflowError) as error:
        raise Failure("integer overflow") from error


@function("duration(string): duration", "duration(int): duration")
def _to_duration(value: Any) -> Duration:
    nanos = value if isinstance(value, int) else parsed_duration(value)
    if nanos is None:
        raise _no_conversion(value, "google.protobuf.Duration")
    return Duration.of(nanos)


@function("timestamp(string): timestamp", "timestamp(int): timestamp")
def _to_timestamp(value: Any) -> Timestamp:
    nanos = value * NANOS if isinstance(value, int) else parsed_timestamp(value)
    if nanos is None:
        raise _no_conversion(value, "google.protobuf.Timestamp")
    return Timestamp.of(nanos)


@function(*(f"string({kind}): string" for kind in ("bool", "int", "uint", "double", "bytes", "duration", "timestamp")))
def text(value: Any) -> str:
    """A value as a text."""
    match value:
        case bool():
            return "true" if value else "false"
        case float():
            return _shortest(value)
        case bytes():
            return _decoded(value)
        case Duration():
            return f"{Decimal(repr(value.nanos / NANOS)).normalize():f}s"
        case Timestamp():
            fraction = f".{value.nanos % NANOS:09d}".rstrip("0").rstrip(".")
            return f"{value.moment.strftime('%Y-%m-%dT%H:%M:%S')}{fraction}Z"
        case _:
            return str(int(value))


def _shortest(value: float) -> str:
    if value != value or value in {float("inf"), float("-inf")}:  # noqa: PLR0124 - nothing else differs from itself
        return {"nan": "NaN", "inf": "+Inf", "-inf": "-Inf"}[str(value)]
    sign, digits, point = Decimal(repr(value)).normalize().as_tuple()
    exponent = len(digits) + int(point) - 1
    if value == 0 or -5 < exponent < _PLAIN_DIGITS:
        return f"{'-' if sign else ''}{abs(Decimal(repr(value)).normalize()):f}"
    mantissa = "".join(map(str, digits))
    fraction = f".{mantissa[1:]}" if len(mantissa) > 1 else ""
    return f"{'-' if sign else ''}{mantissa[0]}{fraction}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}"


def _decoded(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise Failure("invalid UTF-8 in bytes, cannot convert to string") from error


def decoded_base64(value: str) -> bytes | None:
    """What a text in base64 says; None when it is none."""
    try:
        return base64.b64decode(value, validate=True)
    except ValueError:
        return None


# Times.


def _zoned(moment: Timestamp, zone: str = "UTC") -> datetime:
    found: Any
    if ":" in zone:
        hours, minutes = zone.removeprefix("-").removeprefix("+").split(":")
        offset = timedelta(hours=int(hours), minutes=int(minutes))
        found = timezone(-offset if zone.startswith("-") else offset)
    else:
        try:
            found = ZoneInfo(zone)
        except (ValueError, LookupError, OSError) as error:
            raise Failure(f"unknown time zone {zone}") from error
    return moment.moment.astimezone(found)


_PARTS: Mapping[str, Callable[[datetime], int]] = {
    "getFullYear": lambda moment: moment.year,
    "getMonth": lambda moment: moment.month - 1,
    "getDayOfYear": lambda moment: moment.timetuple().tm_yday - 1,
    "getDayOfMonth": lambda moment: moment.day - 1,
    "getDate": lambda moment: moment.day,
    "getDayOfWeek": lambda moment: moment.isoweekday() % 7,
    "getHours": lambda moment: moment.hour,
    "getMinutes": lambda moment: moment.minute,
    "getSeconds": lambda moment: moment.second,
    "getMilliseconds": lambda moment: moment.microsecond // 1000,
}
for _name, _part in _PARTS.items():
    function(f"timestamp.{_name}(): int", f"timestamp.{_name}(string): int")(
        lambda moment, zone="UTC", part=_part: part(_zoned(moment, zone))
    )


def _truncated(unit: int, span: Duration) -> int:
    return abs(span.nanos) // unit * (1 if span.nanos >= 0 else -1)


for _name, _unit in (("getHours", 3600 * NANOS), ("getMinutes", 60 * NANOS), ("getSeconds", NANOS)):
    function(f"duration.{_name}(): int")(partial(_truncated, _unit))


@function("duration.getMilliseconds(): int")
def _milliseconds(span: Duration) -> int:
    return _truncated(NANOS // 1000, span)
