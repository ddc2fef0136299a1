"""The OpenAPI schema of a definition's version: what it may say, beyond being structural.

The rules are those of ``ValidateCustomResourceDefinitionOpenAPISchema`` of apiextensions-apiserver.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from marie_operator.testing.apiserver.cel import compilation, declarations
from marie_operator.testing.apiserver.crd import fieldpath
from marie_operator.testing.apiserver.errors import FieldError, Shown, compact
from marie_operator.testing.apiserver.schema import Schema

Node = Mapping[str, Any]

RULES = "x-kubernetes-validations"
_LIST_TYPE, _MAP_TYPE, _KEYS = (f"x-kubernetes-{name}" for name in ("list-type", "map-type", "list-map-keys"))
_TYPES = ("array", "boolean", "integer", "number", "object", "string")
_FORBIDDEN = ("id", "additionalItems", "patternProperties", "definitions", "dependencies", "$ref")
_REASONS = ("FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired")
_META = frozenset({"metadata", "kind", "apiVersion"})
_NEWLINE = re.compile(r"[\n\r]")


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a schema stands.

    Attributes:
        path: Of it.
        root: Whether it is the whole object's.
        typed: Whether rules know types here; not under ``not``, ``allOf`` …
        no_default: Why there may be no default; empty where there may be.
        in_meta: Whether it describes metadata.
        uncorrelated: The outermost part of the object whose former state cannot be told; empty when all can.
    """

    path: str
    root: bool = False
    typed: bool = True
    no_default: str = ""
    in_meta: bool = False
    uncorrelated: str = ""

    def child(self, path: str, **changes: Any) -> "_Place":
        return replace(self, path=f"{self.path}.{path}", root=False, **changes)


@dataclass(slots=True)
class _Found:
    """What is wrong with a schema, and, told after that, with its rules."""

    schema: list[FieldError] = field(default_factory=list)
    rules: list[FieldError] = field(default_factory=list)

    def add(self, other: "_Found") -> None:
        self.schema += other.schema
        self.rules += other.rules


def problems(node: Node, path: str, *, typed: bool) -> list[FieldError]:
    """What is wrong with the schema of a version.

    Args:
        node: The schema.
        path: Where it is.
        typed: Whether it is structural, so that rules can be compiled.
    """
    found = _problems(node, _Place(path, root=True, typed=typed))
    return [*found.schema, *found.rules]


def _problems(node: Node, place: _Place) -> _Found:
    found = _Found([*_standard(node, place)])
    for child, inner in _children(node, place):
        found.add(_problems(child, inner))
    found.schema += [*_extensions(node, place.path), *_list_map(node, place.path), *_key_fields(node, place.path)]
    for number, rule in enumerate(node.get(RULES) or ()):
        found.schema += _rule_form(rule, node, f"{place.path}.{RULES}[{number}]")
    if node.get(RULES) and not found.schema and place.typed:
        found.rules += _compiled(node, place)
    return found


def _standard(node: Node, place: _Place) -> Iterator[FieldError]:
    path, kind = place.path, node.get("type")
    if kind and kind not in _TYPES:
        yield FieldError.unsupported(f"{path}.type", kind, _TYPES)
    if node.get("default") is not None and place.no_default:
        yield FieldError.forbidden(f"{path}.default", f"must not be set {place.no_default}")
    for name in _FORBIDDEN:
        if node.get(name):
            yield FieldError.forbidden(f"{path}.{name}", f"{name} is not supported")
    if kind == "null":
        yield FieldError.forbidden(f"{path}.type", "type cannot be set to null, use nullable as an alternative")
    if isinstance(node.get("items"), list):
        yield FieldError.forbidden(f"{path}.items", "items must be a schema object and not an array")
    if place.in_meta and node.get("x-kubernetes-embedded-resource"):
        yield FieldError.forbidden(f"{path}.x-kubernetes-embedded-resource", "must not be used inside of resource meta")
    if node.get("uniqueItems"):
        why = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic"
        yield FieldError.forbidden(f"{path}.uniqueItems", why)
    values = node.get("additionalProperties")
    if values is not None and values is not True and node.get("properties"):
        why = "additionalProperties and properties are mutual exclusive"
        yield FieldError.forbidden(f"{path}.additionalProperties", why)


