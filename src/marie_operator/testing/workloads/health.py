"""What is made of a node's reports, and of their absence: conditions and taints (``pkg/controller/nodelifecycle``)."""

from collections.abc import Iterable, Mapping, Sequence
from enum import Enum, auto
from typing import Final, TypeAlias

from marie_operator.testing.workloads.objects import Condition, Object, condition_in, condition_of, labels_of

Place: TypeAlias = tuple[str, str]
"""A region and a zone of it."""

LOST: Final = frozenset({"False", "Unknown"})
"""How ready a node is when nothing can be expected of it."""
NOT_READY: Final = "node.kubernetes.io/not-ready"
UNREACHABLE: Final = "node.kubernetes.io/unreachable"
UNSCHEDULABLE: Final = "node.kubernetes.io/unschedulable"
_TAINTS: Final[Mapping[str, Mapping[str, str]]] = {
    "Ready": {"False": NOT_READY, "Unknown": UNREACHABLE},
    "MemoryPressure": {"True": "node.kubernetes.io/memory-pressure"},
    "DiskPressure": {"True": "node.kubernetes.io/disk-pressure"},
    "NetworkUnavailable": {"True": "node.kubernetes.io/network-unavailable"},
    "PIDPressure": {"True": "node.kubernetes.io/pid-pressure"},
}
"""The taint that a condition has in which status."""
_OURS: Final = frozenset({UNSCHEDULABLE, *(key for keys in _TAINTS.values() for key in keys.values())})
_REPORTED: Final = ("Ready", "MemoryPressure", "DiskPressure", "PIDPressure")
"""The conditions that a kubelet reports; others are the control plane's own."""
_SHARE: Final = 0.55
"""Of the nodes of a zone; when so many are lost, it is rather the network (``--unhealthy-zone-threshold``)."""
_FEW: Final = 2
_LARGE: Final = 50
"""Nodes of a zone; a larger one goes on with evictions, slowly (``--large-cluster-size-threshold``)."""


class Zone(Enum):
    """What a zone's nodes are like, all in all."""

    NORMAL = auto()
    PARTLY_LOST = auto()
    PARTLY_LOST_AND_LARGE = auto()
    LOST = auto()


def readiness(node: Object) -> str:
    """``True``, ``False`` or ``Unknown``; empty for a node that has never reported."""
    found = condition_of(node, "Ready")
    return str(found["status"]) if found else ""


def silenced(node: Object, at: str) -> list[Condition]:
    """The conditions of a node that has not been heard of for too long.

    Args:
        node: As it is.
        at: The time.
    """
    conditions: list[Condition] = node.get("status", {}).get("conditions") or []
    found = [_unknown(each, at) if each["type"] in _REPORTED else each for each in conditions]
    never = {
        "status": "Unknown",
        "reason": "NodeStatusNeverUpdated",
        "message": "Kubelet never posted node status.",
        "lastHeartbeatTime": node["metadata"]["creationTimestamp"],
        "lastTransitionTime": at,
    }
    missing = [name for name in _REPORTED if condition_in(conditions, name) is None]
    return [*found, *({"type": name, **never} for name in missing)]


def _unknown(condition: Condition, at: str) -> Condition:
    if condition["status"] == "Unknown":
        return condition
    why = {"reason": "NodeStatusUnknown", "message": "Kubelet stopped posting node status."}
    return {**condition, "status": "Unknown", **why, "lastTransitionTime": at}


def tainted(node: Object, *, evicting: bool, at: str) -> list[Object]:
    """The taints that a node should have; those that others gave it stay.

    Args:
        node: As it is.
        evicting: Whether its pods are to go when it is not ready.
        at: The time.
    """
    there: Sequence[Object] = node["spec"].get("taints") or ()
    wanted = [
        *((key, "NoSchedule") for key in _by_condition(node)),
        *((key, "NoExecute") for key in [_TAINTS["Ready"].get(readiness(node))] if key and evicting),
    ]
    kept = [each for each in there if not _is_ours(each) or (each["key"], each["effect"]) in wanted]
    known = {(each["key"], each["effect"]) for each in kept}
    new = [each for each in wanted if each not in known]
    return [*kept, *({"key": key, "effect": effect, "timeAdded": at} for key, effect in new)]


def is_evicting(node: Object) -> bool:
    """Whether the node's pods were told to go since it is not ready."""
    return any(each["effect"] == "NoExecute" and _is_ours(each) for each in node["spec"].get("taints") or ())


def _is_ours(taint: Object) -> bool:
    if taint["effect"] == "NoExecute":
        return taint["key"] in {NOT_READY, UNREACHABLE}
    return taint["effect"] == "NoSchedule" and taint["key"] in _OURS


def _by_condition(node: Object) -> list[str]:
    conditions = node.get("status", {}).get("conditions") or ()
    keys = [_TAINTS.get(each["type"], {}).get(each["status"]) for each in conditions]
    return [key for key in keys if key] + [UNSCHEDULABLE] * bool(node["spec"].get("unschedulable"))


def zone_of(node: Object) -> Place:
    """Where a node is."""
    labels = labels_of(node)
    return labels.get("topology.kubernetes.io/region", ""), labels.get("topology.kubernetes.io/zone", "")


def zones(nodes: Iterable[Object]) -> dict[Place, Zone]:
    """What each zone is like."""
    found: dict[Place, list[bool]] = {}
    for node in nodes:
        found.setdefault(zone_of(node), []).append(readiness(node) == "True")
    return {place: _state(ready) for place, ready in found.items()}


def is_all_lost(nodes: Iterable[Object]) -> bool:
    """Whether no node is ready: then it is rather the control plane that is cut off, and nothing is evicted."""
    return all(readiness(each) != "True" for each in nodes)


def _state(ready: Sequence[bool]) -> Zone:
    lost = ready.count(False)
    if lost == len(ready):
        return Zone.LOST
    if lost > _FEW and lost >= _SHARE * len(ready):
        return Zone.PARTLY_LOST_AND_LARGE if len(ready) > _LARGE else Zone.PARTLY_LOST
    return Zone.NORMAL
