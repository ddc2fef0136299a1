"""Rules of definitions (``x-kubernetes-validations``) over the objects that they define.

A change is not blamed for a rule that was broken before it: where nothing has changed, its message is a warning.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from marie_operator.testing.apiserver.cel.compilation import Compiled, compiled
from marie_operator.testing.apiserver.cel.declarations import declared, lifted
from marie_operator.testing.apiserver.cel.evaluation import Program
from marie_operator.testing.apiserver.cel.values import NONE, Failure, Optional
from marie_operator.testing.apiserver.crd import fieldpath
from marie_operator.testing.apiserver.errors import NOWHERE, OMITTED, FieldError, Json
from marie_operator.testing.apiserver.schema import MISSING, Schema
from marie_operator.testing.apiserver.validation import by_key, key, same

RULES = "x-kubernetes-validations"
_LONGEST_MESSAGE = 5 * 1024


@dataclass(frozen=True, slots=True)
class _Rule:
    """One rule, compiled.

    Attributes:
        said: As the definition says it.
        made: What it became.
        path: Where it is told, from where it stands.
    """

    said: Mapping[str, Any]
    made: Compiled
    path: str


class Rules:
    """The rules of a schema and of what is below it.

    Args:
        schema: The schema.
        whole: Whether it is an object's with kind and metadata.
    """

    def __init__(self, schema: Schema, *, whole: bool) -> None:
        self._schema = schema
        self._whole = whole

    @cached_property
    def _own(self) -> tuple[_Rule, ...]:
        said = self._schema.node.get(RULES) or ()
        own = declared(self._schema, whole=self._whole) if said else None
        if own is None:
            return ()
        return tuple(_Rule(rule, compiled(rule, own), _path(rule, self._schema)) for rule in said)

    @cached_property
    def _fields(self) -> "Mapping[str, Rules]":
        below = {name: Rules(child, whole=child.embedded) for name, child in self._schema.fields.items()}
        return {name: child for name, child in below.items() if child.any}

    @cached_property
    def _values(self) -> "Rules | None":
        return _some(self._schema.values)

    @cached_property
    def _items(self) -> "Rules | None":
        return _some(self._schema.items)

    @cached_property
    def any(self) -> bool:
        """Whether there are any."""
        return bool(self._schema.node.get(RULES) or self._fields or self._values or self._items)

    def errors(self, new: Json, old: Json = MISSING, path: str = "") -> list[FieldError]:
        """What the rules say against a value.

        Args:
            new: The value.
            old: What it replaces; MISSING when there was none.
            path: Where it is.
        """
        return list(self._errors(new, old, path, unchanged=False)) if self.any else []

    def _errors(self, new: Json, old: Json, path: str, *, unchanged: bool) -> Iterator[FieldError]:
        """As :meth:`errors`; within what has not changed, nothing has."""
        if new is None:
            return
        if self._own:
            unchanged = unchanged or (old is not MISSING and same(new, old, self._schema))
            yield from self._broken(new, old, path, unchanged=unchanged)
        if isinstance(new, dict):
            before = old if isinstance(old, dict) else {}
            for name, inner in new.items():
                known = self._fields.get(name)
                if known is not None:
                    at = f"{path}.{name}" if path else name
                    yield from known._errors(inner, before.get(name, MISSING), at, unchanged=unchanged)
                elif self._values is not None:
                    at = f"{path}[{name}]"
                    yield from self._values._errors(inner, before.get(name, MISSING), at, unchanged=unchanged)
        elif isinstance(new, list) and self._items is not None:
            former = by_key(self._schema, old)
            unchanged = unchanged or (not former and old is not MISSING and same(new, old, self._schema))
            for number, item in enumerate(new):
                was = former.get(key(self._schema, item), MISSING) if former else MISSING
                yield from self._items._errors(item, was, f"{path}[{number}]", unchanged=unchanged)

    def _broken(self, new: Json, old: Json, path: str, *, unchanged: bool) -> Iterator[FieldError]:
        kind = self._schema.type
        try:
            value = lifted(self._schema, new, whole=self._whole)
            before = None if old is MISSING or old is None else lifted(self._schema, old, whole=self._whole)
        except Failure as failure:
            yield FieldError.invalid(path or NOWHERE, kind, str(failure))
            return
        known = old is not MISSING and old is not None
        for rule in self._own:
            optional = bool(rule.said.get("optionalOldSelf"))
            if rule.made.program is None or (rule.made.uses_old and not known and not optional):
                continue
            was: Any = (Optional(held=True, value=before) if known else NONE) if optional else before
            scope = {"self": value, "oldSelf": was}
            for found, judged in _asked(rule, scope, new, kind, path):
                yield replace(found, ratcheted=judged and unchanged and not rule.made.uses_old)


def _some(schema: Schema | None) -> Rules | None:
    found = None if schema is None else Rules(schema, whole=schema.embedded)
    return found if found is not None and found.any else None


def _path(rule: Mapping[str, Any], schema: Schema) -> str:
    if not rule.get("fieldPath"):
        return ""
    try:
        return fieldpath.resolved(rule["fieldPath"], schema.node)[0]
    except fieldpath.Wrong:
        return ""


def _asked(rule: _Rule, scope: dict[str, Any], new: Json, kind: str, path: str) -> Iterator[tuple[FieldError, bool]]:
    """What a rule says, and whether it could be asked at all."""
    assert rule.made.program is not None  # noqa: S101 - such rules are not asked
    try:
        if rule.made.program(scope) is True:
            return
    except Failure as failure:
        yield FieldError.invalid(path or NOWHERE, kind, _failed(failure, rule.said)), False
        return
    where = ".".join(filter(None, (path, rule.path))) or NOWHERE
    shown = OMITTED if kind in {"object", "array"} else new
    why = _message(rule, scope)
    match rule.said.get("reason"):
        case "FieldValueForbidden":
            yield FieldError.forbidden(where, why), True
        case "FieldValueRequired":
            yield FieldError.required(where, why), True
        case "FieldValueDuplicate":
            yield FieldError.duplicate(where, shown), True
        case _:
            yield FieldError.invalid(where, shown, why), True


def _failed(failure: Failure, rule: Mapping[str, Any]) -> str:
    shown = (rule.get("message") or rule["rule"]).strip()
    if str(failure).startswith("no such overload"):
        why = "call arguments did not match a supported operator, function or macro signature"
        return f"'{failure}': {why} for rule: {shown}"
    return f"{failure} evaluating rule: {shown}"


def _message(rule: _Rule, scope: dict[str, Any]) -> str:
    if rule.made.message is not None and (made := _made(rule.made.message, scope)):
        return made
    message = rule.said.get("message")
    return str(message).strip() if message else f"failed rule: {rule.said['rule'].strip()}"


def _made(message: Program, scope: dict[str, Any]) -> str:
    """What an expression says; nothing when it says nothing that fits a line."""
    try:
        text = str(message(scope)).strip()
    except Failure:
        return ""
    return "" if len(text.encode()) > _LONGEST_MESSAGE or re.search(r"\n", text) else text
