"""Checks an expression against the types of what it names, as cel-go does, and in its words."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from marie_operator.testing.apiserver.cel import libraries, types
from marie_operator.testing.apiserver.cel.expressions import (
    Call,
    Expression,
    Fold,
    Identifier,
    Issue,
    ListOf,
    Literal,
    Malformed,
    MapOf,
    Message,
    Select,
)
from marie_operator.testing.apiserver.cel.functions import Overload
from marie_operator.testing.apiserver.cel.types import BOOL, DYN, ERROR, INT, Type
from marie_operator.testing.apiserver.cel.values import Uint

TYPES: Final[Mapping[str, Type]] = {
    **{str(each): each for each in (BOOL, INT, types.UINT, types.DOUBLE, types.STRING, types.BYTES)},
    "null_type": types.NULL,
    "list": types.list_of(DYN),
    "map": types.map_of(DYN, DYN),
    "type": types.type_of(DYN),
    "optional_type": types.optional_of(DYN),
    "google.protobuf.Timestamp": types.TIMESTAMP,
    "google.protobuf.Duration": types.DURATION,
    **{each.name: each for each in (types.IP, types.CIDR)},
}
"""Names of types."""
_LITERALS: Final[Mapping[type, Type]] = {
    bool: BOOL,
    int: INT,
    Uint: types.UINT,
    float: types.DOUBLE,
    str: types.STRING,
    bytes: types.BYTES,
    type(None): types.NULL,
}


class Checked:
    """What the check of an expression has found.

    Attributes:
        type: Of its value.
        used: The variables that it names.
    """

    def __init__(self, found: Type, used: frozenset[str]) -> None:
        self.type = found
        self.used = used


def checked(expression: Expression, variables: Mapping[str, Type], text: str) -> Checked:
    """Check an expression; its calls learn which forms of their functions they may be.

    Args:
        expression: The expression.
        variables: The types of what it may name.
        text: It, as it is written.

    Raises:
        Malformed: its types do not go together, or it names what there is not.
    """
    check = _Checker(variables)
    found = types.substituted(check.type(expression), check.bindings, closed=True)
    if issues := check.issues or check.unlike():
        raise Malformed(text, issues)
    return Checked(found, frozenset(check.used))


class _Checker:
    def __init__(self, variables: Mapping[str, Type]) -> None:
        self.issues: list[Issue] = []
        self.bindings: types.Bindings = {}
        self.used: set[str] = set()
        self._variables = variables
        self._scopes: list[dict[str, Type]] = []
        self._fresh = 0
        self._alike: list[tuple[Type, Type, int]] = []

    def unlike(self) -> list[Issue]:
        """Elements of lists and maps that are written out and have other types than the first."""
        closed = [(self._closed(first), self._closed(found), at) for first, found, at in self._alike]
        unlike = [(first, found, at) for first, found, at in closed if first != found]
        return [Issue(at, f"expected type '{first}' but found '{found}'") for first, found, at in unlike]

    def type(self, expression: Expression) -> Type:
        """The type of an expression's value."""
        kinds: Mapping[type[Expression], Callable[[Any], Type]] = {
            Literal: lambda literal: _LITERALS[type(literal.value)],
            Identifier: self._identifier,
            Select: self._select,
            Call: self._call,
            ListOf: self._list,
            MapOf: self._map,
            Fold: self._fold,
            Message: lambda message: self._undeclared(message.at, message.name),
        }
        return kinds[type(expression)](expression)

    def _tell(self, at: int, message: str) -> Type:
        self.issues.append(Issue(at, message))
        return ERROR

    def _undeclared(self, at: int, name: str) -> Type:
        if name in libraries.MISSING:
            return self._tell(at, f"the embedded API server does not implement '{name}'; a real one does")
        return self._tell(at, f"undeclared reference to '{name}' (in container '')")

    def _new(self) -> Type:
        self._fresh += 1
        return Type("param", f"_var{self._fresh}")

    def _closed(self, found: Type) -> Type:
        return types.substituted(found, self.bindings, closed=True)

    # Names and fields.

    def _find(self, name: str) -> Type | None:
        for scope in reversed(self._scopes):
            if name in scope:
                return scope[name]
        if name in self._variables:
            self.used.add(name)
            return self._variables[name]
        return types.type_of(TYPES[name]) if name in TYPES else None

    def _identifier(self, expression: Identifier) -> Type:
        found = self._find(expression.name)
        return self._undeclared(expression.at, expression.name) if found is None else found

    def _select(self, expression: Select) -> Type:
        if not expression.test and (name := _qualified(expression)) in TYPES:
            return types.type_of(TYPES[str(name)])
        operand = types.substituted(self.type(expression.operand), self.bindings)
        target, was_optional = types.unwrapped(operand)
        found = self._field(expression, target)
        if expression.test:
            return BOOL
        optional = was_optional or expression.optional
        return types.optional_of(found) if optional else types.substituted(found, self.bindings)

    def _field(self, expression: Select, target: Type) -> Type:
        if target.kind == "map":
            return target.parameters[1]
        if target.kind == "struct":
            if expression.name in target.fields:
                return target.fields[expression.name]
            return self._tell(expression.at, f"undefined field '{expression.name}'")
        if target.kind == "param":
            self._assign((DYN,), (target,))
        elif not types.is_open(target):
            self._tell(expression.at, f"type '{self._closed(target)}' does not support field selection")
        return DYN

    # Functions.

    def _assign(self, wanted: tuple[Type, ...], given: tuple[Type, ...]) -> bool:
        found = types.assignable(self.bindings, wanted, given)
        if found is not None:
            self.bindings = found
        return found is not None

    def _call(self, call: Call) -> Type:
        given = [self.type(argument) for argument in call.arguments]
        if call.target is not None:
            name = _qualified(call.target)
            if name and (qualified := f"{name}.{call.function}") in libraries.FUNCTIONS:
                call.function, call.target = qualified, None
            elif name and qualified in libraries.MISSING:
                return self._undeclared(call.at, qualified)
            else:
                given.insert(0, self.type(call.target))
        if call.function in {"_&&_", "_||_"}:
            return self._logical(call, given)
        known = libraries.FUNCTIONS.get(call.function)
        if known is None:
            return self._undeclared(call.at, call.function)
        return self._resolved(call, known, given)

    def _logical(self, call: Call, given: list[Type]) -> Type:
        wrong = False
        for argument, found in zip(call.arguments, given, strict=True):
            wrong |= not self._bool(argument.at, found)
        return ERROR if wrong else BOOL

    def _bool(self, at: int, found: Type) -> bool:
        if self._assign((found,), (BOOL,)):
            return True
        self._tell(at, f"expected type 'bool' but found '{self._closed(found)}'")
        return False

    def _resolved(self, call: Call, known: list[Overload], given: list[Type]) -> Type:
        result: Type | None = None
        chosen = []
        for overload in known:
            if overload.member != (call.target is not None):
                continue
            parameters, outcome = self._instance(overload)
            if not self._assign(tuple(given), parameters):
                continue
            chosen.append(overload)
            found = types.substituted(outcome, self.bindings)
            if result is None:
                result = found
            elif result.kind != "dyn" and found != result:
                result = DYN
        if result is None:
            return self._no_overload(call.at, call.function, given, member=call.target is not None)
        call.overloads = tuple(chosen)
        open_ended = any(types.is_open(self._closed(each)) for each in given)
        call.exact = len(chosen) == 1 and not open_ended
        self._literals(call)
        return result

    def _no_overload(self, at: int, name: str, given: list[Type], *, member: bool) -> Type:
        told = [str(self._closed(each)) for each in given]
        shown = f"{told[0]}.({', '.join(told[1:])})" if member else f"({', '.join(told)})"
        return self._tell(at, f"found no matching overload for '{name}' applied to '{shown}'")

    def _instance(self, overload: Overload) -> tuple[tuple[Type, ...], Type]:
        """Its types, with parameters of their own."""
        fresh: dict[Type, Type] = {}

        def replaced(found: Type) -> Type:
            if found.kind == "param":
                return fresh.setdefault(found, fresh.get(found) or self._new())
            if not found.parameters:
                return found
            return Type(found.kind, found.name, tuple(map(replaced, found.parameters)), found.fields)

        return tuple(map(replaced, overload.parameters)), replaced(overload.result)

    def _literals(self, call: Call) -> None:
        """Texts that are written out must be what their function takes."""
        validate = libraries.LITERALS.get(call.function)
        if validate is None or not call.arguments:
            return
        last = call.arguments[-1]
        if isinstance(last, Literal) and isinstance(last.value, str) and not validate(last.value):
            self._tell(last.at, f"invalid {call.function} argument")

    # Lists and maps.

    def _joined(self, found: list[tuple[int, Type]], *, once: bool) -> Type:
        """What stands for all elements."""
        if not found:
            return self._new()
        joined, first = found[0][1], found[0][1]
        for _, each in found[1:]:
            joined = types.most_general(joined, each) if self._assign((joined,), (each,)) else DYN
        later = [(first, each, at) for at, each in found[1:]]
        if once:
            later = [each for each in later if self._closed(each[1]) != self._closed(first)][:1] or later
        self._alike += later
        return joined

    def _element(self, expression: Expression, *, optional: bool) -> Type:
        found = self.type(expression)
        if not optional:
            return found
        held, is_optional = types.unwrapped(found)
        if not is_optional and held.kind != "dyn":
            wanted = types.optional_of(held)
            self._tell(expression.at, f"expected type '{wanted}' but found '{held}'")
        return held

    def _list(self, expression: ListOf) -> Type:
        found = [(element.at, self._element(element, optional=optional)) for element, optional in expression.elements]
        return types.list_of(self._joined(found, once=True))

    def _map(self, expression: MapOf) -> Type:
        keys, values = [], []
        for key, value, optional in expression.entries:
            keys.append((key.at, self.type(key)))
            values.append((value.at, self._element(value, optional=optional)))
        return types.map_of(self._joined(keys, once=False), self._joined(values, once=False))

    # Macros.

    def _fold(self, fold: Fold) -> Type:
        over = types.substituted(self.type(fold.over), self.bindings)
        if fold.macro in {"optMap", "optFlatMap"}:
            return self._fold_optional(fold, over)
        variables = self._ranged(fold, over)
        self._scopes.append(dict(zip(fold.variables, variables, strict=True)))
        result = self._folded(fold, over, variables)
        self._scopes.pop()
        return result

    def _fold_optional(self, fold: Fold, over: Type) -> Type:
        held, is_optional = types.unwrapped(over)
        if not is_optional:
            if not types.is_open(over):
                self._no_overload(fold.at, "hasValue", [over], member=True)
                return self._no_overload(fold.at, "value", [over], member=True)
            held = DYN
        self._scopes.append({fold.variables[0]: held})
        body = self.type(fold.body)
        self._scopes.pop()
        if fold.macro == "optMap":
            return types.optional_of(body)
        if not types.unwrapped(body)[1] and not types.is_open(body):
            return self._no_overload(fold.at, "_?_:_", [BOOL, body, types.optional_of(DYN)], member=False)
        return body

    def _ranged(self, fold: Fold, over: Type) -> list[Type]:
        two = len(fold.variables) > 1
        if over.kind == "list":
            return [INT, over.parameters[0]] if two else [over.parameters[0]]
        if over.kind == "map":
            return list(over.parameters) if two else [over.parameters[0]]
        if types.is_open(over) or over.kind == "param":
            self._assign((DYN,), (over,))
            return [DYN] * len(fold.variables)
        why = "cannot be range of a comprehension (must be list, map, or dynamic)"
        self._tell(fold.over.at, f"expression of type '{self._closed(over)}' {why}")
        return [ERROR] * len(fold.variables)

    def _folded(self, fold: Fold, over: Type, variables: list[Type]) -> Type:
        if fold.macro in {"all", "exists"}:
            self._bool(fold.body.at, self.type(fold.body))
            return BOOL
        if fold.macro == "exists_one":
            self._conditional(fold, self.type(fold.body), INT)
            return BOOL
        if fold.macro == "filter":
            result = types.list_of(variables[-1])
            self._conditional(fold, self.type(fold.body), result)
            return result
        condition = None if fold.condition is None else self.type(fold.condition)
        body = self.type(fold.body)
        if condition is not None:
            self._conditional(fold, condition, types.list_of(body))
        if fold.macro == "sortBy":
            return self._sorted(fold, over, body)
        made = {"transformMap": types.map_of(variables[0], body), "transformMapEntry": body}
        return made.get(fold.macro, types.list_of(body))

    def _conditional(self, fold: Fold, condition: Type, result: Type) -> None:
        if not self._assign((condition,), (BOOL,)):
            self._no_overload(fold.at, "_?_:_", [condition, result, result], member=False)

    def _sorted(self, fold: Fold, over: Type, key: Type) -> Type:
        comparable = ("int", "uint", "double", "bool", "duration", "timestamp", "string", "bytes", "dyn", "error")
        if self._closed(key).kind not in comparable:
            given = [over, types.list_of(key)]
            return self._no_overload(fold.at, "@sortByAssociatedKeys", given, member=True)
        return over


def _qualified(expression: Expression) -> str:
    """The name that a chain of fields spells; empty when it spells none."""
    if isinstance(expression, Identifier):
        return expression.name
    if isinstance(expression, Select) and not expression.test and not expression.optional:
        before = _qualified(expression.operand)
        return f"{before}.{expression.name}" if before else ""
    return ""
