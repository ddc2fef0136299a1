"""Which pods a ReplicaSet takes first when it shrinks, as its controller in Kubernetes 1.25 and newer orders them.

The order is that of ActivePodsWithRanks in kubernetes/pkg/controller/controller_utils.go. Its last rules compare times
with the controller's clock, and end in a tie that chance has decided: who must know surely which pods may go asks
``exposed``, which counts on the first rules alone.
"""

import math
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from functools import cmp_to_key

from marie_operator.controllers import trouble
from marie_operator.runtime.ownership import controller_uid
from marie_operator.runtime.resource import Object

DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"

_PHASES = {"Pending": 0, "Unknown": 1, "Running": 2}
_COST = re.compile(r"0|-?[1-9][0-9]*")


def is_active(pod: Object) -> bool:
    """Whether a pod counts as a replica: it has neither ended nor is it being deleted."""
    return not trouble.has_ended(pod) and "deletionTimestamp" not in pod["metadata"]


def is_ready(pod: Object) -> bool:
    """Whether a pod's readiness probe succeeds."""
    return bool(_ready(pod))


def unready_since(pod: Object) -> datetime | None:
    """Since when a pod has said that it is not ready; None where it is, or has not said."""
    conditions: Sequence[Object] = pod.get("status", {}).get("conditions") or ()
    return _since(next((each for each in conditions if (each["type"], each["status"]) == ("Ready", "False")), None))


def deletion_cost(pod: Object) -> int:
    """What the annotation says; 0 where it is missing or no plain number of 32 bits, as the controller reads it."""
    text = (pod["metadata"].get("annotations") or {}).get(DELETION_COST, "")
    if not _COST.fullmatch(text):
        return 0
    return int(text) if -(2**31) <= int(text) < 2**31 else 0


def ordered(pods: Sequence[Object], now: datetime, *, costs: Mapping[str, int] | None = None) -> list[Object]:
    """Active pods, those that go first at the front.

    Args:
        pods: The active pods of one Deployment; each node's crowd is counted among them.
        now: For ages, which are compared by their order of magnitude.
        costs: Deletion costs that are about to be set, by uid.
    """
    given = costs or {}
    crowds = Counter(_node(pod) for pod in pods)

    def key(pod: Object) -> tuple[bool, int, bool, int, int]:
        return *_standing(pod), given.get(pod["metadata"]["uid"], deletion_cost(pod)), -crowds[_node(pod)]

    def compare(one: Object, other: Object) -> int:
        left, right = key(one), key(other)
        if left != right:
            return -1 if left < right else 1
        return _by_history(one, other, now)

    return sorted(pods, key=cmp_to_key(compare))


def exposed(pods: Sequence[Object], count: int) -> list[Object]:
    """Every pod that may be among the first ``count``, whatever the controller's clock says.

    Only whether a pod is placed, its phase, its readiness and its deletion cost are counted on: pods that are alike in
    these are all exposed when one of them is.
    """
    keys = [(*_standing(pod), deletion_cost(pod)) for pod in pods]
    before = sorted(keys)
    return [pod for pod, key in zip(pods, keys, strict=True) if _position(before, key) < count]


def replica_sets(pods: Collection[Object]) -> set[str]:
    """The uids of the ReplicaSets that control pods; more than one while a rollout goes on."""
    return {controller_uid(pod) for pod in pods} - {""}


def _position(before: Sequence[tuple[bool, int, bool, int]], key: tuple[bool, int, bool, int]) -> int:
    """How many go surely before."""
    return sum(each < key for each in before)


def _standing(pod: Object) -> tuple[bool, int, bool]:
    phase = _PHASES.get(pod.get("status", {}).get("phase", ""), 0)
    return bool(_node(pod)), phase, is_ready(pod)


def _by_history(one: Object, other: Object, now: datetime) -> int:
    """What decides between pods that stand alike: how long they have been ready, restarts, age."""
    since = _since(_ready(one)), _since(_ready(other))
    if is_ready(one) and since[0] != since[1]:
        return _younger(one, other, since, now)
    restarts = _restarts(one), _restarts(other)
    if restarts[0] != restarts[1]:
        return -1 if restarts[0] > restarts[1] else 1
    created = _time(one["metadata"].get("creationTimestamp")), _time(other["metadata"].get("creationTimestamp"))
    return 0 if created[0] == created[1] else _younger(one, other, created, now)


def _younger(one: Object, other: Object, times: tuple[datetime | None, datetime | None], now: datetime) -> int:
    first, second = times
    if first is None or second is None:
        # Without a time it is taken for the youngest.
        return -1 if first is None else 1
    difference = _magnitude(first, now) - _magnitude(second, now)
    if difference:
        return difference
    return -1 if str(one["metadata"]["uid"]) < str(other["metadata"]["uid"]) else 1


def _magnitude(time: datetime, now: datetime) -> int:
    """The binary logarithm of an age in nanoseconds, cut off."""
    seconds = (now - time).total_seconds()
    return int(math.log2(seconds * 1e9)) if seconds > 0 else -1


def _restarts(pod: Object) -> tuple[int, int]:
    """Of the container that restarted most, and of the sidecar that did."""
    status, spec = pod.get("status", {}), pod.get("spec", {})
    sidecars = {item["name"] for item in spec.get("initContainers") or () if item.get("restartPolicy") == "Always"}
    counts = [int(item.get("restartCount", 0)) for item in status.get("containerStatuses") or ()]
    beside = [
        int(item.get("restartCount", 0))
        for item in status.get("initContainerStatuses") or ()
        if item["name"] in sidecars
    ]
    return max(counts, default=0), max(beside, default=0)


def _ready(pod: Object) -> Object | None:
    conditions: Sequence[Object] = pod.get("status", {}).get("conditions") or ()
    return next((each for each in conditions if each["type"] == "Ready" and each["status"] == "True"), None)


def _since(condition: Object | None) -> datetime | None:
    return None if condition is None else _time(condition.get("lastTransitionTime"))


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _node(pod: Object) -> str:
    return str(pod.get("spec", {}).get("nodeName", ""))