def _children(node: Node, place: _Place) -> Iterator[tuple[Node, _Place]]:
    if isinstance(node.get("additionalProperties"), Mapping):
        why = "inside additionalProperties applying to object metadata"
        inner = place.child("additionalProperties")
        yield node["additionalProperties"], replace(inner, no_default=why) if place.in_meta else inner
    metadata = place.root or bool(node.get("x-kubernetes-embedded-resource"))
    for name, child in (node.get("properties") or {}).items():
        changes: dict[str, Any] = {}
        if node.get(_MAP_TYPE) not in {None, "granular", "atomic"}:
            changes["uncorrelated"] = place.uncorrelated or place.path
        if metadata and name in _META:
            changes["in_meta"] = True
            if place.root:
                changes["no_default"] = f"in top-level {name}"
        yield child, place.child(f"properties[{name}]", **changes)
    if isinstance(node.get("not"), Mapping):
        yield node["not"], place.child("not", typed=False)
    for junctor in ("allOf", "oneOf", "anyOf"):
        for number, part in enumerate(node.get(junctor) or ()):
            yield part, place.child(f"{junctor}[{number}]", typed=False)
    if isinstance(node.get("items"), Mapping):
        # Only items that are told apart by keys have a state before.
        changes = {} if node.get(_LIST_TYPE) == "map" else {"uncorrelated": place.uncorrelated or place.path}
        yield node["items"], place.child("items", **changes)


def _extensions(node: Node, path: str) -> Iterator[FieldError]:
    kind, list_type, map_type = node.get("type") or "", node.get(_LIST_TYPE), node.get(_MAP_TYPE)
    if node.get("x-kubernetes-preserve-unknown-fields") is False:
        at = f"{path}.x-kubernetes-preserve-unknown-fields"
        yield FieldError.invalid(at, False, "must be true or undefined")
    if map_type is not None:
        yield from _wanted_type(kind, "object", _MAP_TYPE, path)
        if map_type not in {"atomic", "granular"}:
            yield FieldError.unsupported(f"{path}.{_MAP_TYPE}", map_type, ("atomic", "granular"))
    if list_type is not None:
        yield from _wanted_type(kind, "array", _LIST_TYPE, path)
        if list_type == "set" and kind == "array":
            yield from _set_items(node.get("items") or {}, f"{path}.items")
        if list_type not in {"atomic", "set", "map"}:
            yield FieldError.unsupported(f"{path}.{_LIST_TYPE}", list_type, ("atomic", "map", "set"))
    if node.get(_KEYS) and list_type != "map":
        why = "must be map if x-kubernetes-list-map-keys is non-empty"
        at = f"{path}.{_LIST_TYPE}"
        yield FieldError.required(at, why) if list_type is None else FieldError.invalid(at, list_type, why)


def _wanted_type(kind: str, wanted: str, extension: str, path: str) -> Iterator[FieldError]:
    if kind != wanted:
        why = f"must be {wanted} if {extension} is specified"
        yield FieldError.invalid(f"{path}.type", kind, why) if kind else FieldError.required(f"{path}.type", why)


def _set_items(items: Node, path: str) -> Iterator[FieldError]:
    why, given = "must be atomic as item of a list with x-kubernetes-list-type=set", items.get(_LIST_TYPE)
    if items.get("type") == "array" and given not in {None, "atomic"}:
        yield FieldError.invalid(f"{path}.{_LIST_TYPE}", given, why)
    if items.get("type") == "object" and items.get(_MAP_TYPE) != "atomic":
        yield FieldError.invalid(f"{path}.{_MAP_TYPE}", given, why)


def _list_map(node: Node, path: str) -> Iterator[FieldError]:
    if node.get(_LIST_TYPE) != "map":
        return
    keys, items = node.get(_KEYS) or [], node.get("items")
    if not keys:
        yield FieldError.required(f"{path}.{_KEYS}", "must not be empty if x-kubernetes-list-type is map")
    if items is None:
        yield FieldError.required(f"{path}.items", "must have a schema if x-kubernetes-list-type is map")
    if not isinstance(items, Mapping):
        return
    if items.get("type") != "object":
        why = "must be object if parent array's x-kubernetes-list-type is map"
        yield FieldError.invalid(f"{path}.items.type", items.get("type") or "", why)
        return
    known = items.get("properties") or {}
    for number, key in enumerate(keys):
        if key not in known:
            yield FieldError.invalid(f"{path}.{_KEYS}", keys, "entries must all be names of item properties")
        elif known[key].get("type") in {"array", "object"}:
            why = "must be a scalar type if parent array's x-kubernetes-list-type is map"
            yield FieldError.invalid(f"{path}.items.properties[{key}].type", items["type"], why)
        if key in keys[:number]:
            yield FieldError.invalid(f"{path}.{_KEYS}", keys, "must not contain duplicate entries")


