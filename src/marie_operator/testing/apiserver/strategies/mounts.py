"""Volumes of pods."""

from collections.abc import Iterator

from marie_operator.testing.apiserver.errors import FieldError, Json, Object
from marie_operator.testing.apiserver.strategies.base import filled, forbidden
from marie_operator.testing.apiserver.strategies.volumes import claim_spec

_WITH_MODE = ("secret", "configMap", "downwardAPI", "projected")
_HOUR = 3600


def volume(given: Object) -> Object:
    """A volume with its defaults."""
    if not any(name != "name" for name in given):
        return {**given, "emptyDir": {}}
    changes: dict[str, Json] = {}
    for name in _WITH_MODE:
        if given.get(name) is not None:
            changes[name] = filled(given[name], defaultMode=420)
    if given.get("hostPath") is not None:
        changes["hostPath"] = filled(given["hostPath"], type="")
    if given.get("downwardAPI") is not None:
        changes["downwardAPI"] = _downward(changes["downwardAPI"])
    if given.get("projected") is not None:
        sources = [_projection(each) for each in given["projected"].get("sources") or ()]
        changes["projected"] = {**changes["projected"], "sources": sources or None}
    if (claim := (given.get("ephemeral") or {}).get("volumeClaimTemplate")) is not None:
        template = {**claim, "spec": claim_spec(claim.get("spec") or {})}
        changes["ephemeral"] = {**given["ephemeral"], "volumeClaimTemplate": template}
    return {**given, **changes}


def _projection(source: Object) -> Object:
    if source.get("serviceAccountToken"):
        return {**source, "serviceAccountToken": filled(source["serviceAccountToken"], expirationSeconds=_HOUR)}
    return {**source, "downwardAPI": _downward(source["downwardAPI"])} if source.get("downwardAPI") else source


def _downward(source: Object) -> Object:
    items = [field_reference(each) for each in source.get("items") or ()]
    return {**source, "items": items} if items else source


def field_reference(holder: Object) -> Object:
    """What holds a reference to a field of a pod, with the version that is meant."""
    if not holder.get("fieldRef"):
        return holder
    return {**holder, "fieldRef": {**holder["fieldRef"], "apiVersion": holder["fieldRef"].get("apiVersion") or "v1"}}


def account_errors(spec: Object) -> Iterator[FieldError]:
    """A pod whose account is not named has no token of it."""
    if spec.get("serviceAccountName"):
        return
    for number, each in enumerate(spec.get("volumes") or ()):
        for index, source in enumerate((each.get("projected") or {}).get("sources") or ()):
            if source.get("serviceAccountToken") is not None:
                path = f"spec.volumes[{number}].projected.sources[{index}].serviceAccountToken"
                yield forbidden(path, "must not be specified when serviceAccountName is not set")
