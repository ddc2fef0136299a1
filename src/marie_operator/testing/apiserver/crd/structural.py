"""Structural schemas: what makes the schema of a definition one that a server can prune and default by.

The rules are those of ``ValidateStructural`` of apiextensions-apiserver.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from marie_operator.testing.apiserver.crd import regexp
from marie_operator.testing.apiserver.errors import FieldError

Node = Mapping[str, Any]

_INT_OR_STRING = [{"type": "integer"}, {"type": "string"}]
_JUNCTORS = ("allOf", "anyOf", "oneOf")
_UNSUPPORTED = {
    "id": "id",
    "$schema": "schema",
    "$ref": "$ref",
    "patternProperties": "patternProperties",
    "dependencies": "dependencies",
    "additionalItems": "additionalItems",
    "definitions": "definitions",
}
_WHERE = {"root": "at the root", "item": "for specified array items", "field": "for specified object fields"}
_FORBIDDEN_IN_NESTED = (
    ("type", "must be empty to be structural"),
    ("default", "must be undefined to be structural"),
    ("title", "must be empty to be structural"),
    ("description", "must be empty to be structural"),
    ("nullable", "must be false to be structural"),
    ("x-kubernetes-preserve-unknown-fields", "must be false to be structural"),
    ("x-kubernetes-embedded-resource", "must be false to be structural"),
    ("x-kubernetes-int-or-string", "must be false to be structural"),
    ("x-kubernetes-list-map-keys", "must be empty to be structural"),
    ("x-kubernetes-list-type", "must be undefined to be structural"),
    ("x-kubernetes-map-type", "must be undefined to be structural"),
    ("x-kubernetes-validations", "must be empty to be structural"),
)


def unsupported(node: Node) -> str:
    """Why a schema cannot be read as a structural one at all; empty when it can."""
    for name, told in _UNSUPPORTED.items():
        if node.get(name):
            return f"OpenAPIV3Schema '{told}' is not supported"
    if isinstance(node.get("items"), list):
        return "OpenAPIV3Schema 'items' must be a schema, but is an array"
    if node.get("x-kubernetes-preserve-unknown-fields") is False:
        return "internal error: 'x-kubernetes-preserve-unknown-fields' must be true or undefined"
    below = (*children(node), *(part for name in _JUNCTORS for part in node.get(name) or ()), node.get("not"))
    return next((why for each in below if isinstance(each, Mapping) and (why := unsupported(each))), "")


def children(node: Node) -> Iterator[Node]:
    """The schemas of fields, values and items."""
    yield from (node.get("properties") or {}).values()
    for name in ("additionalProperties", "items"):
        if isinstance(node.get(name), Mapping):
            yield node[name]


def problems(node: Node, path: str) -> list[FieldError]:
    """What keeps a schema from being structural, in the order of messages."""
    found = [*_invariants(node, "root", path), *_incomplete(node, node, path, path)]
    return sorted(found, key=str)


def _invariants(node: Node, level: str, path: str) -> Iterator[FieldError]:
    kind = node.get("type") or ""
    if kind == "array" and node.get("items") is None:
        yield FieldError.required(f"{path}.items", "must be specified")
    if node.get("items") is not None:
        yield from _invariants(node["items"], "item", f"{path}.items")
    for name, child in (node.get("properties") or {}).items():
        yield from _invariants(child, "field", f"{path}.properties[{name}]")
    values = node.get("additionalProperties")
    if values is not None and level == "root":
        yield FieldError.forbidden(f"{path}.additionalProperties", "must not be used at the root")
    if isinstance(values, Mapping):
        yield from _invariants(values, "field", f"{path}.additionalProperties")
    yield from _extensions(node, path)
    any_of = node.get("anyOf") == _INT_OR_STRING
    all_of = bool(node.get("allOf")) and node["allOf"][0].get("anyOf") == _INT_OR_STRING
    yield from _value_validation(node, path, skip_any_of=any_of, skip_first=all_of)
    yield from _types(node, kind, level, path)
    yield from _metadata(node, level, path)


def _extensions(node: Node, path: str) -> Iterator[FieldError]:
    if node.get("x-kubernetes-int-or-string"):
        for name in ("preserve-unknown-fields", "embedded-resource"):
            if node.get(f"x-kubernetes-{name}"):
                why = "must be false if x-kubernetes-int-or-string is true"
                yield FieldError.invalid(f"{path}.x-kubernetes-{name}", True, why)


def _types(node: Node, kind: str, level: str, path: str) -> Iterator[FieldError]:
    at = f"{path}.type"
    embedded, preserves = (
        node.get(f"x-kubernetes-{name}") for name in ("embedded-resource", "preserve-unknown-fields")
    )
    if embedded and kind != "object":
        why = "must be object if x-kubernetes-embedded-resource is true"
        yield FieldError.invalid(at, kind, why) if kind else FieldError.required(at, why)
    elif not kind and not node.get("x-kubernetes-int-or-string") and not preserves:
        yield FieldError.required(at, f"must not be empty {_WHERE[level]}")
    if embedded and node.get("additionalProperties") is not None:
        why = "must not be used if x-kubernetes-embedded-resource is set"
        yield FieldError.forbidden(f"{path}.additionalProperties", why)
    if level == "root" and kind and kind != "object":
        yield FieldError.invalid(at, kind, "must be object at the root")
    if embedded and not preserves and not node.get("properties"):
        why = "must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields"
        yield FieldError.required(f"{path}.properties", why)


def _metadata(node: Node, level: str, path: str) -> Iterator[FieldError]:
    """What every object has is not the definition's to describe."""
    checked = level == "root" or bool(node.get("x-kubernetes-embedded-resource"))
    known = node.get("properties") or {}
    for name in ("kind", "apiVersion"):
        if checked and name in known and known[name].get("type") != "string":
            at = f"{path}.properties[{name}].type"
            yield FieldError.invalid(at, known[name].get("type") or "", "must be string")
    if (metadata := known.get("metadata")) is None:
        return
    at = f"{path}.properties[metadata]"
    if checked and metadata.get("type") != "object":
        yield FieldError.invalid(f"{at}.type", metadata.get("type") or "", "must be object")
    if level == "root" and not _only_names(metadata):
        why = "must not specify anything other than name and generateName, but metadata is implicitly specified"
        yield FieldError.forbidden(at, why)


