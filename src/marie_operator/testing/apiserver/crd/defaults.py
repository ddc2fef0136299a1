"""Defaults of a definition's schema: each must fit the schema that it fills in.

The rules are those of ``ValidateDefaults`` of apiextensions-apiserver.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from marie_operator.testing.apiserver import objects, pruning, validation
from marie_operator.testing.apiserver.errors import FieldError
from marie_operator.testing.apiserver.rules import Rules
from marie_operator.testing.apiserver.schema import Schema

Node = Mapping[str, Any]

_META = frozenset({"metadata", "apiVersion", "kind"})


def problems(node: Node, path: str) -> list[FieldError]:
    """What is wrong with the defaults of a structural schema."""
    return list(_problems(node, path, embedded=True, in_meta=False))


def _problems(node: Node, path: str, *, embedded: bool, in_meta: bool) -> Iterator[FieldError]:
    in_meta = in_meta and not node.get("x-kubernetes-embedded-resource")
    if node.get("default") is not None:
        yield from _default(node, f"{path}.default", in_meta=in_meta)
    if node.get("items") is not None:
        items = node["items"]
        whole = bool(items.get("x-kubernetes-embedded-resource"))
        yield from _problems(items, f"{path}.items", embedded=whole, in_meta=in_meta)
    for name, child in (node.get("properties") or {}).items():
        whole, inside = bool(child.get("x-kubernetes-embedded-resource")), in_meta or (embedded and name in _META)
        yield from _problems(child, f"{path}.properties[{name}]", embedded=whole, in_meta=inside)


def _default(node: Node, path: str, *, in_meta: bool) -> list[FieldError]:
    schema, value = Schema(node), node["default"]
    found = []
    if not in_meta and pruning.prune(value, schema, root=schema.embedded) != value:
        found.append(FieldError.invalid(path, value, "must not have unknown fields"))
    wrong = objects.embedded_errors(value, schema, path) or validation.errors(value, schema, path)
    rules = Rules(schema, whole=schema.embedded)
    return found + (wrong or rules.errors(value, value, path) or rules.errors(value, path=path))
