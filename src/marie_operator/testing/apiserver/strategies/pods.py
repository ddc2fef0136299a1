"""Pods, and the templates of pods."""

from typing import Any

from marie_operator.testing.apiserver.errors import FieldError, Object
from marie_operator.testing.apiserver.strategies import quantity
from marie_operator.testing.apiserver.strategies.base import (
    Context,
    Strategy,
    filled,
    only_status,
    required,
    shown,
    spec_changes,
    without,
)
from marie_operator.testing.apiserver.strategies.containers import spec_errors

_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
_TOLERATED = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
_VOLUME_MODES = ("secret", "configMap", "downwardAPI", "projected")
_MUTABLE = ("activeDeadlineSeconds", "terminationGracePeriodSeconds", "tolerations", "schedulingGates")


def template(value: Object) -> Object:
    """A pod template with its defaults."""
    spec = pod_spec(value.get("spec") or {})
    meta = value.get("metadata")
    return {**value, "metadata": {"creationTimestamp": None} | (meta or {}), "spec": spec}


def pod_spec(spec: Object) -> Object:
    """A pod's spec with its defaults (``SetDefaults_PodSpec``)."""
    spec = filled(
        spec,
        restartPolicy="Always",
        dnsPolicy="ClusterFirst",
        schedulerName="default-scheduler",
        securityContext={},
        terminationGracePeriodSeconds=30,
    )
    for name in ("serviceAccountName", "serviceAccount"):
        other = "serviceAccount" if name == "serviceAccountName" else "serviceAccountName"
        if spec.get(name) and not spec.get(other):
            spec = {**spec, other: spec[name]}
    for name in ("containers", "initContainers"):
        if spec.get(name):
            spec = {**spec, name: [_container(each) for each in spec[name]]}
    if spec.get("volumes"):
        spec = {**spec, "volumes": [_volume(each) for each in spec["volumes"]]}
    return spec


def _container(container: Object) -> Object:
    image = str(container.get("image") or "")
    tag = image.rpartition("/")[2].partition(":")[2]
    latest = "@" not in image and tag in {"", "latest"}
    container = filled(
        container,
        resources={},
        terminationMessagePath="/dev/termination-log",
        terminationMessagePolicy="File",
        imagePullPolicy="Always" if latest else "IfNotPresent",
    )
    changes: dict[str, Any] = {}
    if container.get("ports"):
        changes["ports"] = [filled(each, protocol="TCP") for each in container["ports"]]
    if container.get("env"):
        changes["env"] = [_variable(each) for each in container["env"]]
    for name in _PROBES:
        if container.get(name):
            changes[name] = _probe(container[name])
    resources = container["resources"]
    if resources.get("limits") or resources.get("requests"):
        changes["resources"] = _amounts(resources)
    return {**container, **changes} if changes else container


def _amounts(resources: Object) -> Object:
    limits, requests = (quantity.amounts(resources.get(name) or {}) for name in ("limits", "requests"))
    found = {**resources, "limits": limits, "requests": {**limits, **requests}}
    return {name: value for name, value in found.items() if value or name not in {"limits", "requests"}}


def _variable(variable: Object) -> Object:
    source = variable.get("valueFrom") or {}
    if not source.get("fieldRef"):
        return variable
    return {**variable, "valueFrom": {**source, "fieldRef": filled(source["fieldRef"], apiVersion="v1")}}


def _probe(probe: Object) -> Object:
    probe = filled(probe, timeoutSeconds=1, periodSeconds=10, successThreshold=1, failureThreshold=3)
    if probe.get("httpGet"):
        probe = {**probe, "httpGet": filled(probe["httpGet"], path="/", scheme="HTTP")}
    if probe.get("grpc"):
        probe = {**probe, "grpc": filled(probe["grpc"], service="")}
    return probe


