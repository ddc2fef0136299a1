"""CEL rules of CustomResourceDefinitions (``x-kubernetes-validations``).

The evaluator knows CEL's own functions; those that Kubernetes adds to them are here, as far as they are offered. A
definition whose rule uses another one is refused: a rule that is not looked at would let in what it has to keep out.
"""

import itertools
import json
import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any

import cel as evaluator

from marie_operator.testing.apiserver.errors import FieldError, Json
from marie_operator.testing.apiserver.schema import Schema

RULES = "x-kubernetes-validations"
_RESERVED = frozenset(
    [
        *("true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function", "if", "import"),
        *("let", "loop", "package", "namespace", "return", "var", "void", "while"),
    ]
)
_ESCAPES = {"__": "__underscores__", ".": "__dot__", "-": "__dash__", "/": "__slash__"}
_REASONS = {
    "FieldValueRequired": "Required value",
    "FieldValueForbidden": "Forbidden",
    "FieldValueInvalid": "Invalid value",
    "FieldValueDuplicate": "Duplicate value",
}


def _is_sorted(values: list[Any]) -> bool:
    return all(one <= other for one, other in itertools.pairwise(values))


def _find(text: str, pattern: str) -> str:
    found = re.search(pattern, text)
    return found[0] if found else ""


FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "find": _find,
    "findAll": lambda text, pattern: [found[0] for found in re.finditer(pattern, text)],
    "indexOf": lambda values, wanted: values.find(wanted) if isinstance(values, str) else values.index(wanted),
    "isSorted": _is_sorted,
    "join": lambda values, separator="": separator.join(values),
    "lastIndexOf": lambda text, wanted: text.rfind(wanted),
    "lowerAscii": lambda text: text.lower(),
    "max": max,
    "min": min,
    "replace": lambda text, old, new: text.replace(old, new),
    "split": lambda text, separator: text.split(separator),
    "substring": lambda text, start, end=None: text[start:end],
    "sum": sum,
    "trim": lambda text: text.strip(),
    "upperAscii": lambda text: text.upper(),
}
"""What is offered of Kubernetes' own functions, beside those of CEL."""
_OF_CEL = frozenset(
    [
        *("size", "matches", "contains", "startsWith", "endsWith", "duration", "timestamp", "type", "dyn"),
        *("int", "uint", "double", "string", "bytes", "bool", "getFullYear", "getMonth", "getDate", "getDayOfMonth"),
        *("getDayOfWeek", "getDayOfYear", "getHours", "getMinutes", "getSeconds", "getMilliseconds"),
    ]
)


@lru_cache(maxsize=4096)
def _compiled(rule: str) -> evaluator.Program:
    return evaluator.compile(rule)


def escaped(name: str) -> str | None:
    """A field's name as rules write it; None for one that no rule can name."""
    if name in _RESERVED:
        return f"__{name}__"
    if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_./-]*", name) is None:
        return None
    for written, replaced in _ESCAPES.items():
        name = name.replace(written, replaced)
    return name


class Rules:
    """All the rules of a schema.

    Args:
        schema: Of the whole object.
    """

    def __init__(self, schema: Schema) -> None:
        self._schema = schema

    def errors(self, new: Json, old: Json | None, path: str = "") -> list[FieldError]:
        """What the rules say against a value.

        Args:
            new: The object.
            old: What it replaces; None when it is created.
            path: Where it is.
        """
        return list(_errors(self._schema, new, old, path)) if has_rules(self._schema) else []


def has_rules(schema: Schema) -> bool:
    """Whether a node, or anything below it, has rules; found out once."""
    known = schema.__dict__.get("_has_rules")
    if known is None:
        schema.__dict__["_has_rules"] = bool(schema.node.get(RULES))
        children = [*schema.fields.values(), *filter(None, (schema.values, schema.items))]
        # Each child is asked, so that none is left with a provisional answer.
        below = [has_rules(child) for child in children]
        known = bool(schema.node.get(RULES)) or any(below)
        schema.__dict__["_has_rules"] = known
    return bool(known)


