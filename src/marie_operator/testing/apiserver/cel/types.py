"""Types of CEL expressions, and when a value of one may stand for a value of another.

The algorithm is that of cel-go's checker: parameters of types are found by unification.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final


@dataclass(frozen=True, slots=True)
class Type:
    """A type.

    Attributes:
        kind: ``dyn``, ``error``, ``bool``, ``int``, ``uint``, ``double``, ``string``, ``bytes``, ``null``,
            ``duration``, ``timestamp``, ``list``, ``map``, ``type``, ``opaque``, ``struct`` or ``param``.
        name: Of types with names of their own; of objects, one for each place of a schema.
        parameters: Of elements, of keys and values, of what an optional value holds.
        fields: Of objects.
    """

    kind: str
    name: str = ""
    parameters: "tuple[Type, ...]" = ()
    fields: "Mapping[str, Type]" = field(default_factory=dict, compare=False, hash=False)

    def __str__(self) -> str:
        """As messages name it."""
        name = {"error": "!error!"}.get(self.kind, self.name or self.kind)
        return f"{name}({', '.join(map(str, self.parameters))})" if self.parameters else name


DYN, ERROR, BOOL, INT, UINT, DOUBLE, STRING, BYTES, NULL, DURATION, TIMESTAMP = (
    Type(kind)
    for kind in (
        *("dyn", "error", "bool", "int", "uint", "double", "string", "bytes", "null", "duration", "timestamp"),
    )
)
IP, CIDR, QUANTITY = (Type("opaque", name) for name in ("net.IP", "net.CIDR", "kubernetes.Quantity"))
_OPTIONAL: Final = "optional_type"
_NULLABLE = frozenset({"opaque", "struct", "duration", "timestamp", "null"})
_PLAIN = frozenset({"bool", "bytes", "double", "int", "string", "uint", "duration", "timestamp", "struct"})

Bindings = dict[Type, Type]
"""What the parameters of types stand for."""


def list_of(element: Type) -> Type:
    """A list."""
    return Type("list", parameters=(element,))


def map_of(key: Type, value: Type) -> Type:
    """A map."""
    return Type("map", parameters=(key, value))


def optional_of(value: Type) -> Type:
    """What may hold a value."""
    return Type("opaque", _OPTIONAL, (value,))


def type_of(value: Type) -> Type:
    """The type of a type."""
    return Type("type", parameters=(value,))


def unwrapped(found: Type) -> tuple[Type, bool]:
    """What an optional value holds, and whether it is one."""
    return (found.parameters[0], True) if found.name == _OPTIONAL else (found, False)


def is_open(found: Type) -> bool:
    """Whether nothing is known, so that anything is allowed."""
    return found.kind in {"dyn", "error"}


def substituted(found: Type, bindings: Bindings, *, closed: bool = False) -> Type:
    """The type with what its parameters stand for.

    Args:
        found: The type.
        bindings: What they stand for.
        closed: Whether those that stand for nothing become ``dyn``.
    """
    if (bound := bindings.get(found)) is not None:
        return substituted(bound, bindings, closed=closed)
    if found.kind == "param":
        return DYN if closed else found
    if not found.parameters:
        return found
    parameters = tuple(substituted(each, bindings, closed=closed) for each in found.parameters)
    return Type(found.kind, found.name, parameters, found.fields)


def assignable(bindings: Bindings, wanted: tuple[Type, ...], given: tuple[Type, ...]) -> Bindings | None:
    """What parameters must stand for so that types go together; None when they cannot."""
    changed = dict(bindings)
    return changed if _all_assignable(changed, wanted, given) else None


def _all_assignable(bindings: Bindings, ones: tuple[Type, ...], others: tuple[Type, ...]) -> bool:
    return len(ones) == len(others) and all(
        _assignable(bindings, one, other) for one, other in zip(ones, others, strict=True)
    )


def _assignable(bindings: Bindings, one: Type, other: Type) -> bool:
    if other.kind == "param":
        valid, bound = _substitutable(bindings, one, other)
        if valid or bound:
            return valid
    if one.kind == "param":
        return _substitutable(bindings, other, one)[0]
    if is_open(one) or is_open(other):
        return True
    return _closed_assignable(bindings, one, other)


def _closed_assignable(bindings: Bindings, one: Type, other: Type) -> bool:
    if one.kind == "null" or other.kind == "null":
        return (other if one.kind == "null" else one).kind in _NULLABLE
    if one.kind in _PLAIN:
        return one == other
    if one.kind == "type":
        return other.kind == "type"
    same = (one.kind, one.name) == (other.kind, other.name)
    return same and _all_assignable(bindings, one.parameters, other.parameters)


def _substitutable(bindings: Bindings, one: Type, parameter: Type) -> tuple[bool, bool]:
    """Whether a parameter can stand for a type, and whether it stands for something already."""
    if one == parameter:
        return True, True
    bound = bindings.get(parameter)
    if bound is None:
        if not _occurs(bindings, parameter, one):
            bindings[parameter] = one
            return True, False
        return False, False
    if one == bound:
        return True, True
    if _assignable(bindings, one, bound):
        general = most_general(one, bound)
        if not _occurs(bindings, parameter, general):
            bindings[parameter] = general
        return True, True
    return False, True


def _occurs(bindings: Bindings, parameter: Type, within: Type) -> bool:
    if parameter == within:
        return True
    if within.kind == "param":
        bound = bindings.get(within)
        return bound is not None and _occurs(bindings, parameter, bound)
    return any(_occurs(bindings, parameter, each) for each in within.parameters)


def most_general(one: Type, other: Type) -> Type:
    """Of two types that go together, the one that says less."""
    return one if _says_less(one, other) else other


def _says_less(one: Type, other: Type) -> bool:
    if one.kind in {"dyn", "param"}:
        return True
    if other.kind in {"dyn", "param"} or one.kind != other.kind:
        return False
    if one.kind == "type":
        return True
    if one.kind in {"opaque", "list", "map"}:
        return (one.name, len(one.parameters)) == (other.name, len(other.parameters)) and all(
            _says_less(first, second) for first, second in zip(one.parameters, other.parameters, strict=True)
        )
    return one == other
