"""Kinds with little to them."""

import base64
import re
from dataclasses import replace

from marie_operator.testing.apiserver.errors import FieldError, Object
from marie_operator.testing.apiserver.strategies.admission import priority_class
from marie_operator.testing.apiserver.strategies.base import (
    PLAIN,
    Context,
    Strategy,
    filled,
    immutable,
    keep_status,
    never,
    required,
    without,
)
from marie_operator.testing.apiserver.strategies.containers import invalid


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


IS_KEY = (
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or "
    "'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
)


def _keys(new: Object) -> list[FieldError]:
    found = []
    for name in ("data", "binaryData"):
        for key in new.get(name) or {}:
            at = f"{name}[{key}]"
            if key in {".", ".."}:
                found.append(invalid(key, f"must not be '{key}'", at))
            elif not re.fullmatch(r"[-._a-zA-Z0-9]+", key):
                found.append(invalid(key, IS_KEY, at))
    twice = sorted((new.get("data") or {}).keys() & (new.get("binaryData") or {}).keys())
    return [*found, *(invalid(key, "duplicate of key present in binaryData", f"data[{key}]") for key in twice)]


_MOST = 1024 * 1024
"""Bytes that a ConfigMap or a Secret may hold."""


def _decoded_size(encoded: str) -> int:
    return len(encoded) // 4 * 3 - encoded[-2:].count("=")


def _config_errors(new: Object) -> list[FieldError]:
    size = sum(len(value.encode()) for value in (new.get("data") or {}).values())
    size += sum(map(_decoded_size, (new.get("binaryData") or {}).values()))
    return [*_keys(new), *([FieldError.too_long("[]", _MOST)] if size > _MOST else ())]


_NEEDED = {
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
    "kubernetes.io/dockercfg": (".dockercfg",),
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
}
_ACCOUNT = "kubernetes.io/service-account.name"


def _secret_errors(new: Object) -> list[FieldError]:
    data, kind = new.get("data") or {}, str(new.get("type", ""))
    found = _keys(new)
    if sum(map(_decoded_size, data.values())) > _MOST:
        found.append(FieldError.too_long("data", _MOST))
    found += (required(f"data[{key}]") for key in _NEEDED.get(kind, ()) if key not in data)
    if kind == "kubernetes.io/basic-auth" and not {"username", "password"} & data.keys():
        found += [required("data[username]"), required("data[password]")]
    notes = new["metadata"].get("annotations") or {}
    if kind == "kubernetes.io/service-account-token" and not notes.get(_ACCOUNT):
        found.append(required(f"metadata.annotations[{_ACCOUNT}]"))
    return found


def _claim(new: Object) -> Object:
    spec = filled(new.get("spec") or {}, volumeMode="Filesystem")
    return {**new, "spec": spec}


def _claimed(new: Object, _: Context) -> Object:
    meta = new["metadata"]
    finalizers = list(dict.fromkeys([*(meta.get("finalizers") or ()), "kubernetes.io/pvc-protection"]))
    return {**new, "metadata": {**meta, "finalizers": finalizers}, "status": {"phase": "Pending"}}


def _claim_errors(new: Object) -> list[FieldError]:
    spec, found = new["spec"], []
    if not spec.get("accessModes"):
        found.append(required("spec.accessModes", "at least 1 access mode is required"))
    if "storage" not in ((spec.get("resources") or {}).get("requests") or {}):
        found.append(required("spec.resources[storage]"))
    return found


def _lease_errors(new: Object) -> list[FieldError]:
    seconds = (new.get("spec") or {}).get("leaseDurationSeconds")
    if seconds is not None and seconds <= 0:
        return [invalid(seconds, "must be greater than 0", "spec.leaseDurationSeconds")]
    return []


def _budget_errors(new: Object) -> list[FieldError]:
    spec = new.get("spec") or {}
    if spec.get("minAvailable") is not None and spec.get("maxUnavailable") is not None:
        return [invalid(spec, "minAvailable and maxUnavailable cannot be both set", "spec")]
    return []


def _autoscaler(new: Object) -> Object:
    usage = {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}
    metrics = [{"type": "Resource", "resource": usage}]
    return {**new, "spec": filled(new.get("spec") or {}, minReplicas=1, metrics=metrics)}


NAMESPACE = Strategy(prepare_create=_namespace, prepare_update=_kept, generation=never)
SECRET = replace(
    PLAIN,
    default=_secret,
    validate=_secret_errors,
    validate_update=lambda new, old: [*_secret_errors(new), *immutable(new, old, "type"), *_frozen(new, old)],
)
CONFIG_MAP = replace(
    PLAIN,
    validate=_config_errors,
    validate_update=lambda new, old: [*_config_errors(new), *_frozen(new, old)],
)
CLAIM = Strategy(default=_claim, prepare_create=_claimed, validate=_claim_errors, generation=never)
LEASE = replace(PLAIN, validate=_lease_errors, validate_update=lambda new, _: _lease_errors(new))
PRIORITY_CLASS = Strategy(
    default=lambda new: filled(new, preemptionPolicy="PreemptLowerPriority"), admit=priority_class
)
BUDGET = Strategy(validate=_budget_errors, validate_update=lambda new, _: _budget_errors(new))
AUTOSCALER = Strategy(default=_autoscaler, generation=never)
