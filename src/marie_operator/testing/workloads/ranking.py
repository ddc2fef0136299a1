"""Which pods of a set go first when it shrinks; the order is that of Kubernetes."""

import math
import re
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from functools import cmp_to_key

from marie_operator.testing.workloads.objects import (
    Object,
    annotations_of,
    is_active,
    is_ready,
    parsed,
    ready_since,
    uid_of,
)

DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
_PHASES = {"Pending": 0, "Unknown": 1, "Running": 2}
_PLAIN = re.compile(r"-[0-9]+|0|[1-9][0-9]*")


def victims(
    pods: Sequence[Object], count: int, now: datetime, *, related: Sequence[Object] | None = None
) -> list[Object]:
    """The pods to delete.

    Args:
        pods: Of the set.
        count: How many.
        now: The time; ages are compared by their order of magnitude.
        related: Pods of all sets of the same owner, whose crowding of a node counts; without them, ``pods``.
    """
    if count >= len(pods):
        return list(pods)
    crowd = Counter(_node(each) for each in (pods if related is None else related) if is_active(each))

    def order(one: Object, other: Object) -> int:
        return _compared(one, other, crowd, now)

    return sorted(pods, key=cmp_to_key(order))[: max(count, 0)]


def deletion_cost(pod: Object) -> int:
    """What its annotation says, if that is a number of 32 bits written plainly; otherwise 0."""
    text = annotations_of(pod).get(DELETION_COST, "0")
    return int(text) if _PLAIN.fullmatch(text) and -(2**31) <= int(text) < 2**31 else 0


def _compared(one: Object, other: Object, crowd: Counter[str], now: datetime) -> int:
    """Below zero when ``one`` goes first."""
    left, right = _key(one, crowd), _key(other, crowd)
    if left != right:
        return -1 if left < right else 1
    if is_ready(one):
        by_age = _by_age(one, other, (ready_since(one), ready_since(other)), now)
        if by_age:
            return by_age
    restarts = _restarts(one), _restarts(other)
    if restarts[0] != restarts[1]:
        return -1 if restarts[0] > restarts[1] else 1
    created = (parsed(each["metadata"].get("creationTimestamp")) for each in (one, other))
    return _by_age(one, other, tuple(created), now)


def _key(pod: Object, crowd: Counter[str]) -> tuple[bool, int, bool, int, int]:
    phase = _PHASES.get(pod.get("status", {}).get("phase", ""), 0)
    return bool(_node(pod)), phase, is_ready(pod), deletion_cost(pod), -crowd[_node(pod)]


def _by_age(one: Object, other: Object, times: Sequence[datetime | None], now: datetime) -> int:
    """The younger goes first; of ages of the same magnitude chance decides, which is in the uids."""
    first, second = times
    if first == second:
        return 0
    if first is None or second is None:
        # No time at all is younger than any.
        return -1 if first is None else 1
    difference = _magnitude(first, now) - _magnitude(second, now)
    if difference:
        return difference
    return -1 if uid_of(one) < uid_of(other) else 1


def _magnitude(time: datetime, now: datetime) -> int:
    age = now - time
    nanoseconds = (age.days * 86400 + age.seconds) * 10**9 + age.microseconds * 1000
    return int(math.log2(nanoseconds)) if nanoseconds > 0 else -1


def _restarts(pod: Object) -> tuple[int, int]:
    """The most restarts of a container, and of one that comes before the others and stays."""
    status, spec = pod.get("status", {}), pod.get("spec", {})
    stays = {each["name"] for each in spec.get("initContainers") or () if each.get("restartPolicy") == "Always"}
    main = [each.get("restartCount", 0) for each in status.get("containerStatuses") or ()]
    side = [each.get("restartCount", 0) for each in status.get("initContainerStatuses") or () if each["name"] in stays]
    return max(main, default=0), max(side, default=0)


def _node(pod: Object) -> str:
    return str(pod.get("spec", {}).get("nodeName", ""))
