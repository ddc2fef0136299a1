"""Functions of CEL by name, and the forms that each has.

A form is written as in ``string.charAt(int): string`` or ``size(list(A)): int``; capital letters stand for any type.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, TypeVar

from marie_operator.testing.apiserver.cel import types
from marie_operator.testing.apiserver.cel.types import Type
from marie_operator.testing.apiserver.cel.values import (
    Duration,
    IpAddress,
    Network,
    Optional,
    Quantity,
    Timestamp,
    Uint,
)

_Function = TypeVar("_Function", bound=Callable[..., Any])
_NAMED: Final[Mapping[str, Type]] = {
    **{each.kind: each for each in (types.DYN, types.BOOL, types.INT, types.UINT, types.DOUBLE, types.STRING)},
    **{each.kind: each for each in (types.BYTES, types.NULL, types.DURATION, types.TIMESTAMP)},
    "IP": types.IP,
    "CIDR": types.CIDR,
    "Quantity": types.QUANTITY,
}
_CLASSES: Final[Mapping[str, Any]] = {
    "uint": Uint,
    "double": float,
    "string": str,
    "bytes": bytes,
    "bool": bool,
    "list": list,
    "map": Mapping,
    "struct": Mapping,
    "null": type(None),
    "duration": Duration,
    "timestamp": Timestamp,
    "type": Type,
    "optional_type": Optional,
    types.IP.name: IpAddress,
    types.CIDR.name: Network,
    types.QUANTITY.name: Quantity,
}


@dataclass(frozen=True, slots=True, eq=False)
class Overload:
    """One form of a function.

    Attributes:
        member: Whether it is called on its first parameter.
        parameters: Their types.
        result: Its type.
        call: What it does.
    """

    member: bool
    parameters: tuple[Type, ...]
    result: Type
    call: Callable[..., Any]

    def takes(self, arguments: list[Any]) -> bool:
        """Whether it knows such values."""
        return len(arguments) == len(self.parameters) and all(
            _is(argument, wanted) for argument, wanted in zip(arguments, self.parameters, strict=True)
        )


def _is(value: Any, wanted: Type) -> bool:
    if wanted.kind in {"dyn", "param"}:
        return True
    if wanted.kind == "int":
        return type(value) is int
    return isinstance(value, _CLASSES[wanted.name or wanted.kind])


FUNCTIONS: Final[dict[str, list[Overload]]] = {}
"""All functions; filled by the modules that have them."""


def function(*forms: str) -> Callable[[_Function], _Function]:
    """Have a function known under some forms."""

    def known(call: _Function) -> _Function:
        for form in forms:
            name, overload = _form(form, call)
            FUNCTIONS.setdefault(name, []).append(overload)
        return call

    return known


def _form(text: str, call: Callable[..., Any]) -> tuple[str, Overload]:
    signature, _, result = text.rpartition(": ")
    head, parameters = _split_call(signature)
    target, _, name = head.rpartition(".")
    given = tuple(typed(each) for each in _split(parameters))
    if target and (target in _NAMED or "(" in target):
        return name, Overload(True, (typed(target), *given), typed(result), call)
    return head, Overload(False, given, typed(result), call)


def _split_call(signature: str) -> tuple[str, str]:
    """What stands before the last parentheses, and in them."""
    depth = 0
    for index in range(len(signature) - 1, -1, -1):
        depth += {")": 1, "(": -1}.get(signature[index], 0)
        if depth == 0:
            return signature[:index], signature[index + 1 : -1]
    raise ValueError(signature)


def _split(text: str) -> list[str]:
    parts, depth = [""], 0
    for char in text:
        depth += {"(": 1, ")": -1}.get(char, 0)
        if char == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += char
    return [part.strip() for part in parts if part.strip()]


@lru_cache(maxsize=256)
def typed(text: str) -> Type:
    """The type that a form names."""
    name, _, inner = text.partition("(")
    if inner:
        parameters = tuple(typed(each) for each in _split(inner[:-1]))
        if name == "optional":
            return types.optional_of(*parameters)
        return Type(name, parameters=parameters)
    return Type("param", name) if len(name) == 1 else _NAMED[name]