def _key_fields(node: Node, path: str) -> Iterator[FieldError]:
    items, list_type = node.get("items"), node.get(_LIST_TYPE)
    if not isinstance(items, Mapping) or list_type not in {"set", "map"}:
        return
    if items.get("nullable"):
        yield FieldError.forbidden(f"{path}.items.nullable", f"cannot be nullable when {_LIST_TYPE} is {list_type}")
    if list_type != "map":
        return
    known, required = items.get("properties") or {}, items.get("required") or ()
    for key in node.get(_KEYS) or ():
        if key not in known:
            continue
        at, why = f"{path}.items.properties[{key}]", "this property is in x-kubernetes-list-map-keys, so it"
        if key not in required and known[key].get("default") is None:
            yield FieldError.required(f"{at}.default", f"{why} must have a default or be a required property")
        if known[key].get("nullable"):
            yield FieldError.forbidden(f"{at}.nullable", f"{why} cannot be nullable")


# Rules.


def _rule_form(rule: Node, node: Node, path: str) -> Iterator[FieldError]:
    text, message, expression, where = (
        rule.get(name) or "" for name in ("rule", "message", "messageExpression", "fieldPath")
    )
    if not text.strip():
        yield FieldError.required(f"{path}.rule", "rule is not specified")
    elif message and not message.strip():
        yield FieldError.invalid(f"{path}.message", message, "must be non-empty if specified")
    elif _NEWLINE.search(message.strip()):
        yield FieldError.invalid(f"{path}.message", message, "must not contain line breaks")
    elif _NEWLINE.search(text.strip()) and not message.strip():
        yield FieldError.required(f"{path}.message", "message must be specified if rule contains line breaks")
    if expression and not expression.strip():
        yield FieldError.required(f"{path}.messageExpression", "messageExpression must be non-empty if specified")
    if rule.get("reason") is not None and rule["reason"] not in _REASONS:
        yield FieldError.unsupported(f"{path}.reason", rule["reason"], _REASONS)
    if where:
        yield from _rule_path(where, node, f"{path}.fieldPath")


def _rule_path(where: str, node: Node, path: str) -> Iterator[FieldError]:
    if not where.strip():
        yield FieldError.invalid(path, where, "must be non-empty if specified")
    if _NEWLINE.search(where):
        yield FieldError.invalid(path, where, "must not contain line breaks")
    try:
        fieldpath.resolved(where, node)
    except fieldpath.Wrong:
        yield FieldError.invalid(path, where, "must be a valid path")


def _compiled(node: Node, place: _Place) -> Iterator[FieldError]:
    whole = place.root or bool(node.get("x-kubernetes-embedded-resource"))
    declared = declarations.declared(Schema(node), whole=whole)
    if declared is None:
        why = "Internal error: internal error: failed to construct type information for x-kubernetes-validations rules"
        yield FieldError("InternalError", why, f"{place.path}.{RULES}")
        return
    for number, rule in enumerate(node[RULES]):
        yield from _compiled_rule(rule, compilation.compiled(rule, declared), place, f"{place.path}.{RULES}[{number}]")


def _compiled_rule(rule: Node, made: compilation.Compiled, place: _Place, path: str) -> Iterator[FieldError]:
    if made.error:
        yield FieldError.invalid(f"{path}.rule", _shown(rule), made.error)
    if made.message_error:
        yield FieldError.invalid(f"{path}.messageExpression", _shown(rule), made.message_error)
    if made.uses_old:
        if place.uncorrelated:
            why = f"oldSelf cannot be used on the uncorrelatable portion of the schema within {place.uncorrelated}"
            yield FieldError.invalid(f"{path}.rule", rule["rule"], why)
    elif rule.get("optionalOldSelf") is not None:
        why = "may not be set if oldSelf is not used in rule"
        yield FieldError.invalid(f"{path}.optionalOldSelf", rule["optionalOldSelf"], why)


def _shown(rule: Node) -> Shown:
    """A rule as the server's internal type is printed."""
    texts = {name: rule.get(name) or "" for name in ("rule", "message", "messageExpression")}
    rest = {"reason": rule.get("reason"), "fieldPath": rule.get("fieldPath") or ""}
    told = texts | rest | {"optionalOldSelf": rule.get("optionalOldSelf")}
    return Shown(compact({f"{name[0].upper()}{name[1:]}": value for name, value in told.items()}, sort=False))
