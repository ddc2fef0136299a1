"""Deployments and what else keeps pods running."""

import re
from collections.abc import Callable
from dataclasses import replace

from marie_operator.testing.apiserver.errors import FieldError, Object
from marie_operator.testing.apiserver.strategies import notices, pods
from marie_operator.testing.apiserver.strategies.base import (
    PLAIN,
    Context,
    Strategy,
    filled,
    forbidden,
    immutable,
    keep_status,
    required,
    shown,
    spec_changes,
    status_and_metadata,
    without,
)
from marie_operator.testing.apiserver.strategies.containers import invalid, negative, spec_errors
from marie_operator.testing.apiserver.strategies.volumes import claim_errors, claim_spec

IS_PERCENT = (
    "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for "
    "validation is '[0-9]+%')"
)
_STRATEGIES = ("Recreate", "RollingUpdate")
_ROLLING = {"maxUnavailable": "25%", "maxSurge": "25%"}


def _templated(new: Object, **defaults: object) -> Object:
    spec = filled(new.get("spec") or {}, **defaults)
    if spec.get("template") is not None:
        spec = {**spec, "template": pods.template(spec["template"])}
    return {**new, "spec": spec}


def _deployment(new: Object) -> Object:
    new = _templated(new, replicas=1, revisionHistoryLimit=10, progressDeadlineSeconds=600)
    strategy = filled(new["spec"].get("strategy") or {}, type="RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        rolling = strategy.get("rollingUpdate") or {}
        strategy = {**strategy, "rollingUpdate": filled(rolling, **_ROLLING)}
    return {**new, "spec": {**new["spec"], "strategy": strategy}}


_COUNTS = ("replicas", "minReadySeconds", "revisionHistoryLimit")


def _errors(new: Object, controller: str = "ReplicaSet") -> list[FieldError]:
    return [*pods.template_errors(new["spec"], controller=controller), *negative(new["spec"], _COUNTS)]


def _daemon_errors(new: Object) -> list[FieldError]:
    return _errors(new, "DaemonSet")


def _deployment_errors(new: Object) -> list[FieldError]:
    found, spec = _errors(new), new["spec"]
    strategy = spec["strategy"]
    if strategy["type"] not in _STRATEGIES:
        inside = f'{{"Type":{shown(strategy["type"])},"RollingUpdate":{shown(strategy.get("rollingUpdate"))}}}'
        listed = ", ".join(map(shown, _STRATEGIES))
        why = f"Unsupported value: {inside}: supported values: {listed}"
        found.append(FieldError("FieldValueNotSupported", why, "spec.strategy"))
    rolling, at = strategy.get("rollingUpdate"), "spec.strategy.rollingUpdate"
    if strategy.get("type") == "Recreate" and rolling is not None:
        why = "Forbidden: may not be specified when strategy `type` is 'Recreate'"
        found.append(FieldError("FieldValueForbidden", why, at))
    for name in ("maxUnavailable", "maxSurge"):
        value = (rolling or {}).get(name)
        if isinstance(value, str) and not re.fullmatch(r"\d+%", value):
            found.append(invalid(value, IS_PERCENT, f"{at}.{name}"))
    if rolling and all(rolling.get(name) in {0, "0%"} for name in ("maxUnavailable", "maxSurge")):
        found.append(invalid(0, "may not be 0 when `maxSurge` is 0", f"{at}.maxUnavailable"))
    deadline = spec.get("progressDeadlineSeconds")
    if deadline is not None and deadline <= (spec.get("minReadySeconds") or 0):
        found.append(invalid(deadline, "must be greater than minReadySeconds", "spec.progressDeadlineSeconds"))
    return found


def _changed(new: Object, old: Object) -> list[FieldError]:
    return [*_errors(new), *immutable(new, old, "spec.selector")]


def _deployment_changed(new: Object, old: Object) -> list[FieldError]:
    return [*_deployment_errors(new), *immutable(new, old, "spec.selector")]


def _annotated(new: Object, old: Object) -> bool:
    """Annotations of a Deployment count, since its rollouts are told apart by them."""
    if not old:
        return True
    notes = [each["metadata"].get("annotations") or {} for each in (new, old)]
    return spec_changes(new, old) or notes[0] != notes[1]


def _stateful(new: Object) -> Object:
    new = _templated(new, replicas=1, revisionHistoryLimit=10, podManagementPolicy="OrderedReady")
    spec = new["spec"]
    strategy = filled(spec.get("updateStrategy") or {}, type="RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        strategy = {**strategy, "rollingUpdate": filled(strategy.get("rollingUpdate") or {}, partition=0)}
    claims = [_claim(each) for each in spec.get("volumeClaimTemplates") or ()]
    if claims:
        spec = {**spec, "volumeClaimTemplates": claims}
    kept = filled(spec.get("persistentVolumeClaimRetentionPolicy") or {}, whenDeleted="Retain", whenScaled="Retain")
    return {**new, "spec": {**spec, "updateStrategy": strategy, "persistentVolumeClaimRetentionPolicy": kept}}


def _claim(template: Object) -> Object:
    status = filled(template.get("status") or {}, phase="Pending")
    named = {"kind": "PersistentVolumeClaim", "apiVersion": "v1"}
    return {**template, **named, "spec": claim_spec(template.get("spec") or {}), "status": status}


def _ungated(new: Object) -> Object:
    """Without what is behind a feature gate (``MaxUnavailableStatefulSet``)."""
    strategy = new["spec"]["updateStrategy"]
    if "maxUnavailable" not in (strategy.get("rollingUpdate") or {}):
        return new
    strategy = {**strategy, "rollingUpdate": without(strategy["rollingUpdate"], "maxUnavailable")}
    return {**new, "spec": {**new["spec"], "updateStrategy": strategy}}


_MAY_CHANGE = (
    *("replicas", "ordinals", "template", "updateStrategy", "revisionHistoryLimit"),
    *("persistentVolumeClaimRetentionPolicy", "minReadySeconds"),
)


def _stateful_errors(new: Object) -> list[FieldError]:
    found = _stateful_spec_errors(new)
    for number, each in enumerate(new["spec"].get("volumeClaimTemplates") or ()):
        found += claim_errors(each["spec"], f"spec.volumeClaimTemplates[{number}].spec")
    return found


def _stateful_spec_errors(new: Object) -> list[FieldError]:
    found = pods.template_errors({**new["spec"], "template": _mounted(new["spec"])}, "statefulset", "StatefulSet")
    found += negative(new["spec"], _COUNTS)
    return found


def _mounted(spec: Object) -> Object:
    """The template with the volumes that each pod gets a claim for."""
    claims = [{"name": each["metadata"]["name"]} for each in spec.get("volumeClaimTemplates") or ()]
    if not claims or not spec.get("template"):
        return spec.get("template") or {}
    own = spec["template"]["spec"]
    left = [each for each in own.get("volumes") or () if each["name"] not in [claim["name"] for claim in claims]]
    return {**spec["template"], "spec": {**own, "volumes": [*claims, *left]}}


def _stateful_changed(new: Object, old: Object) -> list[FieldError]:
    found = _stateful_spec_errors(new)
    if without(new["spec"], *_MAY_CHANGE) != without(old["spec"], *_MAY_CHANGE):
        why = (
            "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', "
            "'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden"
        )
        found.append(forbidden("spec", why))
    return found


_TEMPLATES = "deprecated.daemonset.template.generation"


def _daemon(new: Object) -> Object:
    new = _templated(new, revisionHistoryLimit=10)
    strategy = filled(new["spec"].get("updateStrategy") or {}, type="RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        rolling = filled(strategy.get("rollingUpdate") or {}, maxUnavailable=1, maxSurge=0)
        strategy = {**strategy, "rollingUpdate": rolling}
    meta = new["metadata"]
    notes = {_TEMPLATES: "0", **(meta.get("annotations") or {})}
    return {**new, "metadata": {**meta, "annotations": notes}, "spec": {**new["spec"], "updateStrategy": strategy}}


def _first_template(new: Object, _: Context) -> Object:
    return _with_templates(new, 1)


def _next_template(new: Object, old: Object, context: Context) -> Object:
    """The templates that a DaemonSet has had are counted in an annotation."""
    count = int((old["metadata"].get("annotations") or {}).get(_TEMPLATES, "1"))
    changed = new["spec"]["template"] != old["spec"]["template"]
    return _with_templates(keep_status(new, old, context), count + changed)


def _with_templates(new: Object, count: int) -> Object:
    meta = new["metadata"]
    notes = {**(meta.get("annotations") or {}), _TEMPLATES: str(count)}
    return {**new, "metadata": {**meta, "annotations": notes}}


def _controller(new: Object) -> Object:
    """Labels of its pods are what a ReplicationController has and selects, when it was told neither."""
    new = _templated(new, replicas=1)
    spec, meta = new["spec"], new["metadata"]
    labels = ((spec.get("template") or {}).get("metadata") or {}).get("labels")
    if labels:
        spec = spec if spec.get("selector") else {**spec, "selector": labels}
        meta = meta if meta.get("labels") else {**meta, "labels": labels}
    return {**new, "metadata": meta, "spec": spec}


def _controller_errors(new: Object) -> list[FieldError]:
    spec = new["spec"]
    found = [*negative(spec, ("replicas", "minReadySeconds"))]
    selector, template = spec.get("selector"), spec.get("template")
    if not selector:
        found.append(required("spec.selector"))
    if not template:
        return [*found, required("spec.template")]
    labels = template["metadata"].get("labels")
    if not (selector or {}).items() <= (labels or {}).items():
        found.append(invalid(labels, "`selector` does not match template `labels`", "spec.template.metadata.labels"))
    return found + pods.running_errors(template["spec"], "spec.template.spec", "ReplicationController")


def _pod_template(new: Object) -> Object:
    return {**new, "template": pods.template(new.get("template") or {})}


def _counts_errors(*parts: str, ready: str = "readyReplicas") -> Callable[[Object, Object], list[FieldError]]:
    """Complains of a status in which there is more of a part than of the whole."""

    def errors(new: Object, _: Object) -> list[FieldError]:
        status = new.get("status") or {}
        counted = (*parts, "readyReplicas", "availableReplicas")
        numbers = {name: status.get(name) or 0 for name in counted}
        found = list(negative(status, ("observedGeneration", "replicas", *counted, *_COUNTED), "status"))
        for name, number in numbers.items():
            if number > (status.get("replicas") or 0):
                found.append(invalid(number, "cannot be greater than status.replicas", f"status.{name}"))
        available = numbers["availableReplicas"]
        if available > numbers["readyReplicas"]:
            found.append(invalid(available, f"cannot be greater than {ready}", "status.availableReplicas"))
        return found

    return errors


_COUNTED = ("unavailableReplicas", "terminatingReplicas", "collisionCount")


def _deployment_status(new: Object, old: Object, context: Context) -> Object:
    """Labels are not for who tells the status."""
    meta = {**new["metadata"], "labels": old["metadata"].get("labels")}
    return status_and_metadata({**new, "metadata": meta}, old, context)


DEPLOYMENT = Strategy(
    default=_deployment,
    prepare_status=_deployment_status,
    validate_status=_counts_errors("updatedReplicas"),
    validate=_deployment_errors,
    validate_update=_deployment_changed,
    generation=_annotated,
    warnings=notices.of_template("spec", "template"),
)
REPLICA_SET = Strategy(
    default=lambda new: _templated(new, replicas=1),
    validate_status=_counts_errors("fullyLabeledReplicas"),
    validate=_errors,
    validate_update=_changed,
    warnings=notices.of_template("spec", "template"),
)
STATEFUL_SET = Strategy(
    default=_stateful,
    prepare_create=lambda new, _: without(_ungated(new), "status"),
    prepare_update=lambda new, old, context: keep_status(_ungated(new), old, context),
    validate=_stateful_errors,
    validate_update=_stateful_changed,
    validate_status=_counts_errors("currentReplicas", "updatedReplicas", ready="status.readyReplicas"),
    warnings=notices.of_template("spec", "template"),
)
DAEMON_SET = Strategy(
    default=_daemon,
    prepare_create=lambda new, context: without(_first_template(new, context), "status"),
    prepare_update=_next_template,
    validate=_daemon_errors,
    validate_update=lambda new, old: [*_daemon_errors(new), *immutable(new, old, "spec.selector")],
    warnings=notices.of_template("spec", "template"),
)
REPLICATION_CONTROLLER = Strategy(
    default=_controller, validate=_controller_errors, validate_update=lambda new, _: _controller_errors(new)
)
POD_TEMPLATE = replace(
    PLAIN,
    default=_pod_template,
    validate=lambda new: spec_errors(new["template"]["spec"], "template.spec"),
    validate_update=lambda new, _: spec_errors(new["template"]["spec"], "template.spec"),
    generation=spec_changes,
)
