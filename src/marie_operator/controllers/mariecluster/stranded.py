"""What the StatefulSets of managed services leave to others."""

from collections.abc import Iterable

from marie_operator.controllers import trouble
from marie_operator.runtime.children import LiveChildren
from marie_operator.runtime.ownership import controller_uid
from marie_operator.runtime.resource import STATEFUL_SETS, Object

_REVISION = "controller-revision-hash"


def pods(children: LiveChildren, among: Iterable[Object]) -> list[Object]:
    """Pods that cannot start, and are of an earlier template than their StatefulSet's.

    Many a version of its controller waits for each of its pods to be ready before it replaces any (kubernetes#67250),
    so that an image that was wrong once could not be corrected.

    Args:
        children: A cluster's.
        among: Its pods.
    """
    updates = {
        live["metadata"]["uid"]: _update(live) for (resource, _), live in children.items() if resource == STATEFUL_SETS
    }
    return [
        pod
        for pod in among
        if (update := updates.get(controller_uid(pod)))
        and pod["metadata"].get("labels", {}).get(_REVISION, update) != update
        and "deletionTimestamp" not in pod["metadata"]
        and trouble.of_pod(pod)
        and not _runs(pod)
    ]


def _update(live: Object) -> str:
    """The revision of a StatefulSet's template; empty as long as its controller has not looked at it."""
    status = live.get("status", {})
    seen = status.get("observedGeneration") == live["metadata"].get("generation")
    return str(status.get("updateRevision", "")) if seen else ""


def _runs(pod: Object) -> bool:
    """Whether a container runs: what it does with the volume is not to be broken off."""
    status = pod.get("status", {})
    containers = (*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ()))
    return any("running" in each.get("state", {}) for each in containers)
