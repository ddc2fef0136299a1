"""Rows of what runs pods."""

from marie_operator.testing.apiserver.errors import Object
from marie_operator.testing.apiserver.printers.age import Since, human, instant
from marie_operator.testing.apiserver.printers.shapes import (
    NONE,
    UNSET,
    Cells,
    age,
    containers,
    holds,
    labels,
    meta,
    name,
    selector,
    shortened,
    spec,
    status,
    template,
)


def deployment(obj: Object, since: Since) -> Cells:
    """Cells of a Deployment."""
    told = status(obj)
    return [
        name(obj),
        f"{told.get('readyReplicas', 0)}/{spec(obj).get('replicas', 0)}",
        told.get("updatedReplicas", 0),
        told.get("availableReplicas", 0),
        age(obj, since),
        *containers(template(obj)),
        selector(spec(obj).get("selector")),
    ]


def replica_set(obj: Object, since: Since) -> Cells:
    """Cells of a ReplicaSet."""
    return [*_replicas(obj, since), selector(spec(obj).get("selector")) or NONE]


def replication_controller(obj: Object, since: Since) -> Cells:
    """Cells of a ReplicationController."""
    return [*_replicas(obj, since), labels(spec(obj).get("selector"))]


def _replicas(obj: Object, since: Since) -> Cells:
    told = status(obj)
    return [
        name(obj),
        spec(obj).get("replicas", 0),
        told.get("replicas", 0),
        told.get("readyReplicas", 0),
        age(obj, since),
        *containers(template(obj)),
    ]


def stateful_set(obj: Object, since: Since) -> Cells:
    """Cells of a StatefulSet."""
    ready = f"{status(obj).get('readyReplicas', 0)}/{spec(obj).get('replicas', 0)}"
    return [name(obj), ready, age(obj, since), *containers(template(obj))]


def daemon_set(obj: Object, since: Since) -> Cells:
    """Cells of a DaemonSet."""
    told = status(obj)
    counts = (
        "desiredNumberScheduled",
        "currentNumberScheduled",
        "numberReady",
        "updatedNumberScheduled",
        "numberAvailable",
    )
    return [
        name(obj),
        *(told.get(each, 0) for each in counts),
        labels(template(obj).get("nodeSelector")),
        age(obj, since),
        *containers(template(obj)),
        selector(spec(obj).get("selector")) or NONE,
    ]


def controller_revision(obj: Object, since: Since) -> Cells:
    """Cells of a ControllerRevision."""
    owner = next((each for each in meta(obj).get("ownerReferences") or () if each.get("controller")), None)
    controller = NONE
    if owner is not None:
        group = owner["apiVersion"].rpartition("/")[0]
        kind = owner["kind"] + (f".{group}" if group else "")
        controller = f"{kind.lower()}/{owner['name']}"
    return [name(obj), controller, obj.get("revision", 0), age(obj, since)]


_JOB_STATES = (
    ("Suspended", "Suspended"),
    ("FailureTarget", "FailureTarget"),
    ("SuccessCriteriaMet", "SuccessCriteriaMet"),
)


def job(obj: Object, since: Since) -> Cells:
    """Cells of a Job."""
    return [
        name(obj),
        _job_state(obj),
        _completions(obj),
        _duration(obj, since),
        age(obj, since),
        *containers(template(obj)),
        selector(spec(obj).get("selector")) or NONE,
    ]


def _job_state(obj: Object) -> str:
    conditions = status(obj).get("conditions")
    if holds(conditions, "Complete"):
        return "Complete"
    if holds(conditions, "Failed"):
        return "Failed"
    if meta(obj).get("deletionTimestamp"):
        return "Terminating"
    return next((word for type_, word in _JOB_STATES if holds(conditions, type_)), "Running")


def _completions(obj: Object) -> str:
    done, wanted = status(obj).get("succeeded", 0), spec(obj)
    if wanted.get("completions") is not None:
        return f"{done}/{wanted['completions']}"
    parallelism = wanted.get("parallelism") or 0
    return f"{done}/1 of {parallelism}" if parallelism > 1 else f"{done}/1"


