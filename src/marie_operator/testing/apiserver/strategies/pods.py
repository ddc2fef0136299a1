"""Pods, and the templates of pods."""

from collections.abc import Iterator
from typing import Any

from marie_operator.testing.apiserver.errors import FieldError, Json, Object
from marie_operator.testing.apiserver.strategies import admission, notices
from marie_operator.testing.apiserver.strategies.base import (
    Context,
    Strategy,
    difference,
    filled,
    forbidden,
    required,
    spec_changes,
    without,
)
from marie_operator.testing.apiserver.strategies.containers import invalid, spec_errors, unsupported
from marie_operator.testing.apiserver.strategies.mounts import account_errors, field_reference, volume
from marie_operator.testing.apiserver.strategies.placement import spread
from marie_operator.testing.apiserver.strategies.selectors import matches, selector_errors

_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
_MUTABLE = ("activeDeadlineSeconds", "tolerations", "schedulingGates")


def template(value: Object) -> Object:
    """A pod template with its defaults."""
    return {**value, "metadata": value.get("metadata") or {}, "spec": pod_spec(value.get("spec") or {})}


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
        spec = {**spec, "volumes": [volume(each) for each in spec["volumes"]]}
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
    if container.get("lifecycle"):
        changes["lifecycle"] = {name: _handler(each) for name, each in container["lifecycle"].items()}
    return {**container, **changes} if changes else container


def _variable(variable: Object) -> Object:
    source = variable.get("valueFrom") or {}
    return {**variable, "valueFrom": field_reference(source)} if source.get("fieldRef") else variable


def _probe(probe: Object) -> Object:
    probe = _handler(filled(probe, timeoutSeconds=1, periodSeconds=10, successThreshold=1, failureThreshold=3))
    return {**probe, "grpc": filled(probe["grpc"], service="")} if probe.get("grpc") else probe


def _handler(handler: Json) -> Json:
    if not isinstance(handler, dict) or not handler.get("httpGet"):
        return handler
    return {**handler, "httpGet": filled(handler["httpGet"], path="/", scheme="HTTP")}


def template_errors(spec: Object, whose: str = "deployment", controller: str = "ReplicaSet") -> list[FieldError]:
    """What is wrong with a workload's selector and template.

    Args:
        spec: Of the workload.
        whose: What it is, in a message about its selector.
        controller: What makes its pods, in a message about them.
    """
    found = []
    selector, given = spec.get("selector"), spec.get("template") or {}
    labels = (given.get("metadata") or {}).get("labels")
    if selector is None:
        found.append(required("spec.selector"))
    else:
        found += selector_errors(selector, "spec.selector")
    if selector is not None and not selector:
        found.append(invalid(selector, f"empty selector is invalid for {whose}", "spec.selector"))
    if selector is None or not matches(selector, labels or {}):
        found.append(invalid(labels, "`selector` does not match template `labels`", "spec.template.metadata.labels"))
    return found + running_errors(given.get("spec") or {}, "spec.template.spec", controller)


def running_errors(spec: Object, path: str, controller: str) -> list[FieldError]:
    """What is wrong with the spec of pods that are to run for good."""
    found = spec_errors(spec, path)
    found += unsupported(spec.get("restartPolicy", "Always"), ("Always",), f"{path}.restartPolicy")
    if spec.get("activeDeadlineSeconds") is not None:
        why = f"activeDeadlineSeconds in {controller} is not Supported"
        found.append(forbidden(f"{path}.activeDeadlineSeconds", why))
    return found


def _default(pod: Object) -> Object:
    spec = filled(pod_spec(pod.get("spec") or {}), enableServiceLinks=True)
    for name in ("containers", "initContainers"):
        if spec.get(name):
            spec = {**spec, name: [_requested(each, host=bool(spec.get("hostNetwork"))) for each in spec[name]]}
    if (spec.get("terminationGracePeriodSeconds") or 0) < 0:
        spec = {**spec, "terminationGracePeriodSeconds": 1}
    return {**pod, "spec": spec, "status": _addressed(pod.get("status") or {})}


def _requested(container: Object, *, host: bool) -> Object:
    """With requests as large as its limits; templates of pods are not filled in so far (``SetDefaults_Pod``)."""
    resources = container["resources"]
    if resources.get("limits"):
        requests = {**resources["limits"], **(resources.get("requests") or {})}
        container = {**container, "resources": {**resources, "requests": requests}}
    if host and container.get("ports"):
        container = {
            **container,
            "ports": [filled(each, hostPort=each["containerPort"]) for each in container["ports"]],
        }
    return container


