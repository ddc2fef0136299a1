"""Rows of nodes, storage, configuration, roles and what a cluster tells of itself."""

from typing import Any

from marie_operator.testing.apiserver.errors import Object
from marie_operator.testing.apiserver.printers.age import Since
from marie_operator.testing.apiserver.printers.shapes import NONE, UNSET, Cells, age, holds, meta, name, spec, status

_ROLE_LABEL = "node-role.kubernetes.io/"
_BETA_CLASS = "volume.beta.kubernetes.io/storage-class"
_DEFAULT_CLASS = ("storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class")
_MODES = {"ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX", "ReadWriteOncePod": "RWOP"}


def node(obj: Object, since: Since) -> Cells:
    """Cells of a Node."""
    told = status(obj)
    info = told.get("nodeInfo") or {}
    architecture = f" ({info['architecture']})" if info.get("architecture") else ""
    return [
        name(obj),
        _node_state(obj),
        ",".join(sorted(_roles(meta(obj).get("labels") or {}))) or NONE,
        age(obj, since),
        info.get("kubeletVersion", ""),
        _address(told, "InternalIP"),
        _address(told, "ExternalIP"),
        info.get("osImage") or "<unknown>",
        (info.get("kernelVersion") or "<unknown>") + architecture,
        info.get("containerRuntimeVersion") or "<unknown>",
    ]


def _node_state(obj: Object) -> str:
    conditions = status(obj).get("conditions") or ()
    words = ["Unknown"]
    if any(each["type"] == "Ready" for each in conditions):
        words = ["Ready" if holds(conditions, "Ready") else "NotReady"]
    return ",".join(words + (["SchedulingDisabled"] if spec(obj).get("unschedulable") else []))


def _roles(labels: dict[str, str]) -> set[str]:
    found = {key.removeprefix(_ROLE_LABEL) for key in labels if key.startswith(_ROLE_LABEL)}
    return (found | {labels.get("kubernetes.io/role", "")}) - {""}


def _address(told: Object, type_: str) -> str:
    return next((each["address"] for each in told.get("addresses") or () if each["type"] == type_), NONE)


def namespace(obj: Object, since: Since) -> Cells:
    """Cells of a Namespace."""
    return [name(obj), status(obj).get("phase", ""), age(obj, since)]


def config_map(obj: Object, since: Since) -> Cells:
    """Cells of a ConfigMap."""
    return [name(obj), len(obj.get("data") or ()) + len(obj.get("binaryData") or ()), age(obj, since)]


def secret(obj: Object, since: Since) -> Cells:
    """Cells of a Secret."""
    return [name(obj), obj.get("type", ""), len(obj.get("data") or ()), age(obj, since)]


def service_account(obj: Object, since: Since) -> Cells:
    """Cells of a ServiceAccount."""
    return [name(obj), age(obj, since)]


def lease(obj: Object, since: Since) -> Cells:
    """Cells of a Lease."""
    return [name(obj), spec(obj).get("holderIdentity") or "", age(obj, since)]


def binding(obj: Object, since: Since) -> Cells:
    """Cells of a RoleBinding or ClusterRoleBinding."""
    role, subjects = obj.get("roleRef") or {}, obj.get("subjects") or ()
    named = {kind: ", ".join(each["name"] for each in subjects if each["kind"] == kind) for kind in ("User", "Group")}
    accounts = (f"{each.get('namespace', '')}/{each['name']}" for each in subjects if each["kind"] == "ServiceAccount")
    return [
        name(obj),
        f"{role.get('kind', '')}/{role.get('name', '')}",
        age(obj, since),
        named["User"],
        named["Group"],
        ", ".join(accounts),
    ]


def event(obj: Object, since: Since) -> Cells:
    """Cells of an Event, of the core group or of ``events.k8s.io``."""
    about = obj.get("involvedObject") or obj.get("regarding") or {}
    source = obj.get("source") or obj.get("deprecatedSource") or {}
    series = obj.get("series")
    first = since(_either(obj, "firstTimestamp", "deprecatedFirstTimestamp") or obj.get("eventTime"))
    last = _either(obj, "lastTimestamp", "deprecatedLastTimestamp")
    count = _either(obj, "count", "deprecatedCount") or 1
    seen = since(last) if last else first
    if series:
        seen, count = since(series.get("lastObservedTime")), series.get("count", 0)
    kind, named = str(about.get("kind", "")).lower(), about.get("name", "")
    reporter = source.get("component") or _either(obj, "reportingComponent", "reportingController") or ""
    instance = source.get("host") or obj.get("reportingInstance") or ""
    return [
        seen,
        obj.get("type", ""),
        obj.get("reason", ""),
        f"{kind}/{named}" if named else kind,
        about.get("fieldPath", ""),
        f"{reporter}, {instance}" if instance else reporter,
        str(_either(obj, "message", "note") or "").strip(),
        first,
        count,
        name(obj),
    ]