def _duration(obj: Object, since: Since) -> str:
    told = status(obj)
    if not told.get("startTime"):
        return ""
    if not told.get("completionTime"):
        return since(told["startTime"])
    return human((instant(told["completionTime"]) - instant(told["startTime"])).total_seconds())


def cron_job(obj: Object, since: Since) -> Cells:
    """Cells of a CronJob."""
    wanted, last = spec(obj), status(obj).get("lastScheduleTime")
    made = (wanted.get("jobTemplate") or {}).get("spec") or {}
    suspend = wanted.get("suspend")
    return [
        name(obj),
        wanted.get("schedule", ""),
        wanted.get("timeZone") or NONE,
        UNSET if suspend is None else str(suspend),
        len(status(obj).get("active") or ()),
        since(last) if last else NONE,
        age(obj, since),
        *containers((made.get("template") or {}).get("spec")),
        selector(made.get("selector")) or NONE,
    ]


def pod_template(obj: Object, _: Since) -> Cells:
    """Cells of a PodTemplate."""
    found = obj.get("template") or {}
    return [name(obj), *containers(found.get("spec")), labels((found.get("metadata") or {}).get("labels"))]


def disruption_budget(obj: Object, since: Since) -> Cells:
    """Cells of a PodDisruptionBudget."""
    bounds = (spec(obj).get(each) for each in ("minAvailable", "maxUnavailable"))
    return [
        name(obj),
        *("N/A" if each is None else str(each) for each in bounds),
        status(obj).get("disruptionsAllowed", 0),
        age(obj, since),
    ]


def autoscaler(obj: Object, since: Since) -> Cells:
    """Cells of a HorizontalPodAutoscaler, in any of its versions."""
    wanted, told = spec(obj), status(obj)
    target = wanted.get("scaleTargetRef") or {}
    metrics, current = wanted.get("metrics") or (), told.get("currentMetrics") or ()
    if wanted.get("targetCPUUtilizationPercentage") is not None:
        metrics = [_cpu("target", wanted["targetCPUUtilizationPercentage"])]
        used = told.get("currentCPUUtilizationPercentage")
        current = () if used is None else [_cpu("current", used)]
    listed = [_metric(each, current[place] if place < len(current) else {}) for place, each in enumerate(metrics)]
    return [
        name(obj),
        f"{target.get('kind', '')}/{target.get('name', '')}",
        shortened(listed, 2, empty=NONE, separator=", "),
        UNSET if wanted.get("minReplicas") is None else str(wanted["minReplicas"]),
        wanted.get("maxReplicas", 0),
        told.get("currentReplicas", 0),
        age(obj, since),
    ]


def _cpu(part: str, utilization: int) -> Object:
    return {"type": "Resource", "resource": {"name": "cpu", part: {"averageUtilization": utilization}}}


def _metric(metric: Object, current: Object) -> str:
    """What a metric is, and what it should be."""
    kind = str(metric.get("type", ""))
    part = kind[:1].lower() + kind[1:]
    found, is_now = metric.get(part), (current.get(part) or {}).get("current") or {}
    if not isinstance(found, dict):
        return "<unknown type>"
    target = found.get("target") or {}
    resource = f"{found.get('name')}: " if kind in {"Resource", "ContainerResource"} else ""
    if target.get("averageValue") is not None:
        average = "" if resource or kind == "Pods" else " (avg)"
        return f"{resource}{is_now.get('averageValue', '<unknown>')}/{target['averageValue']}{average}"
    if not resource:
        return f"{is_now.get('value', '<unknown>')}/{target.get('value', 0)}"
    used, wanted = is_now.get("averageUtilization"), target.get("averageUtilization")
    return f"{resource}{_percent(used, '<unknown>')}/{_percent(wanted, '<auto>')}"


def _percent(found: int | None, absent: str) -> str:
    return absent if found is None else f"{found}%"
