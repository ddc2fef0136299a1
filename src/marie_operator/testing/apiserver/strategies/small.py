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
    forbidden,
    immutable,
    keep_status,
    never,
    only_status,
    required,
    status_and_metadata,
    without,
)
from marie_operator.testing.apiserver.strategies.containers import invalid, negative, unsupported

_NAME_LABEL = "kubernetes.io/metadata.name"


def _named(new: Object) -> Object:
    """A namespace is selected by its name, once it has one."""
    meta = new["metadata"]
    if not meta.get("name"):
        return new
    return {**new, "metadata": {**meta, "labels": {**(meta.get("labels") or {}), _NAME_LABEL: meta["name"]}}}


def _namespace(new: Object, _: Context) -> Object:
    finalizers = list(dict.fromkeys([*((new.get("spec") or {}).get("finalizers") or ()), "kubernetes"]))
    return {**_named(new), "spec": {"finalizers": finalizers}, "status": {"phase": "Active"}}


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


def _referring(new: Object, *_: object) -> Object:
    """Of the secrets that an account may use, only the names are kept."""
    if not new.get("secrets"):
        return new
    return {**new, "secrets": [{"name": each["name"]} if each.get("name") else {} for each in new["secrets"]]}


SERVICE_ACCOUNT = replace(PLAIN, prepare_create=_referring, prepare_update=_referring)


def _lease_errors(new: Object) -> list[FieldError]:
    spec = new.get("spec") or {}
    seconds, found = spec.get("leaseDurationSeconds"), list(negative(spec, ["leaseTransitions"]))
    if seconds is not None and seconds <= 0:
        found.append(invalid(seconds, "must be greater than 0", "spec.leaseDurationSeconds"))
    if spec.get("preferredHolder") and not spec.get("strategy"):
        found.append(forbidden("spec.preferredHolder", "may only be specified if `strategy` is defined"))
    return found


_NOT_READY = {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}


def _node(new: Object) -> Object:
    spec, status = new.get("spec") or {}, new.get("status") or {}
    first, ranges = spec.get("podCIDR"), spec.get("podCIDRs") or []
    if first and ranges[:1] != [first]:
        spec = {**spec, "podCIDRs": [first]}
    elif ranges and not first:
        spec = {**spec, "podCIDR": ranges[0]}
    if status.get("capacity"):
        status = filled(status, allocatable=status["capacity"])
    return {**new, "spec": spec, "status": status}


def _tainted(new: Object, _: Context) -> Object:
    """Nothing is put on a new node before it is ready (``TaintNodesByCondition``)."""
    taints = new["spec"].get("taints") or []
    if any(each.get("key") == _NOT_READY["key"] and each.get("effect") == _NOT_READY["effect"] for each in taints):
        return new
    return {**new, "spec": {**new["spec"], "taints": [*taints, _NOT_READY]}}


def _node_changed(new: Object, old: Object) -> list[FieldError]:
    found = []
    for name in ("podCIDRs", "providerID"):
        held = old["spec"].get(name)
        if held and new["spec"].get(name) != held:
            why = 'node updates may not change podCIDR except from "" to valid' if name == "podCIDRs" else _PROVIDER
            found.append(forbidden(f"spec.{name}", why))
    return found


_PROVIDER = 'node updates may not change providerID except from "" to valid'


def _endpoints(new: Object) -> Object:
    if not new.get("subsets"):
        return new
    return {**new, "subsets": [_subset(each) for each in new["subsets"]]}


def _subset(subset: Object) -> Object:
    """A subset with its defaults."""
    return (
        {**subset, "ports": [filled(each, protocol="TCP") for each in subset["ports"]]}
        if subset.get("ports")
        else subset
    )


def _slice(new: Object) -> Object:
    ports = [filled(each, name="", protocol="TCP") for each in new.get("ports") or ()]
    return {**new, "ports": ports} if ports else new


def _slice_counted(new: Object, old: Object) -> bool:
    """Ends and labels of a slice count, since it is compared with what was asked for."""
    if not old:
        return True
    labels = [each["metadata"].get("labels") for each in (new, old)]
    return without(new, "metadata") != without(old, "metadata") or labels[0] != labels[1]


def _slice_errors(new: Object) -> list[FieldError]:
    found = list(unsupported(new.get("addressType", ""), ("FQDN", "IPv4", "IPv6"), "addressType"))
    for number, end in enumerate(new.get("endpoints") or ()):
        if not end.get("addresses"):
            found.append(required(f"endpoints[{number}].addresses", "must contain at least 1 address"))
    return found


def _slice_changed(new: Object, old: Object) -> list[FieldError]:
    return [*_slice_errors(new), *immutable(new, old, "addressType")]


def _revision_errors(new: Object) -> list[FieldError]:
    found = list(negative(new, ("revision",), ""))
    return found if isinstance(new.get("data"), dict) else [*found, required("data", "data is mandatory")]


def _revision_changed(new: Object, old: Object) -> list[FieldError]:
    return [*negative(new, ("revision",), ""), *immutable(new, old, "data")]


def _priority_errors(new: Object) -> list[FieldError]:
    found = []
    if new["metadata"]["name"].startswith("system-"):
        why = "priority class names with 'system-' prefix are reserved for system use only. error: "
        name = new["metadata"]["name"]
        found.append(forbidden("metadata.name", f"{why}{name} is not a known system priority class"))
    elif new["value"] > _HIGHEST:
        why = f"maximum allowed value of a user defined priority is {_HIGHEST}"
        found.append(forbidden("value", why))
    return [*found, *unsupported(new["preemptionPolicy"], ("Never", "PreemptLowerPriority"), "preemptionPolicy")]


_HIGHEST = 1_000_000_000


def _priority_changed(new: Object, old: Object) -> list[FieldError]:
    found = [forbidden("value", "may not be changed in an update.")] if new["value"] != old["value"] else []
    return [*found, *immutable(new, old, "preemptionPolicy")]


NAMESPACE = Strategy(default=_named, prepare_create=_namespace, prepare_update=_kept, generation=never)
SECRET = replace(
    PLAIN,
    default=_secret,
    validate=_secret_errors,
    validate_update=lambda new, old: [*immutable(new, old, "type"), *_frozen(new, old), *_secret_errors(new)],
)
CONFIG_MAP = replace(
    PLAIN,
    validate=_config_errors,
    validate_update=lambda new, old: [*_frozen(new, old), *_config_errors(new)],
)
LEASE = replace(PLAIN, validate=_lease_errors, validate_update=lambda new, _: _lease_errors(new), unconditional=False)
NODE = replace(
    PLAIN,
    default=_node,
    admit=_tainted,
    prepare_update=keep_status,
    prepare_status=status_and_metadata,
    validate_update=_node_changed,
)
ENDPOINTS = replace(PLAIN, default=_endpoints)
ENDPOINT_SLICE = replace(
    PLAIN, default=_slice, validate=_slice_errors, validate_update=_slice_changed, generation=_slice_counted
)
CONTROLLER_REVISION = replace(PLAIN, validate=_revision_errors, validate_update=_revision_changed)
PRIORITY_CLASS = Strategy(
    default=lambda new: filled(new, preemptionPolicy="PreemptLowerPriority"),
    admit=priority_class,
    validate=_priority_errors,
    validate_update=_priority_changed,
    generation=lambda _, old: not old,
)
SERVICE_CIDR = Strategy(generation=never, prepare_status=only_status)