def _volume(volume: Object) -> Object:
    sources = [name for name in volume if name != "name"]
    if not sources:
        return {**volume, "emptyDir": {}}
    for name in _VOLUME_MODES:
        if volume.get(name) is not None:
            volume = {**volume, name: filled(volume[name], defaultMode=420)}
    if volume.get("hostPath") is not None:
        volume = {**volume, "hostPath": filled(volume["hostPath"], type="")}
    return volume


def template_errors(spec: Object, path: str = "spec") -> list[FieldError]:
    """What is wrong with a workload's selector and template."""
    found = []
    selector, given = spec.get("selector"), spec.get("template") or {}
    labels = (given.get("metadata") or {}).get("labels")
    if selector is None:
        found.append(required(f"{path}.selector"))
    elif not selector:
        why = "Invalid value: {}: empty selector is invalid for deployment"
        found.append(FieldError("FieldValueInvalid", why, f"{path}.selector"))
    if selector is None or not (selector.get("matchLabels") or {}).items() <= (labels or {}).items():
        message = f"Invalid value: {shown(labels)}: `selector` does not match template `labels`"
        found.append(FieldError("FieldValueInvalid", message, f"{path}.template.metadata.labels"))
    template_spec = given.get("spec") or {}
    policy = template_spec.get("restartPolicy", "Always")
    found += spec_errors({**template_spec, "restartPolicy": "Always"}, f"{path}.template.spec")
    if policy != "Always":
        message = f'Unsupported value: "{policy}": supported values: "Always"'
        found.append(FieldError("FieldValueNotSupported", message, f"{path}.template.spec.restartPolicy"))
    return found


def _default(pod: Object) -> Object:
    spec = filled(pod_spec(pod.get("spec") or {}), enableServiceLinks=True)
    return {**pod, "spec": spec}


def _create(pod: Object, _: Context) -> Object:
    spec = filled(
        pod["spec"],
        priority=0,
        preemptionPolicy="PreemptLowerPriority",
        serviceAccountName="default",
        serviceAccount="default",
    )
    tolerations = list(spec.get("tolerations") or ())
    held = {(each.get("key"), each.get("effect")) for each in tolerations}
    tolerations += [
        {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}
        for key in _TOLERATED
        if (key, "NoExecute") not in held
    ]
    status = {"phase": "Pending", "qosClass": _quality(spec)}
    return {**without(pod, "status"), "spec": {**spec, "tolerations": tolerations}, "status": status}


def _quality(spec: Object) -> str:
    resources = [each.get("resources") or {} for each in (*spec.get("containers", ()), *spec.get("initContainers", ()))]
    counted = [name for each in resources for kind in ("requests", "limits") for name in each.get(kind) or ()]
    if not {"cpu", "memory"} & set(counted):
        return "BestEffort"
    guaranteed = all(
        {"cpu", "memory"} <= (each.get("limits") or {}).keys() and each.get("requests") == each.get("limits")
        for each in resources
    )
    return "Guaranteed" if guaranteed else "Burstable"


def _errors_of_change(new: Object, old: Object) -> list[FieldError]:
    one, other = _fixed(new["spec"]), _fixed(old["spec"])
    count = "may not add or remove containers"
    if len(new["spec"].get("containers") or ()) != len(old["spec"].get("containers") or ()):
        return [FieldError("FieldValueForbidden", f"Forbidden: pod updates {count}", "spec.containers")]
    if one == other:
        return []
    why = (
        "Forbidden: pod updates may not change fields other than `spec.containers[*].image`,"
        "`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing "
        "tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
    )
    return [FieldError("FieldValueForbidden", why, "spec")]


def _fixed(spec: Object) -> Object:
    spec = without(spec, *_MUTABLE)
    for name in ("containers", "initContainers"):
        if spec.get(name):
            spec = {**spec, name: [without(each, "image") for each in spec[name]]}
    return spec


POD = Strategy(
    default=_default,
    prepare_create=_create,
    prepare_status=only_status,
    validate=lambda pod: spec_errors(pod["spec"], "spec"),
    validate_update=_errors_of_change,
    generation=spec_changes,
)