def _addressed(status: Object) -> Object:
    """With one address told both as it was and as it is now; the older field counts."""
    address, addresses = status.get("podIP"), status.get("podIPs") or []
    if address and [each.get("ip") for each in addresses[:1]] != [address]:
        return {**status, "podIPs": [{"ip": address}]}
    return {**status, "podIP": addresses[0].get("ip")} if addresses and not address else status


def _create(pod: Object, context: Context) -> Object:
    spec = spread(pod["spec"], pod["metadata"].get("labels") or {})
    status: Object = {"phase": "Pending", "qosClass": _quality(spec)}
    if spec.get("schedulingGates"):
        why = "Scheduling is blocked due to non-empty scheduling gates"
        gated = {"type": "PodScheduled", "status": "False", "reason": "SchedulingGated", "message": why}
        status["conditions"] = [{**gated, "lastProbeTime": None, "lastTransitionTime": context.now}]
    return {**pod, "spec": spec, "status": status}


def _update(pod: Object, old: Object, _: Context) -> Object:
    """What admission added stays, or is added again (``Priority``, ``DefaultTolerationSeconds``)."""
    kept = {name: old["spec"][name] for name in ("priority", "preemptionPolicy") if name in old["spec"]}
    spec = filled(pod["spec"], **kept)
    return {**pod, "spec": {**spec, "tolerations": admission.tolerations(spec)}, "status": old["status"]}


def _status(pod: Object, old: Object, _: Context) -> Object:
    meta = {**pod["metadata"], "ownerReferences": old["metadata"].get("ownerReferences")}
    status = filled(pod.get("status") or {}, qosClass=old["status"].get("qosClass"))
    return {**pod, "metadata": meta, "spec": old["spec"], "status": status}


def _quality(spec: Object) -> str:
    containers = [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
    resources = [each.get("resources") or {} for each in containers]
    counted = [name for each in resources for kind in ("requests", "limits") for name in each.get(kind) or ()]
    if not {"cpu", "memory"} & set(counted):
        return "BestEffort"
    guaranteed = all(
        {"cpu", "memory"} <= (each.get("limits") or {}).keys() and each.get("requests") == each.get("limits")
        for each in resources
    )
    return "Guaranteed" if guaranteed else "Burstable"


def _errors_of_change(new: Object, old: Object) -> list[FieldError]:
    found = [*spec_errors(new["spec"], "spec"), *account_errors(new["spec"])]
    for name in ("containers", "initContainers"):
        if len(new["spec"].get(name) or ()) != len(old["spec"].get(name) or ()):
            return [*found, forbidden(f"spec.{name}", "pod updates may not add or remove containers")]
    return [*found, *_mutations(new["spec"], old["spec"])]


def _mutations(new: Object, old: Object) -> Iterator[FieldError]:
    """What a pod does not bear to be changed."""
    deadline, before = new.get("activeDeadlineSeconds"), old.get("activeDeadlineSeconds")
    if deadline is not None and before is not None and deadline > before:
        yield invalid(deadline, "must be less than or equal to previous value", "spec.activeDeadlineSeconds")
    if deadline is None and before is not None:
        why = "must not update from a positive integer to nil value"
        yield invalid(None, why, "spec.activeDeadlineSeconds")
    if any(each not in (new.get("tolerations") or ()) for each in old.get("tolerations") or ()):
        why = "existing toleration can not be modified except its tolerationSeconds"
        if not _longer(new, old):
            yield forbidden("spec.tolerations", why)
    gates = [[each["name"] for each in spec.get("schedulingGates") or ()] for spec in (new, old)]
    for number, name in enumerate(gates[0]):
        if name not in gates[1]:
            yield forbidden(
                f"spec.schedulingGates[{number}]", "only deletion is allowed, but found new scheduling gate"
            )
    one, other = _fixed(new), _fixed(old)
    if one != other:
        yield forbidden("spec", f"pod updates may not change fields other than {_MAY_CHANGE}\n{difference(other, one)}")


_MAY_CHANGE = (
    "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only "
    "additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was "
    "previously negative)"
)


def _longer(new: Object, old: Object) -> bool:
    """Whether every toleration is still there, but for how long it lasts."""
    left = [without(each, "tolerationSeconds") for each in new.get("tolerations") or ()]
    return all(without(each, "tolerationSeconds") in left for each in old.get("tolerations") or ())


def _fixed(spec: Object) -> Object:
    spec = without(spec, *_MUTABLE)
    for name in ("containers", "initContainers"):
        if spec.get(name):
            spec = {**spec, name: [without(each, "image") for each in spec[name]]}
    return spec


POD = Strategy(
    default=_default,
    admit=admission.pod,
    prepare_create=_create,
    prepare_update=_update,
    prepare_status=_status,
    validate=lambda pod: spec_errors(pod["spec"], "spec"),
    validate_update=_errors_of_change,
    generation=spec_changes,
    warnings=notices.of_pod,
)
