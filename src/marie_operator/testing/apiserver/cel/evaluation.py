"""Evaluates expressions that were checked: each becomes a function of what its variables hold."""

from collections.abc import Callable, Mapping
from typing import Any

from marie_operator.testing.apiserver.cel.checker import TYPES
from marie_operator.testing.apiserver.cel.collections import optional_entry, sort_by
from marie_operator.testing.apiserver.cel.expressions import (
    Call,
    Expression,
    Fold,
    Identifier,
    ListOf,
    Literal,
    MapOf,
    Select,
)
from marie_operator.testing.apiserver.cel.values import NONE, Failure, Optional, equal, no_overload, type_name
from marie_operator.testing.apiserver.crd import regexp

_CONVERSIONS = frozenset({"bool", "bytes", "double", "duration", "dyn", "int", "string", "timestamp", "type", "uint"})
_PATTERNS = frozenset({"find", "findAll"})

Scope = dict[str, Any]
Program = Callable[[Scope], Any]
"""From what variables hold to a value; raises Failure when there is none."""


def program(expression: Expression) -> Program:
    """What evaluates an expression that was checked."""
    kinds: Mapping[type[Expression], Callable[[Any], Program]] = {
        Literal: _constant,
        Identifier: _variable,
        Select: _select,
        Call: _call,
        ListOf: _list,
        MapOf: _map,
        Fold: _fold,
    }
    return kinds[type(expression)](expression)


def _constant(literal: Literal) -> Program:
    value = literal.value
    return lambda _: value


def _variable(identifier: Identifier) -> Program:
    name = identifier.name
    known = TYPES.get(name)

    def value(scope: Scope) -> Any:
        if name in scope:
            return scope[name]
        if known is None:
            raise Failure(f"no such attribute(s): {name}")
        return known

    return value


# Fields.


def _select(expression: Select) -> Program:
    name = expression.name
    if (qualified := _type_name(expression)) in TYPES:
        found_type = TYPES[qualified]
        return lambda _: found_type
    operand = program(expression.operand)

    def field(scope: Scope) -> Any:
        within = operand(scope)
        if expression.optional or isinstance(within, Optional):
            entry = optional_entry(within, name)
            return entry.held if expression.test else entry
        there = isinstance(within, Mapping) and name in within
        if expression.test:
            return there
        if not there:
            raise Failure(f"no such key: {name}")
        return within[name]

    return field


def _type_name(expression: Expression) -> str:
    if isinstance(expression, Identifier):
        return expression.name
    if isinstance(expression, Select):
        return f"{_type_name(expression.operand)}.{expression.name}"
    return ""


# Functions.


def _call(call: Call) -> Program:
    arguments = [program(each) for each in (() if call.target is None else (call.target,))]
    arguments += [program(each) for each in call.arguments]
    special = {
        "_&&_": lambda: _logical(arguments, decisive=False),
        "_||_": lambda: _logical(arguments, decisive=True),
        "_?_:_": lambda: _conditional(arguments),
        "or": lambda: _alternative(arguments, unwrap=False),
        "orValue": lambda: _alternative(arguments, unwrap=True),
    }.get(call.function)
    if special is not None:
        return special()
    made = _exact(call.overloads[0].call, arguments) if call.exact else _chosen(call, arguments)
    return _folded(call, made)


def _folded(call: Call, made: Program) -> Program:
    """Conversions of what is written out are made beforehand; so are patterns.

    Raises:
        Failure: they cannot be made.
    """
    last = call.arguments[-1] if call.arguments else None
    if not isinstance(last, Literal) and not (isinstance(last, Call) and last.folded):
        return made
    if call.function in _CONVERSIONS:
        call.folded, value = True, made({})
        return lambda _: value
    if call.function in _PATTERNS and len(call.arguments) == 1 and isinstance(last, Literal):
        try:
            regexp.compiled(last.value)
        except regexp.Malformed as error:
            raise Failure(f"error parsing regexp: {error}") from error
    return made


def _exact(call: Callable[..., Any], arguments: list[Program]) -> Program:
    if len(arguments) == 1:
        (only,) = arguments
        return lambda scope: call(only(scope))
    if len(arguments) == 2:
        one, other = arguments
        return lambda scope: call(one(scope), other(scope))
    return lambda scope: call(*[argument(scope) for argument in arguments])


def _chosen(call: Call, arguments: list[Program]) -> Program:
    def value(scope: Scope) -> Any:
        given = [argument(scope) for argument in arguments]
        for overload in call.overloads:
            if overload.takes(given):
                return overload.call(*given)
        raise _not_indexed(*given) if call.function == "_[_]" else no_overload(call.function, given)

    return value


def _not_indexed(within: Any, key: Any) -> Failure:
    if isinstance(within, list):
        return Failure(f"unsupported index type '{type_name(key)}' in list")
    return no_overload() if isinstance(within, Mapping) else Failure(f"no such key: {key}")


