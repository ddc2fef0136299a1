"""Values of CEL beside those that Python has: what they are, when they are equal, which comes first."""

import ipaddress
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from marie_operator.testing.apiserver.cel.types import Type

INT_MIN, INT_MAX, UINT_MAX = -(2**63), 2**63 - 1, 2**64 - 1
NANOS: Final = 10**9
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST, _LAST = -62135596800 * NANOS, 253402300799 * NANOS + NANOS - 1
_DURATION_PART = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)")
_UNITS = {"ns": 1, "us": 1000, "µs": 1000, "μs": 1000, "ms": 10**6, "s": NANOS, "m": 60 * NANOS, "h": 3600 * NANOS}
_RFC3339 = re.compile(r"(\d{4}-\d{2}-\d{2})T(\d{2}:\d{2}:\d{2})(?:[.,](\d+))?(Z|[+-]\d{2}:\d{2})")


class Failure(Exception):  # noqa: N818 - what an evaluation comes to
    """An evaluation has no value."""


_PLAIN = frozenset({"startsWith", "endsWith", "contains", "matches"})


def no_overload(function: str = "", given: Iterable[Any] = ()) -> Failure:
    """A function was called with values that it does not know."""
    if function == "size":
        return Failure("no such overload: size")
    if not function.replace(".", "").isalnum() or function in _PLAIN:
        return Failure("no such overload")
    return Failure(f"no such overload: {function}({', '.join(map(type_name, given))})")


def type_name(value: Any) -> str:
    """What CEL calls the type of a value."""
    names = {bool: "bool", int: "int", float: "double", str: "string", bytes: "bytes", Uint: "uint"}
    if isinstance(value, Mapping):
        return "map"
    return "list" if isinstance(value, list) else names.get(type(value), "null_type")


class Uint(int):
    """A whole number that is never negative."""

    __slots__ = ()


def as_int(value: int) -> int:
    """A whole number that there can be."""
    if not INT_MIN <= value <= INT_MAX:
        raise Failure("integer overflow")
    return int(value)


def as_uint(value: int) -> Uint:
    """A whole number that is never negative and that there can be."""
    if not 0 <= value <= UINT_MAX:
        raise Failure("unsigned integer overflow")
    return Uint(value)


@dataclass(frozen=True, slots=True)
class Duration:
    """A time span, in nanoseconds."""

    nanos: int

    @classmethod
    def of(cls, nanos: int) -> "Duration":
        """A span that there can be."""
        if not INT_MIN <= nanos <= INT_MAX:
            raise Failure("duration overflow")
        return cls(nanos)


