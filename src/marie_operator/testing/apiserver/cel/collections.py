"""Functions on lists, sets and optional values that Kubernetes offers beside those of CEL."""

from collections.abc import Mapping
from functools import cmp_to_key
from itertools import pairwise
from operator import itemgetter
from typing import Any

from marie_operator.testing.apiserver.cel.functions import function
from marie_operator.testing.apiserver.cel.values import (
    NONE,
    Duration,
    Failure,
    Items,
    Optional,
    Struct,
    Timestamp,
    Uint,
    compared,
    equal,
)

_COMPARABLE = ("int", "uint", "double", "bool", "duration", "timestamp", "string", "bytes")


@function("_+_(list(A), list(A)): list(A)")
def _concatenated(one: list[Any], other: list[Any]) -> list[Any]:
    """Of lists that are sets or maps, what is new takes the place of what was there."""
    if not isinstance(one, Items):
        return [*one, *other]
    raw_other = other.raw if isinstance(other, Items) else list(other)
    places = {one.key(raw): index for index, raw in enumerate(one.raw)}
    elements, stored = list(one), list(one.raw)
    for element, raw in zip(other, raw_other, strict=True):
        key = one.key(raw)
        if key not in places:
            places[key] = len(elements)
            elements.append(element)
            stored.append(raw)
        elif one.keys is not None:
            elements[places[key]], stored[places[key]] = element, raw
    return Items(elements, stored, one.keys)


@function("_[_](list(A), int): A")
def _element(elements: list[Any], index: int) -> Any:
    if not 0 <= index < len(elements):
        raise Failure(f"index out of bounds: {index}")
    return elements[index]


@function("_[_](map(A, B), A): B")
def _entry(entries: Mapping[Any, Any], key: Any) -> Any:
    if key not in entries:
        raise Failure(f"no such key: {_shown(key)}")
    return entries[key]


def _shown(key: Any) -> str:
    return str(key).lower() if isinstance(key, bool) else str(key)


# Lists.


@function(*(f"list({kind}).isSorted(): bool" for kind in _COMPARABLE))
def _is_sorted(elements: list[Any]) -> bool:
    return all(compared(one, other) <= 0 for one, other in pairwise(elements))


@function(*(f"list({kind}).max(): {kind}" for kind in _COMPARABLE))
def _max(elements: list[Any]) -> Any:
    if not elements:
        raise Failure("max called on empty list")
    return max(elements, key=cmp_to_key(compared))


@function(*(f"list({kind}).min(): {kind}" for kind in _COMPARABLE))
def _min(elements: list[Any]) -> Any:
    if not elements:
        raise Failure("min called on empty list")
    return min(elements, key=cmp_to_key(compared))


@function(
    "list(int).sum(): int", "list(uint).sum(): uint", "list(double).sum(): double", "list(duration).sum(): duration"
)
def _sum(elements: list[Any]) -> Any:
    if elements and isinstance(elements[0], Duration):
        return Duration.of(sum(each.nanos for each in elements))
    total = sum(elements)
    if isinstance(total, int) and not -(2**63) <= total < 2**63:
        raise Failure("integer overflow")
    return Uint(total) if elements and isinstance(elements[0], Uint) else total


@function("list(A).indexOf(A): int")
def _index_of(elements: list[Any], wanted: Any) -> int:
    return next((index for index, each in enumerate(elements) if equal(each, wanted)), -1)


@function("list(A).lastIndexOf(A): int")
def _last_index_of(elements: list[Any], wanted: Any) -> int:
    return max((index for index, each in enumerate(elements) if equal(each, wanted)), default=-1)


@function("list(A).slice(int, int): list(A)")
def _slice(elements: list[Any], start: int, end: int) -> list[Any]:
    called = f"cannot slice({start}, {end})"
    if start < 0 or end < 0:
        raise Failure(f"{called}, negative indexes not supported")
    if start > end:
        raise Failure(f"{called}, start index must be less than or equal to end index")
    if len(elements) < end:
        raise Failure(f"{called}, list is length {len(elements)}")
    return list(elements)[start:end]


