"""Objects as the API server sends them, and what several controllers ask of them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeAlias

Object: TypeAlias = dict[str, Any]
Condition: TypeAlias = dict[str, Any]

FINISHED_PHASES = frozenset({"Succeeded", "Failed"})


@dataclass(frozen=True, slots=True)
class Resource:
    """A collection of objects.

    Attributes:
        version: The apiVersion, such as ``apps/v1``.
        plural: Its name in paths.
        kind: Of its objects.
        namespaced: Whether its objects live in namespaces.
    """

    version: str
    plural: str
    kind: str
    namespaced: bool = True

    @property
    def group(self) -> str:
        """The API group; empty for the core."""
        return self.version.rpartition("/")[0]

    def path(self, namespace: str = "", name: str = "", *subresource: str) -> str:
        """Of the whole collection, of one namespace's, or of one object or subresource."""
        parts = ["/apis" if "/" in self.version else "/api", self.version]
        if namespace and self.namespaced:
            parts += ["namespaces", namespace]
        parts.append(self.plural)
        if name:
            parts += [name, *subresource]
        return "/".join(parts)


PODS = Resource("v1", "pods", "Pod")
NODES = Resource("v1", "nodes", "Node", namespaced=False)
NAMESPACES = Resource("v1", "namespaces", "Namespace", namespaced=False)
SERVICES = Resource("v1", "services", "Service")
SERVICE_ACCOUNTS = Resource("v1", "serviceaccounts", "ServiceAccount")
CONFIG_MAPS = Resource("v1", "configmaps", "ConfigMap")
CLAIMS = Resource("v1", "persistentvolumeclaims", "PersistentVolumeClaim")
LEASES = Resource("coordination.k8s.io/v1", "leases", "Lease")
DEPLOYMENTS = Resource("apps/v1", "deployments", "Deployment")
REPLICA_SETS = Resource("apps/v1", "replicasets", "ReplicaSet")
STATEFUL_SETS = Resource("apps/v1", "statefulsets", "StatefulSet")
REVISIONS = Resource("apps/v1", "controllerrevisions", "ControllerRevision")
JOBS = Resource("batch/v1", "jobs", "Job")
ENDPOINT_SLICES = Resource("discovery.k8s.io/v1", "endpointslices", "EndpointSlice")
DEFINITIONS = Resource("apiextensions.k8s.io/v1", "customresourcedefinitions", "CustomResourceDefinition", False)


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """An object's place in its collection."""

    namespace: str
    name: str


def key_of(found: Object) -> Key:
    """Where an object is."""
    return Key(found["metadata"].get("namespace", ""), found["metadata"]["name"])


def uid_of(found: Object) -> str:
    """Which of those that were ever in that place it is."""
    return str(found["metadata"]["uid"])


def version_of(found: Object) -> int:
    """Its resourceVersion; newer ones are greater."""
    return int(found["metadata"]["resourceVersion"])


def labels_of(found: Object) -> dict[str, str]:
    """Its labels."""
    return found["metadata"].get("labels") or {}


def annotations_of(found: Object) -> dict[str, str]:
    """Its annotations."""
    return found["metadata"].get("annotations") or {}


def owners_of(found: Object) -> list[dict[str, Any]]:
    """Its owner references."""
    return found["metadata"].get("ownerReferences") or []


def controller_of(found: Object) -> dict[str, Any] | None:
    """The owner reference that manages it."""
    return next((each for each in owners_of(found) if each.get("controller")), None)


def controller_uid(found: Object) -> str:
    """The uid of who manages it; empty for an orphan."""
    owner = controller_of(found)
    return str(owner["uid"]) if owner else ""


def is_deleting(found: Object) -> bool:
    """Whether its end was asked for."""
    return "deletionTimestamp" in found["metadata"]


def is_active(pod: Object) -> bool:
    """Whether a pod counts among the replicas of a set: neither ended nor to be ended."""
    return pod.get("status", {}).get("phase") not in FINISHED_PHASES and not is_deleting(pod)


def owner_reference(owner: Object, resource: Resource) -> dict[str, Any]:
    """A reference for what an owner manages."""
    return {
        "apiVersion": resource.version,
        "kind": resource.kind,
        "name": owner["metadata"]["name"],
        "uid": uid_of(owner),
        "controller": True,
        "blockOwnerDeletion": True,
    }


def selects(selector: Mapping[str, Any] | None, labels: Mapping[str, str]) -> bool:
    """Whether a LabelSelector matches; an empty one matches nothing here, as no controller may own everything."""
    if not selector:
        return False
    wanted: Mapping[str, str] = selector.get("matchLabels") or {}
    return wanted.items() <= labels.items() and all(
        matches(each, labels) for each in selector.get("matchExpressions") or ()
    )


def matches(requirement: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Whether one requirement of a label or node selector holds."""
    value, values = labels.get(requirement["key"]), requirement.get("values") or []
    match requirement["operator"]:
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case "Gt":
            return _is_number(value) and int(str(value)) > int(values[0])
        case _:
            return _is_number(value) and int(str(value)) < int(values[0])


def _is_number(value: str | None) -> bool:
    return value is not None and value.lstrip("-").isdigit()


def condition_of(found: Object, name: str) -> Condition | None:
    """A condition of an object's status."""
    return condition_in(found.get("status", {}).get("conditions") or (), name)


def condition_in(conditions: Iterable[Condition], name: str) -> Condition | None:
    """A condition by its type."""
    return next((each for each in conditions if each["type"] == name), None)


def has_condition(found: Object, name: str) -> bool:
    """Whether a condition is true."""
    condition = condition_of(found, name)
    return condition is not None and condition["status"] == "True"


def with_condition(conditions: Sequence[Condition], new: Condition) -> list[Condition]:
    """Conditions with one set; one that says the same keeps its times, and one of the same status its transition."""
    old = condition_in(conditions, new["type"])
    if old is None:
        return [*conditions, new]
    if all(old.get(name) == new.get(name) for name in ("status", "reason", "message")):
        return list(conditions)
    if old["status"] == new["status"] and "lastTransitionTime" in old:
        new = {**new, "lastTransitionTime": old["lastTransitionTime"]}
    return [new if each is old else each for each in conditions]


def without_condition(conditions: Iterable[Condition], name: str) -> list[Condition]:
    """Conditions but for one type."""
    return [each for each in conditions if each["type"] != name]


def is_ready(found: Object) -> bool:
    """Whether a pod or a node reports ready."""
    return has_condition(found, "Ready")


def ready_since(pod: Object) -> datetime | None:
    """When a ready pod became so."""
    ready = condition_of(pod, "Ready")
    if ready is None or ready["status"] != "True":
        return None
    return parsed(ready.get("lastTransitionTime"))


def available_in(pod: Object, seconds: int, now: datetime) -> float | None:
    """Seconds until a pod has been ready for so long; None when it is not ready, and 0 when it has."""
    if not is_ready(pod):
        return None
    since = ready_since(pod)
    if not seconds or since is None:
        return 0.0
    return max(0.0, seconds - (now - since).total_seconds())


def parsed(text: str | None) -> datetime | None:
    """A time as the API server writes it."""
    return datetime.fromisoformat(text) if text else None


def written(time: datetime) -> str:
    """A time for the API server."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def scaled(value: int | str | None, total: int, *, up: bool) -> int:
    """A number, or a percentage of a total rounded up or down."""
    if isinstance(value, str):
        parts = int(value.rstrip("%")) * total
        return -(-parts // 100) if up else parts // 100
    return value or 0