def _only_names(metadata: Node) -> bool:
    said = {name for name, value in metadata.items() if value is not False and value not in ("", [], {})}
    named = set(metadata.get("properties") or ())
    return not (said - {"type", "default", "properties"}) and named <= {"name", "generateName"}


def _value_validation(
    node: Node, path: str, *, skip_any_of: bool = False, skip_first: bool = False
) -> Iterator[FieldError]:
    if not skip_any_of:
        yield from _all_nested(node.get("anyOf") or (), f"{path}.anyOf")
    yield from _all_nested(node.get("allOf") or (), f"{path}.allOf", skip_first=skip_first)
    yield from _all_nested(node.get("oneOf") or (), f"{path}.oneOf")
    if node.get("not") is not None:
        yield from _nested(node["not"], f"{path}.not")
    if pattern := node.get("pattern"):
        try:
            regexp.compiled(pattern)
        except regexp.Malformed as error:
            why = f"must be a valid regular expression, but isn't: error parsing regexp: {error}"
            yield FieldError.invalid(f"{path}.pattern", pattern, why)


def _all_nested(parts: Sequence[Node], path: str, *, skip_first: bool = False) -> Iterator[FieldError]:
    for number, part in enumerate(parts):
        yield from _nested(part, f"{path}[{number}]", skip_any_of=skip_first and number == 0)


def _nested(node: Node, path: str, *, skip_any_of: bool = False) -> Iterator[FieldError]:
    """Under a junctor a schema may constrain values, but say nothing of their form."""
    yield from _value_validation(node, path, skip_any_of=skip_any_of)
    if isinstance(node.get("items"), Mapping):
        yield from _nested(node["items"], f"{path}.items")
    for name, child in (node.get("properties") or {}).items():
        yield from _nested(child, f"{path}.properties[{name}]")
    if node.get("additionalProperties"):
        yield FieldError.forbidden(f"{path}.additionalProperties", "must be undefined to be structural")
    for name, why in _FORBIDDEN_IN_NESTED:
        if node.get(name) or (name == "default" and node.get(name) is not None):
            yield FieldError.forbidden(f"{path}.{name}", why)
    if "metadata" in (node.get("properties") or {}):
        yield FieldError.forbidden(f"{path}.properties[metadata]", "must not be specified in a nested context")


def _incomplete(checks: Node, form: Node | None, form_path: str, path: str) -> Iterator[FieldError]:
    """Fields that are constrained under a junctor must be known outside of it."""
    if isinstance(checks.get("not"), Mapping):
        yield from _incomplete_nested(checks["not"], form, form_path, f"{path}.not")
    for name in _JUNCTORS:
        for number, part in enumerate(checks.get(name) or ()):
            yield from _incomplete_nested(part, form, form_path, f"{path}.{name}[{number}]")


def _incomplete_nested(checks: Node, form: Node | None, form_path: str, path: str) -> Iterator[FieldError]:
    if form is None:
        yield FieldError.required(form_path, f"because it is defined in {path}")
        return
    yield from _incomplete(checks, form, form_path, path)
    if isinstance(checks.get("items"), Mapping):
        yield from _incomplete_nested(checks["items"], form.get("items"), f"{form_path}.items", f"{path}.items")
    known = form.get("properties") or {}
    for name, child in (checks.get("properties") or {}).items():
        at, inner = f"{form_path}.properties[{name}]", f"{path}.properties[{name}]"
        if name in known:
            yield from _incomplete_nested(child, known[name], at, inner)
        else:
            yield FieldError.required(at, f"because it is defined in {inner}")
