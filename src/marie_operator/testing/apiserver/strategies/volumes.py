"""PersistentVolumes, claims of them, and their classes."""

from collections.abc import Iterator
from dataclasses import replace

from marie_operator.testing.apiserver.errors import FieldError, Object
from marie_operator.testing.apiserver.strategies.base import (
    PLAIN,
    Context,
    Strategy,
    at,
    difference,
    filled,
    forbidden,
    immutable,
    keep_status,
    never,
    required,
    without,
)
from marie_operator.testing.apiserver.strategies.containers import invalid, unsupported
from marie_operator.testing.apiserver.strategies.quantity import parse

_MODES = ("ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod")
_VOLUME_MODES = ("Block", "Filesystem")


def claim_spec(spec: Object) -> Object:
    """A claim's spec with its defaults."""
    return filled(spec, volumeMode="Filesystem")


def _claim(new: Object) -> Object:
    status = filled(new.get("status") or {}, phase="Pending")
    return {**new, "spec": claim_spec(new.get("spec") or {}), "status": status}


def _claimed(new: Object, _: Context) -> Object:
    meta = _protected(new["metadata"], "kubernetes.io/pvc-protection")
    return {**new, "metadata": meta, "spec": _with_sources(new["spec"]), "status": {"phase": "Pending"}}


def _reclaimed(new: Object, old: Object, context: Context) -> Object:
    return {**keep_status(new, old, context), "spec": _with_sources(new["spec"])}


def _protected(meta: Object, finalizer: str) -> Object:
    return {**meta, "finalizers": list(dict.fromkeys([*(meta.get("finalizers") or ()), finalizer]))}


def _with_sources(spec: Object) -> Object:
    """What a claim is filled from is told both as it was and as it is now (``NormalizeDataSources``)."""
    source, reference = spec.get("dataSource"), spec.get("dataSourceRef")
    if source is not None and reference is None:
        return {**spec, "dataSourceRef": source}
    if reference is not None and source is None and not reference.get("namespace"):
        return {**spec, "dataSource": reference}
    return spec


def _claim_errors(new: Object) -> list[FieldError]:
    return list(claim_errors(new["spec"], "spec"))


def claim_errors(spec: Object, path: str) -> Iterator[FieldError]:
    """What is wrong with a claim's spec."""
    modes = spec.get("accessModes") or ()
    if not modes:
        yield required(f"{path}.accessModes", "at least 1 access mode is required")
    for mode in modes:
        yield from unsupported(mode, _MODES, f"{path}.accessModes")
    if "ReadWriteOncePod" in modes and len(set(modes)) > 1:
        yield forbidden(f"{path}.accessModes", "may not use ReadWriteOncePod with other access modes")
    asked = ((spec.get("resources") or {}).get("requests") or {}).get("storage")
    if asked is None:
        yield required(f"{path}.resources[storage]")
    elif parse(asked)[0] <= 0:
        yield invalid(asked, "must be greater than zero", f"{path}.resources[storage]")
    yield from unsupported(spec["volumeMode"], _VOLUME_MODES, f"{path}.volumeMode")


def _claim_changed(new: Object, old: Object) -> list[FieldError]:
    found = _claim_errors(new)
    spec, before = _asking(new, old), _asking(old, old)
    # What was left open may be settled later; a class of an empty name was asked for.
    for name, left_open in (("volumeName", ("", None)), ("storageClassName", (None,))):
        if old["spec"].get(name) in left_open:
            spec, before = without(spec, name), without(before, name)
    if spec != before:
        why = (
            "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims"
        )
        found.append(forbidden("spec", f"{why}\n{difference(before, spec)}"))
    sizes = [parse(at(each, "spec.resources.requests.storage") or "0")[0] for each in (new, old)]
    if sizes[0] < sizes[1] and sizes[0] <= parse(at(old, "status.capacity.storage") or "0")[0]:
        found.append(forbidden("spec.resources.requests.storage", "field can not be less than status.capacity"))
    return found + [replace(each, field="volumeMode") for each in immutable(new, old, "spec.volumeMode")]


def _asking(claim: Object, old: Object) -> Object:
    """A claim's spec without what a bound one may still ask for."""
    spec: Object = claim["spec"]
    if at(old, "status.phase") != "Bound":
        return spec
    requests = without((spec.get("resources") or {}).get("requests") or {}, "storage")
    return {**without(spec, "volumeAttributesClassName"), "resources": {**spec["resources"], "requests": requests}}


CLAIM = Strategy(
    default=_claim,
    prepare_create=_claimed,
    prepare_update=_reclaimed,
    validate=_claim_errors,
    validate_update=_claim_changed,
    generation=never,
    grows=True,
)


def _volume(new: Object) -> Object:
    spec = filled(new.get("spec") or {}, persistentVolumeReclaimPolicy="Retain", volumeMode="Filesystem")
    if spec.get("hostPath") is not None:
        spec = {**spec, "hostPath": filled(spec["hostPath"], type="")}
    return {**new, "spec": spec, "status": filled(new.get("status") or {}, phase="Pending")}


def _made(new: Object, context: Context) -> Object:
    meta = _protected(new["metadata"], "kubernetes.io/pv-protection")
    status = {"phase": "Pending", "lastPhaseTransitionTime": context.now}
    return {**new, "metadata": meta, "status": status}


def _volume_status(new: Object, old: Object, context: Context) -> Object:
    status = new.get("status") or {}
    if status.get("phase") != at(old, "status.phase"):
        status = {**status, "lastPhaseTransitionTime": context.now}
    else:
        status = filled(status, lastPhaseTransitionTime=at(old, "status.lastPhaseTransitionTime"))
    return {**new, "spec": old["spec"], "status": status}


def _volume_errors(new: Object) -> list[FieldError]:
    spec, found = new["spec"], []
    if not spec.get("accessModes"):
        found.append(required("spec.accessModes"))
    for mode in spec.get("accessModes") or ():
        found += unsupported(mode, _MODES, "spec.accessModes")
    if not spec.get("capacity"):
        found.append(required("spec.capacity"))
    return found


VOLUME = Strategy(
    default=_volume,
    prepare_create=_made,
    prepare_status=_volume_status,
    validate=_volume_errors,
    validate_update=lambda new, _: _volume_errors(new),
    generation=never,
)


def _class_errors(new: Object) -> list[FieldError]:
    found = [] if new.get("provisioner") else [required("provisioner")]
    policies = ("Delete", "Retain")
    found += unsupported(new["reclaimPolicy"], policies, "reclaimPolicy")
    return [*found, *unsupported(new["volumeBindingMode"], ("Immediate", "WaitForFirstConsumer"), "volumeBindingMode")]


def _class_changed(new: Object, old: Object) -> list[FieldError]:
    found = _class_errors(new)
    for name in ("parameters", "provisioner", "reclaimPolicy", "volumeBindingMode"):
        if new.get(name) != old.get(name):
            if name == "parameters":
                found.append(forbidden(name, "updates to parameters are forbidden."))
            elif name == "provisioner":
                found.append(forbidden(name, "updates to provisioner are forbidden."))
            else:
                found += immutable(new, old, name)
    return found


CLASS = replace(
    PLAIN,
    default=lambda new: filled(new, reclaimPolicy="Delete", volumeBindingMode="Immediate"),
    validate=_class_errors,
    validate_update=_class_changed,
)
