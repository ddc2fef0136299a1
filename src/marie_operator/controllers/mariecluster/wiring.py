"""What the MarieCluster controller watches, and which cluster each change concerns."""

from collections.abc import Iterable, Mapping

from marie_operator.builders import association, chain
from marie_operator.controllers import kinds
from marie_operator.controllers.mariecluster import ranking, scaling
from marie_operator.controllers.mariecluster.reconciler import CLUSTER_INDEX, OWNER_INDEX, MarieClusterReconciler
from marie_operator.runtime import Cache, Clock, Controller, Event, Metrics, Tracer, owner
from marie_operator.runtime.informer import IndexFunction
from marie_operator.runtime.ownership import controller_uid
from marie_operator.runtime.resource import PODS, Object, ObjectKey

GATHERING = 0.2
"""Seconds for which changes of what a cluster is made of are gathered: pods come and start in their dozens."""
_ANNOTATIONS = frozenset({ranking.DELETION_COST, scaling.LEAVING})


def add_informers(cache: Cache, *, pods: Mapping[str, IndexFunction]) -> None:
    """Have ``cache`` keep what the reconciler reads: the chain's kinds and the clusters' pods, nothing else of them.

    Args:
        cache: Not yet running.
        pods: Further indexes of the pods.
    """
    for resource in chain.KINDS:
        cache.add(resource, label_selector=association.MANAGED_SELECTOR, indexes={OWNER_INDEX: _owner_uid})
    indexes = {CLUSTER_INDEX: _cluster, **pods}
    cache.add(PODS, label_selector=association.CLUSTER_LABEL, indexes=indexes, transform=_trimmed)


def controller(
    reconciler: MarieClusterReconciler,
    cache: Cache,
    *,
    concurrency: int,
    clock: Clock,
    metrics: Metrics,
    tracer: Tracer | None,
) -> Controller:
    """The controller that runs ``reconciler`` for each change of a cluster, its children, or its pods."""
    result = Controller(
        "mariecluster", reconciler.reconcile, concurrency=concurrency, clock=clock, metrics=metrics, tracer=tracer
    ).watch(cache[kinds.MARIE_CLUSTERS])
    for resource in chain.KINDS:
        owners = owner(kinds.MARIE_CLUSTERS.kind, kinds.MARIE_CLUSTERS.group)
        result.watch(cache[resource], map=owners, within=GATHERING)
    return result.watch(cache[PODS], map=_cluster_of_pod, within=GATHERING)


def _owner_uid(obj: Object) -> Iterable[str]:
    uid = controller_uid(obj)
    return (uid,) if uid else ()


def _cluster(pod: Object) -> Iterable[str]:
    return [str(key) for key in _clusters(pod)]


def _cluster_of_pod(event: Event) -> Iterable[ObjectKey]:
    return _clusters(event.object)


def _clusters(pod: Object) -> Iterable[ObjectKey]:
    """The cluster that a pod is a part of; one that only submits to it is none."""
    metadata = pod["metadata"]
    if metadata["labels"].get(association.NODE_TYPE_LABEL) == association.SUBMITTER:
        return ()
    return (ObjectKey(metadata["namespace"], metadata["labels"][association.CLUSTER_LABEL]),)


def _trimmed(pod: Object) -> Object:
    """The part of a pod that a status tells of, or by which pods are chosen; the rest would only take memory."""
    metadata, spec, status = pod["metadata"], pod.get("spec", {}), pod.get("status", {})
    kept = (
        *("name", "namespace", "uid", "resourceVersion", "labels", "ownerReferences", "creationTimestamp"),
        *("deletionTimestamp", "deletionGracePeriodSeconds"),
    )
    notes = {key: value for key, value in (metadata.get("annotations") or {}).items() if key in _ANNOTATIONS}
    # In the ReplicaSet's order sidecars that restarted count beside containers.
    sidecars = [
        {"name": item["name"], "restartPolicy": item["restartPolicy"]}
        for item in spec.get("initContainers") or ()
        if item.get("restartPolicy")
    ]
    told = ("phase", "podIP", "reason", "message", "conditions", "initContainerStatuses", "containerStatuses")
    return {
        "metadata": {key: metadata[key] for key in kept if key in metadata} | ({"annotations": notes} if notes else {}),
        "spec": {key: spec[key] for key in ("nodeName",) if key in spec}
        | ({"initContainers": sidecars} if sidecars else {}),
        "status": {key: status[key] for key in told if key in status},
    }
