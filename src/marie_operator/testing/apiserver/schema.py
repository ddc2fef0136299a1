"""Structural schemas, compiled: what is known of each field of a kind, built-in or from a CRD, in one form.

The source is the OpenAPI dialect of Kubernetes. A built-in kind's definitions refer to one another, some in circles;
a CRD's are written out.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, Final

from marie_operator.testing.apiserver import formats
from marie_operator.testing.apiserver.marks import DROPPED, marks_of

Json = Any
_FORMATS: Final[Mapping[str, tuple[str, ...]]] = {"integer": ("int32", "int64"), "number": ("float", "double")}
Types = frozenset[type]
_SCALARS: Final[Mapping[str, Types]] = {
    "string": frozenset({str}),
    "integer": frozenset({int}),
    "number": frozenset({int, float}),
    "boolean": frozenset({bool}),
}
_BOUNDS: Final = frozenset({"enum", "pattern", "minLength", "maxLength", "minimum", "maximum", "multipleOf"})
MISSING: Final = object()

Resolve = Callable[[str], Mapping[str, Json]]
"""The definition that a ``$ref`` names."""


class Schema:
    """One node.

    Args:
        node: The OpenAPI object.
        resolve: Finds the definitions it refers to; not needed where there are none.
    """

    def __init__(self, node: Mapping[str, Json], resolve: Resolve | None = None) -> None:
        self._resolve = resolve
        self._definition = ""
        self.node = self._resolved(node)
        """The OpenAPI object itself, for what is not an attribute here: bounds, patterns, rules."""

    def _resolved(self, node: Mapping[str, Json]) -> Mapping[str, Json]:
        parts = node.get("allOf") or ()
        reference = node.get("$ref") or next((part["$ref"] for part in parts if "$ref" in part), None)
        if reference is None or self._resolve is None:
            return node
        self._definition = reference
        # What stands beside a reference (default, list type, description) is of this field alone.
        beside = {name: value for name, value in node.items() if name not in {"$ref", "allOf"}}
        return {**self._resolve(reference), **beside}

    @cached_property
    def type(self) -> str:
        """``object``, ``array``, ``string``, ``integer``, ``number``, ``boolean``; empty where any is allowed."""
        return str(self.node.get("type", ""))

    @cached_property
    def fields(self) -> "Mapping[str, Schema]":
        """Of an object with named fields."""
        return {name: Schema(child, self._resolve) for name, child in (self.node.get("properties") or {}).items()}

    @cached_property
    def values(self) -> "Schema | None":
        """Of a map: its values."""
        found = self.node.get("additionalProperties")
        return Schema(found, self._resolve) if isinstance(found, Mapping) else None

    @cached_property
    def items(self) -> "Schema | None":
        """Of a list: its items."""
        found = self.node.get("items")
        return Schema(found, self._resolve) if isinstance(found, Mapping) else None

    @cached_property
    def all_of(self) -> "Sequence[Schema]":
        """What a value must fit as well; references of built-in kinds are no part of it."""
        return self._parts("allOf")

    @cached_property
    def any_of(self) -> "Sequence[Schema]":
        """Of what a value must fit one."""
        return self._parts("anyOf")

    @cached_property
    def one_of(self) -> "Sequence[Schema]":
        """Of what a value must fit just one."""
        return self._parts("oneOf")

    @cached_property
    def excluded(self) -> "Schema | None":
        """What a value must not fit."""
        found = self.node.get("not")
        return Schema(found) if isinstance(found, Mapping) else None

    @cached_property
    def combined(self) -> bool:
        """Whether there are schemas beside that a value must fit, or must not."""
        return bool(self.all_of or self.any_of or self.one_of or self.excluded)

    @cached_property
    def unbounded(self) -> Types:
        """The types of values that fit whatever they are."""
        scalars = _SCALARS.get(self.type, frozenset())
        checked = self.combined or self.known_format or self.int_or_string or self.node.keys() & _BOUNDS
        return frozenset() if checked else scalars

    def _parts(self, junctor: str) -> "Sequence[Schema]":
        if self._resolve is not None:
            return ()
        return tuple(Schema(part) for part in self.node.get(junctor) or ())

    def child(self, name: str) -> "Schema | None":
        """What is known of a field or a map's entry; None for a field that the schema does not know."""
        return self.fields.get(name) or self.values

    @cached_property
    def list_type(self) -> str:
        """How lists merge: ``atomic``, ``set`` or ``map``."""
        return str(self.node.get("x-kubernetes-list-type", "atomic"))

    @cached_property
    def list_keys(self) -> tuple[str, ...]:
        """The fields that tell items of a list of type ``map`` apart."""
        return tuple(self.node.get("x-kubernetes-list-map-keys") or ())

    @cached_property
    def atomic(self) -> bool:
        """Whether an object is replaced as a whole."""
        untyped = self.built_in and self.type == "object" and "properties" not in self.node
        return self.node.get("x-kubernetes-map-type") == "atomic" or (untyped and self.values is None)

    @cached_property
    def preserves(self) -> bool:
        """Whether unknown fields are kept here."""
        return bool(self.node.get("x-kubernetes-preserve-unknown-fields")) or not (
            self.type or self.fields or self.values or self.items or self.int_or_string
        )

    @cached_property
    def embedded(self) -> bool:
        """Whether it is an object of a kind of its own, with apiVersion, kind and metadata."""
        return bool(self.node.get("x-kubernetes-embedded-resource"))

    @cached_property
    def int_or_string(self) -> bool:
        """Whether it is a number or a string."""
        if self._resolve is not None:
            return self.node.get("format") == "int-or-string"
        return bool(self.node.get("x-kubernetes-int-or-string"))

    @cached_property
    def known_format(self) -> str:
        """The format that is looked at; empty for one that is for people, and for those of built-in kinds."""
        name = "" if self._resolve is not None else str(self.node.get("format", ""))
        known = _FORMATS.get(self.type, formats.KNOWN if self.type == "string" else ())
        return name if (name.replace("-", "") if self.type == "string" else name) in known else ""

    @cached_property
    def nullable(self) -> bool:
        """Whether null is a value here, rather than the absence of one."""
        return bool(self.node.get("nullable"))

    @cached_property
    def default(self) -> Json:
        """What an absent field becomes; MISSING when it stays absent. Copy it before use."""
        return self.node.get("default", MISSING)

    @cached_property
    def merge_key(self) -> str:
        """The field by which a strategic merge patch tells items apart; empty when lists are replaced."""
        strategies = str(self.node.get("x-kubernetes-patch-strategy", "")).split(",")
        return str(self.node.get("x-kubernetes-patch-merge-key", "")) if "merge" in strategies else ""

    @cached_property
    def patch_strategies(self) -> frozenset[str]:
        """``merge``, ``replace``, ``retainKeys`` of a strategic merge patch."""
        return frozenset(str(self.node.get("x-kubernetes-patch-strategy", "")).split(",")) - {""}

    @cached_property
    def granular(self) -> bool:
        """Whether the items of a list have owners of their own; else the list has one as a whole."""
        if "x-kubernetes-list-type" in self.node:
            return self.list_type in {"set", "map"}
        return "merge" in self.patch_strategies

    @cached_property
    def item_keys(self) -> tuple[str, ...]:
        """The fields by which ownership tells items of a granular list apart; none when items are values."""
        if "x-kubernetes-list-type" in self.node:
            return self.list_keys
        return (self.merge_key,) if self.merge_key else ()

    @cached_property
    def item_defaults(self) -> Mapping[str, Json]:
        """What the fields that tell items of a granular list apart are in items without them, in order of names."""
        known = {} if self.items is None else self.items.fields
        defaults = {name: known[name].default if name in known else MISSING for name in sorted(self.item_keys)}
        return {name: MISSING if default is None else default for name, default in defaults.items()}

    @property
    def built_in(self) -> bool:
        """Whether it is of a built-in kind, to which an absent field and null are the same."""
        return self._resolve is not None

    @cached_property
    def zeros(self) -> Mapping[str, Json]:
        """What absent fields of a built-in kind are where Go has no way to say that they are absent."""
        if self._resolve is None:
            return {}
        marks = marks_of(self._definition)
        null = [name for name in self.node.get("required") or () if marks.get(name, "^") == "^"]
        found = {name: child.zero for name, child in self.fields.items() if marks.get(name) not in DROPPED}
        found |= {name: None for name in null if found.get(name) is MISSING}
        return {name: value for name, value in found.items() if value is not MISSING}

    @cached_property
    def zero(self) -> Json:
        """The value of a field of a built-in kind that is no pointer and was not set; MISSING for any other."""
        default = self.default
        if self.type == "object":
            return {} if default == {} else MISSING
        return default if isinstance(default, bool | int | float | str) and not default else MISSING

    @cached_property
    def as_object(self) -> "Schema":
        """The same for a whole object: with the type and the metadata that every kind has, whatever it says of them."""
        known = self.node.get("properties") or {}
        if "ownerReferences" in (self.fields["metadata"].fields if "metadata" in self.fields else ()):
            return self
        properties = {**known, "apiVersion": _STRING, "kind": _STRING, "metadata": OBJECT_META}
        return Schema({**self.node, "properties": properties}, self._resolve)

    def owned(self, name: str) -> "Schema | None":
        """As :meth:`child`, and what is in an open object is known to be anything."""
        found = self.child(name)
        if found is not None:
            return found
        if self.embedded and name in {"apiVersion", "kind", "metadata"}:
            return self.as_object.fields[name]
        return ANY if self.open else None

    @cached_property
    def members(self) -> "Mapping[str, tuple[str, Schema]]":
        """The named fields as ownership sees them: the path element of each, and its schema."""
        return {name: (f"f:{name}", child) for name, child in self.fields.items()}

    @cached_property
    def open(self) -> bool:
        """Whether an object may have fields that are not told."""
        declared = self.node.get("additionalProperties")
        return self.preserves or bool(declared) or (declared is None and not self.fields)