@dataclass(frozen=True, slots=True)
class Timestamp:
    """A moment, in nanoseconds since 1970."""

    nanos: int

    @classmethod
    def of(cls, nanos: int) -> "Timestamp":
        """A moment that there can be."""
        if not _FIRST <= nanos <= _LAST:
            raise Failure("timestamp overflow")
        return cls(nanos)

    @property
    def moment(self) -> datetime:
        """To the microsecond."""
        return _EPOCH + timedelta(microseconds=self.nanos // 1000)


def parsed_duration(text: str) -> int | None:
    """Nanoseconds of a span such as ``1h30m``; None when it is none."""
    sign = -1 if text.startswith("-") else 1
    body = text.removeprefix("-") if sign < 0 else text.removeprefix("+")
    if body == "0":
        return 0
    total, last = Decimal(0), 0
    for found in _DURATION_PART.finditer(body):
        if found.start() != last:
            return None
        total, last = total + Decimal(found[1]) * _UNITS[found[2]], found.end()
    nanos = sign * int(total)
    return nanos if last and last == len(body) and INT_MIN <= nanos <= INT_MAX else None


def parsed_timestamp(text: str) -> int | None:
    """Nanoseconds since 1970 of a moment in RFC 3339; None when it is none."""
    found = _RFC3339.fullmatch(text)
    if found is None:
        return None
    zone = "+00:00" if found[4] == "Z" else found[4]
    try:
        moment = datetime.fromisoformat(f"{found[1]}T{found[2]}{zone}")
    except ValueError:
        return None
    return int((moment - _EPOCH).total_seconds()) * NANOS + int((found[3] or "0").ljust(9, "0")[:9])


@dataclass(frozen=True, slots=True)
class Optional:
    """What may hold a value."""

    held: bool
    value: Any = None


NONE: Final = Optional(held=False)


@dataclass(frozen=True, slots=True)
class Quantity:
    """An amount, such as ``500m`` or ``1Gi``."""

    amount: Decimal


IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Interface | ipaddress.IPv6Interface


class Items(list[Any]):
    """A list of an object: of those that are sets or maps, the order does not matter.

    Args:
        elements: As rules see them.
        raw: As they are stored.
        keys: The fields that tell them apart; None for a set.
    """

    __slots__ = ("keys", "raw")

    def __init__(self, elements: list[Any], raw: list[Any], keys: tuple[str, ...] | None) -> None:
        super().__init__(elements)
        self.raw = raw
        self.keys = keys

    def key(self, element: Any) -> Any:
        """What tells an element apart."""
        if self.keys is None:
            return _hashable(element)
        known = element if isinstance(element, Mapping) else {}
        return tuple(_hashable(known.get(key)) for key in self.keys)


def _hashable(value: Any) -> Any:
    return repr(value) if isinstance(value, dict | list) else value


class Struct(Mapping[str, Any]):
    """An object with named fields, some of which may be absent.

    Args:
        raw: As it is stored.
        names: What each field that rules can name is called there.
        lift: Makes of a stored field what rules see.
    """

    __slots__ = ("_lift", "_names", "_seen", "raw")

    def __init__(self, raw: dict[str, Any], names: Mapping[str, str], lift: Callable[[str, Any], Any]) -> None:
        self.raw = raw
        self._names = names
        self._lift = lift
        self._seen: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._seen:
            stored = self._names[name]
            if self.raw[stored] is None:
                raise KeyError(name)
            self._seen[name] = self._lift(stored, self.raw[stored])
        return self._seen[name]

    def __contains__(self, name: object) -> bool:
        return self.raw.get(self._names.get(str(name), ""), None) is not None

    def __iter__(self) -> Iterator[str]:
        return (name for name in self._names if name in self)

    def __len__(self) -> int:
        return len(self.raw)


# Equality and order.


def equal(one: Any, other: Any) -> bool:
    """Whether two values are the same; numbers are by what they amount to."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, int | float) and isinstance(other, int | float):
        return bool(one == other)
    for kind, same in _SAME:
        if isinstance(one, kind) and isinstance(other, kind):
            return same(one, other)
    return type(one) is type(other) and bool(one == other)


def _equal_lists(one: list[Any], other: list[Any]) -> bool:
    if len(one) != len(other):
        return False
    if isinstance(one, Items):
        mine = {one.key(raw): element for raw, element in zip(one.raw, one, strict=True)}
        raw = other.raw if isinstance(other, Items) else other
        keys = [one.key(each) for each in raw]
        return all(key in mine and equal(mine[key], element) for key, element in zip(keys, other, strict=True))
    return all(equal(first, second) for first, second in zip(one, other, strict=True))


def _equal_maps(one: Mapping[Any, Any], other: Mapping[Any, Any]) -> bool:
    if isinstance(one, Struct) and isinstance(other, Struct):
        if len(one) != len(other):
            return False
        unknown = [name for name in one.raw if name not in set(one._names.values())]
        same = all(one.raw[name] == other.raw[name] for name in unknown if name in other.raw)
        return same and all((name in other) and equal(one[name], other[name]) for name in one)
    if len(one) != len(other):
        return False
    return all(key in other and equal(one[key], other[key]) for key in one)


def _equal_optionals(one: Optional, other: Optional) -> bool:
    return one.held == other.held and (not one.held or equal(one.value, other.value))


def _equal_types(one: Type, other: Type) -> bool:
    return (one.kind, one.name) == (other.kind, other.name)


_SAME: tuple[tuple[Any, Callable[[Any, Any], bool]], ...] = (
    (list, _equal_lists),
    (Mapping, _equal_maps),
    (Optional, _equal_optionals),
    (Type, _equal_types),
)


def compared(one: Any, other: Any) -> int:
    """Negative when the first comes first, zero for the same, positive otherwise.

    Raises:
        Failure: they cannot be compared.
    """
    numbers = all(isinstance(each, int | float) and not isinstance(each, bool) for each in (one, other))
    if numbers or (type(one) is type(other) and isinstance(one, str | bytes | bool)):
        return int(one > other) - int(one < other)
    if type(one) is type(other) and isinstance(one, Duration | Timestamp):
        return int(one.nanos > other.nanos) - int(one.nanos < other.nanos)
    raise no_overload()