def _errors(schema: Schema, new: Json, old: Json | None, path: str) -> Iterator[FieldError]:
    for rule in schema.node.get(RULES) or ():
        transition = "oldSelf" in _compiled(rule["rule"]).variables()
        if not transition or old is not None or rule.get("optionalOldSelf"):
            yield from _broken(rule, schema, new, old if transition else None, path)
    if isinstance(new, dict):
        before = old if isinstance(old, dict) else {}
        for name, inner in new.items():
            known = schema.child(name)
            if known is not None and inner is not None and has_rules(known):
                at = (f"{path}.{name}" if path else name) if name in schema.fields else f"{path}[{name}]"
                yield from _errors(known, inner, before.get(name), at)
    elif isinstance(new, list) and schema.items is not None and has_rules(schema.items):
        # Only items that are told apart by keys have a state before.
        before_items = _by_key(schema, old) if schema.list_type == "map" else {}
        for number, item in enumerate(new):
            yield from _errors(schema.items, item, before_items.get(_key(schema, item)), f"{path}[{number}]")


def _by_key(schema: Schema, items: Json | None) -> dict[str, Json]:
    return {_key(schema, item): item for item in items or ()}


def _key(schema: Schema, item: Json) -> str:
    if not isinstance(item, dict):
        return ""
    return json.dumps([item.get(key, schema.item_defaults.get(key)) for key in schema.list_keys], sort_keys=True)


def _broken(rule: Mapping[str, Any], schema: Schema, new: Json, old: Json | None, path: str) -> Iterator[FieldError]:
    reason = rule.get("reason", "FieldValueInvalid")
    where = (
        f"{path}{rule['fieldPath']}" if rule.get("fieldPath") and path else (rule.get("fieldPath") or path).lstrip(".")
    )
    kind = schema.type or "object"
    variables = {"self": _value(schema, new)} | ({"oldSelf": _value(schema, old)} if old is not None else {})
    try:
        holds = _compiled(rule["rule"]).execute(_context(variables))
    except (RuntimeError, ValueError, TypeError, ArithmeticError, LookupError) as error:
        why = f'Invalid value: "{kind}": {rule["rule"]} evaluation error: {" ".join(str(error).split())}'
        yield FieldError("FieldValueInvalid", why, where)
        return
    if holds is True:
        return
    said = _REASONS.get(reason, "Invalid value")
    bare = reason in {"FieldValueRequired", "FieldValueForbidden"} or isinstance(new, dict | list)
    shown = said if bare else f"{said}: {json.dumps(new)}"
    yield FieldError(reason, f"{shown}: {_message(rule, variables)}", where)


def _message(rule: Mapping[str, Any], variables: Mapping[str, Json]) -> str:
    if expression := rule.get("messageExpression"):
        try:
            made = _compiled(expression).execute(_context(variables))
        except (RuntimeError, ValueError, TypeError, ArithmeticError, LookupError):
            made = ""
        if isinstance(made, str) and made.strip() and "\n" not in made:
            return made
    return str(rule.get("message") or f"failed rule: {rule['rule']}").strip()


def _context(variables: Mapping[str, Json]) -> evaluator.Context:
    context = evaluator.Context(dict(variables))
    for name, function in FUNCTIONS.items():
        context.add_function(name, function)
    return context


def _value(schema: Schema, value: Json) -> Json:
    """A value as rules see it: fields under names that can be written, whole numbers as the schema types them."""
    if isinstance(value, dict):
        found = {}
        for name, inner in value.items():
            known = schema.child(name)
            if inner is None and (known is None or not known.nullable):
                continue
            written = escaped(name) if name in schema.fields else name
            if written is not None:
                found[written] = _value(known, inner) if known is not None else inner
        return found
    if isinstance(value, list):
        return [_value(schema.items, item) for item in value] if schema.items is not None else value
    if schema.type == "number" and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return value


def problems(rule: Mapping[str, Any], at: str) -> Iterator[FieldError]:
    """What keeps a rule of a definition's schema from being evaluated."""
    text = str(rule.get("rule", ""))
    try:
        program = _compiled(text)
    except (RuntimeError, ValueError) as error:
        yield FieldError.invalid(at, text, f"compilation failed: {' '.join(str(error).split())}")
        return
    for function in sorted(program.functions()):
        if function.isidentifier() and function not in _OF_CEL and function not in FUNCTIONS:
            yield FieldError.invalid(
                at, text, f"compilation failed: this server does not offer the function {function}"
            )