def _logical(arguments: list[Program], *, decisive: bool) -> Program:
    """One side decides, even when the other has no value."""

    def value(scope: Scope) -> Any:
        problem: Failure | None = None
        for argument in arguments:
            try:
                found = argument(scope)
            except Failure as failure:
                problem = problem or failure
                continue
            if found is decisive:
                return decisive
            if not isinstance(found, bool):
                problem = problem or no_overload()
        if problem is not None:
            raise problem
        return not decisive

    return value


def _conditional(arguments: list[Program]) -> Program:
    condition, then, otherwise = arguments

    def value(scope: Scope) -> Any:
        found = condition(scope)
        if not isinstance(found, bool):
            raise no_overload()
        return then(scope) if found else otherwise(scope)

    return value


def _alternative(arguments: list[Program], *, unwrap: bool) -> Program:
    first, other = arguments

    def value(scope: Scope) -> Any:
        found = first(scope)
        if not isinstance(found, Optional):
            raise no_overload()
        if found.held:
            return found.value if unwrap else found
        return other(scope)

    return value


# Lists and maps.


def _list(expression: ListOf) -> Program:
    elements = [(program(element), optional) for element, optional in expression.elements]

    def value(scope: Scope) -> list[Any]:
        found = []
        for element, optional in elements:
            each = element(scope)
            if not optional:
                found.append(each)
            elif not isinstance(each, Optional):
                raise Failure(f"cannot initialize optional list element from non-optional value {each}")
            elif each.held:
                found.append(each.value)
        return found

    return value


def _map(expression: MapOf) -> Program:
    entries = [(program(key), program(entry), optional) for key, entry, optional in expression.entries]

    def value(scope: Scope) -> dict[Any, Any]:
        found: dict[Any, Any] = {}
        for key, entry, optional in entries:
            name, each = key(scope), entry(scope)
            if optional:
                if not each.held:
                    continue
                each = each.value
            found[name] = each
        return found

    return value


# Macros.


def _fold(fold: Fold) -> Program:
    over, body = program(fold.over), program(fold.body)
    condition = program(fold.condition) if fold.condition is not None else None
    if fold.macro in {"optMap", "optFlatMap"}:
        return _fold_optional(fold, over, body)
    collect = _COLLECTORS[fold.macro]
    names = fold.variables

    def value(scope: Scope) -> Any:
        scopes = _scopes(over(scope), names, scope)
        if condition is not None:
            scopes = [each for each in scopes if _asked(condition, each)]
        return collect(scopes, body, names)

    return value


def _fold_optional(fold: Fold, over: Program, body: Program) -> Program:
    (name,) = fold.variables
    flat = fold.macro == "optFlatMap"

    def value(scope: Scope) -> Any:
        found = over(scope)
        if not isinstance(found, Optional):
            raise no_overload()
        if not found.held:
            return NONE
        made = body({**scope, name: found.value})
        return made if flat else Optional(held=True, value=made)

    return value


def _scopes(over: Any, names: Any, scope: Scope) -> list[Scope]:
    """What the variables hold for each element or key."""
    if isinstance(over, Mapping):
        if len(names) == 1:
            return [{**scope, names[0]: key} for key in over]
        return [{**scope, names[0]: key, names[1]: over[key]} for key in over]
    if not isinstance(over, list):
        raise Failure(f"got 'types.{type_name(over).capitalize()}', expected iterable type")
    if len(names) == 1:
        return [{**scope, names[0]: element} for element in over]
    return [{**scope, names[0]: index, names[1]: element} for index, element in enumerate(over)]


def _asked(condition: Program, scope: Scope) -> bool:
    found = condition(scope)
    if not isinstance(found, bool):
        raise no_overload()
    return found


def _quantified(scopes: list[Scope], body: Program, *, decisive: bool) -> bool:
    """One element decides, even when others have no value."""
    problem: Failure | None = None
    for scope in scopes:
        try:
            if _asked(body, scope) is decisive:
                return decisive
        except Failure as failure:
            problem = problem or failure
    if problem is not None:
        raise problem
    return not decisive


def _entries(scopes: list[Scope], body: Program, names: Any) -> dict[Any, Any]:
    found: dict[Any, Any] = {}
    for scope in scopes:
        for key, value in body(scope).items():
            if any(equal(key, each) for each in found):
                raise Failure(f"insert failed: key {key} already exists")
            found[key] = value
    return found


_COLLECTORS: Mapping[str, Callable[[list[Scope], Program, Any], Any]] = {
    "all": lambda scopes, body, _: _quantified(scopes, body, decisive=False),
    "exists": lambda scopes, body, _: _quantified(scopes, body, decisive=True),
    "exists_one": lambda scopes, body, _: sum(_asked(body, scope) for scope in scopes) == 1,
    "map": lambda scopes, body, _: [body(scope) for scope in scopes],
    "filter": lambda scopes, body, names: [scope[names[0]] for scope in scopes if _asked(body, scope)],
    "sortBy": lambda scopes, body, names: sort_by(
        [scope[names[0]] for scope in scopes], [body(scope) for scope in scopes]
    ),
    "transformList": lambda scopes, body, _: [body(scope) for scope in scopes],
    "transformMap": lambda scopes, body, names: {scope[names[0]]: body(scope) for scope in scopes},
    "transformMapEntry": _entries,
}