_STRING: Final = {"type": "string"}
_REQUIRED_STRING: Final = {"type": "string", "default": ""}
_TIME: Final = {"type": "string", "format": "date-time"}
_INTEGER: Final = {"type": "integer", "format": "int64"}
_OPEN: Final = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
_STRINGS: Final = {"type": "object", "additionalProperties": _REQUIRED_STRING}
_OWNER: Final = {
    "type": "object",
    "properties": {
        "apiVersion": _REQUIRED_STRING,
        "blockOwnerDeletion": {"type": "boolean"},
        "controller": {"type": "boolean"},
        "kind": _REQUIRED_STRING,
        "name": _REQUIRED_STRING,
        "uid": _REQUIRED_STRING,
    },
    "x-kubernetes-map-type": "atomic",
}

OBJECT_META: Final[Mapping[str, Json]] = {
    "type": "object",
    "properties": {
        "annotations": _STRINGS,
        "creationTimestamp": _TIME,
        "deletionGracePeriodSeconds": _INTEGER,
        "deletionTimestamp": _TIME,
        "finalizers": {"type": "array", "items": _REQUIRED_STRING, "x-kubernetes-list-type": "set"},
        "generateName": _STRING,
        "generation": _INTEGER,
        "labels": _STRINGS,
        "managedFields": {"type": "array", "items": _OPEN, "x-kubernetes-list-type": "atomic"},
        "name": _STRING,
        "namespace": _STRING,
        "ownerReferences": {
            "type": "array",
            "items": _OWNER,
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["uid"],
        },
        "resourceVersion": _STRING,
        "selfLink": _STRING,
        "uid": _STRING,
    },
}
"""``metadata`` of every kind, as ownership sees it."""

ANY: Final = Schema({})
"""Of what nothing is known: objects merge field by field, lists are replaced."""