@function("list(list(A)).flatten(): list(A)", "list(dyn).flatten(int): list(dyn)")
def _flat(elements: list[Any], depth: int = 1) -> list[Any]:
    if depth < 0:
        raise Failure("level must be non-negative")
    if depth == 0:
        return list(elements)
    found: list[Any] = []
    for element in elements:
        found += _flat(element, depth - 1) if isinstance(element, list) else [element]
    return found


@function(*(f"list({kind}).sort(): list({kind})" for kind in _COMPARABLE))
def _sort(elements: list[Any]) -> list[Any]:
    return sort_by(elements, elements)


def sort_by(elements: list[Any], keys: list[Any]) -> list[Any]:
    """Elements in the order of their keys."""
    if any(type(key) is not type(keys[0]) for key in keys):
        raise Failure("list elements must have the same type")
    order = cmp_to_key(compared)
    found = sorted(zip(map(order, keys), elements, strict=True), key=itemgetter(0))
    return [element for _, element in found]


@function("lists.range(int): list(int)")
def _range(count: int) -> list[int]:
    return list(range(count))


@function("list(A).reverse(): list(A)")
def _reversed(elements: list[Any]) -> list[Any]:
    return list(elements)[::-1]


@function("list(A).distinct(): list(A)")
def _distinct(elements: list[Any]) -> list[Any]:
    found: list[Any] = []
    for element in elements:
        if not any(equal(element, each) for each in found):
            found.append(element)
    return found


@function("sets.contains(list(A), list(A)): bool")
def _contains_all(one: list[Any], other: list[Any]) -> bool:
    return all(any(equal(each, mine) for mine in one) for each in other)


@function("sets.equivalent(list(A), list(A)): bool")
def _equivalent(one: list[Any], other: list[Any]) -> bool:
    return _contains_all(one, other) and _contains_all(other, one)


@function("sets.intersects(list(A), list(A)): bool")
def _intersects(one: list[Any], other: list[Any]) -> bool:
    return any(equal(each, mine) for mine in one for each in other)


# Optional values.


@function("optional.of(V): optional(V)")
def _of(value: Any) -> Optional:
    return Optional(held=True, value=value)


@function("optional.ofNonZeroValue(V): optional(V)")
def _of_non_zero(value: Any) -> Optional:
    if isinstance(value, Duration | Timestamp):
        return _of(value) if value.nanos else NONE
    empty = not value.raw if isinstance(value, Struct) else not value
    return NONE if empty else _of(value)


@function("optional.none(): optional(V)")
def _none() -> Optional:
    return NONE


@function("optional(V).value(): V")
def _value(found: Optional) -> Any:
    if not found.held:
        raise Failure("optional.none() dereference")
    return found.value


@function("optional(V).hasValue(): bool")
def _has_value(found: Optional) -> bool:
    return found.held


@function("optional(V).or(optional(V)): optional(V)", "optional(V).orValue(V): V")
def _lazy(*_: Any) -> Any:
    raise TypeError("the evaluation looks at the alternative only when it is needed")


@function(
    "_[?_](list(V), int): optional(V)",
    "_[?_](optional(list(V)), int): optional(V)",
    "_[?_](map(K, V), K): optional(V)",
    "_[?_](optional(map(K, V)), K): optional(V)",
    "_[_](optional(list(V)), int): optional(V)",
    "_[_](optional(map(K, V)), K): optional(V)",
)
def optional_entry(within: Any, key: Any) -> Optional:
    """What is at a place, if anything is."""
    if isinstance(within, Optional):
        if not within.held:
            return NONE
        within = within.value
    if isinstance(within, list):
        return _of(within[key]) if 0 <= key < len(within) else NONE
    return _of(within[key]) if key in within else NONE


@function("list(V).first(): optional(V)")
def _first(elements: list[Any]) -> Optional:
    return _of(elements[0]) if elements else NONE


@function("list(V).last(): optional(V)")
def _last(elements: list[Any]) -> Optional:
    return _of(elements[-1]) if elements else NONE


@function("optional.unwrap(list(optional(V))): list(V)", "list(optional(V)).unwrapOpt(): list(V)")
def _unwrapped(elements: list[Optional]) -> list[Any]:
    return [each.value for each in elements if each.held]
