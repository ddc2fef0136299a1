"""Kinds with little to them."""

import base64

from marie_operator.testing.apiserver.errors import FieldError, Object
from marie_operator.testing.apiserver.strategies.base import (
    PLAIN,
    Context,
    Strategy,
    filled,
    immutable,
    keep_status,
    never,
    without,
)


def _namespace(new: Object, _: Context) -> Object:
    labels = {**(new["metadata"].get("labels") or {}), "kubernetes.io/metadata.name": new["metadata"]["name"]}
    spec = {**(new.get("spec") or {}), "finalizers": ["kubernetes"]}
    return {**new, "metadata": {**new["metadata"], "labels": labels}, "spec": spec, "status": {"phase": "Active"}}


def _kept(new: Object, old: Object, context: Context) -> Object:
    """Finalizers of a namespace's spec are for the subresource."""
    return {**keep_status(new, old, context), "spec": old.get("spec", {})}


def _secret(new: Object) -> Object:
    new = filled(new, type="Opaque")
    plain = new.get("stringData")
    if plain is None:
        return new
    encoded = {name: base64.b64encode(str(value).encode()).decode() for name, value in plain.items()}
    return {**without(new, "stringData"), "data": {**(new.get("data") or {}), **encoded}}


def _frozen(new: Object, old: Object) -> list[FieldError]:
    if not old.get("immutable"):
        return []
    why = "Forbidden: field is immutable when `immutable` is set"
    found = []
    if not new.get("immutable"):
        found.append(FieldError("FieldValueForbidden", why, "immutable"))
    changed = [name for name in ("data", "binaryData") if new.get(name) != old.get(name)]
    return [*found, *(FieldError("FieldValueForbidden", why, name) for name in changed)]


def _keys(new: Object) -> list[FieldError]:
    for name in ("data", "binaryData"):
        if new.get(name) is not None and not isinstance(new[name], dict):
            return [FieldError("FieldValueInvalid", "Invalid value: must be a map", name)]
    return []


NAMESPACE = Strategy(prepare_create=_namespace, prepare_update=_kept, generation=never)
SECRET = Strategy(
    **{
        **PLAIN.__dict__,
        "default": _secret,
        "validate_update": lambda new, old: [*immutable(new, old, "type"), *_frozen(new, old)],
    }
)
CONFIG_MAP = Strategy(**{**PLAIN.__dict__, "validate": _keys, "validate_update": _frozen})
CLAIM = Strategy(
    default=lambda new: {**new, "spec": filled(new.get("spec") or {}, volumeMode="Filesystem")},
    prepare_create=lambda new, _: {**new, "status": {"phase": "Pending"}},
    generation=never,
)