def _either(obj: Object, *names: str) -> Any:
    return next((obj[each] for each in names if obj.get(each)), None)


def volume(obj: Object, since: Since) -> Cells:
    """Cells of a PersistentVolume."""
    wanted, told = spec(obj), status(obj)
    claim = wanted.get("claimRef")
    return [
        name(obj),
        (wanted.get("capacity") or {}).get("storage", "0"),
        _access(wanted),
        wanted.get("persistentVolumeReclaimPolicy", ""),
        "Terminating" if meta(obj).get("deletionTimestamp") else told.get("phase", ""),
        f"{claim.get('namespace', '')}/{claim.get('name', '')}" if claim else "",
        _storage_class(obj),
        _or_unset(wanted.get("volumeAttributesClassName")),
        told.get("reason", ""),
        age(obj, since),
        _or_unset(wanted.get("volumeMode")),
    ]


def claim(obj: Object, since: Since) -> Cells:
    """Cells of a PersistentVolumeClaim."""
    wanted, told = spec(obj), status(obj)
    bound = bool(wanted.get("volumeName"))
    return [
        name(obj),
        "Terminating" if meta(obj).get("deletionTimestamp") else told.get("phase", ""),
        wanted.get("volumeName", ""),
        (told.get("capacity") or {}).get("storage", "0") if bound else "",
        _access(told) if bound else "",
        _storage_class(obj),
        _or_unset(wanted.get("volumeAttributesClassName")),
        age(obj, since),
        _or_unset(wanted.get("volumeMode")),
    ]


def _access(part: Object) -> str:
    modes = part.get("accessModes") or ()
    return ",".join(short for mode, short in _MODES.items() if mode in modes)


def _storage_class(obj: Object) -> str:
    own = (meta(obj).get("annotations") or {}).get(_BETA_CLASS)
    return str(own if own is not None else spec(obj).get("storageClassName") or "")


def _or_unset(found: str | None) -> str:
    return UNSET if found is None else found


def storage_class(obj: Object, since: Since) -> Cells:
    """Cells of a StorageClass."""
    annotations = meta(obj).get("annotations") or {}
    default = any(annotations.get(each) == "true" for each in _DEFAULT_CLASS)
    return [
        name(obj) + (" (default)" if default else ""),
        obj.get("provisioner", ""),
        obj.get("reclaimPolicy") or "Delete",
        obj.get("volumeBindingMode") or "Immediate",
        bool(obj.get("allowVolumeExpansion")),
        age(obj, since),
    ]


def quota(obj: Object, since: Since) -> Cells:
    """Cells of a ResourceQuota."""
    hard, used = status(obj).get("hard") or {}, status(obj).get("used") or {}
    limits = {each for each in hard if each.startswith("limits.")}
    cells = (
        ", ".join(f"{each}: {used.get(each, '0')}/{hard[each]}" for each in sorted(names))
        for names in (hard.keys() - limits, limits)
    )
    return [name(obj), *cells, age(obj, since)]


def priority_class(obj: Object, since: Since) -> Cells:
    """Cells of a PriorityClass."""
    policy = obj.get("preemptionPolicy") or ""
    return [name(obj), obj.get("value", 0), bool(obj.get("globalDefault")), age(obj, since), policy]


def component(obj: Object, _: Since) -> Cells:
    """Cells of a ComponentStatus."""
    found = next((each for each in obj.get("conditions") or () if each["type"] == "Healthy"), None)
    if found is None:
        return [name(obj), "Unknown", "", ""]
    healthy = "Healthy" if found["status"] == "True" else "Unhealthy"
    return [name(obj), healthy, found.get("message", ""), found.get("error", "")]


def scale(obj: Object, since: Since) -> Cells:
    """Cells of a Scale."""
    return [name(obj), spec(obj).get("replicas", 0), status(obj).get("replicas", 0), age(obj, since)]
