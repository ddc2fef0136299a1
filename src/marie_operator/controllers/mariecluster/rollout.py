"""Whether the pods of a cluster are yet those of its spec: no I/O."""

from collections.abc import Sequence

from marie_operator.api.conditions import ClusterCondition, ClusterReason
from marie_operator.api.mariecluster import MarieCluster
from marie_operator.builders import association
from marie_operator.controllers.conditions import condition
from marie_operator.controllers.mariecluster.upgrade import Upgrade
from marie_operator.runtime.children import LiveChildren
from marie_operator.runtime.resource import DEPLOYMENTS, Object


def unfinished(cluster: MarieCluster, children: LiveChildren, upgrade: Upgrade) -> Sequence[str]:
    """Names of Deployments whose pods are of an earlier spec, and are being replaced, or about to be.

    A change that waits for documents is none: ``UpgradePending`` tells of it.

    Args:
        cluster: The cluster, with what was told of it.
        children: Its live children.
        upgrade: Which changes wait.
    """
    groups = cluster.spec.executor_group_specs
    names = [
        association.server_deployment_name(cluster.metadata.name),
        *(association.executor_deployment_name(cluster.metadata.name, group.group_name) for group in groups),
    ]
    about = frozenset() if upgrade.reason is not None else upgrade.held
    anew = _is_new(cluster)
    return [
        name
        for name in names
        if (DEPLOYMENTS, name) in about or _rolls(children.get((DEPLOYMENTS, name), {}), anew=anew)
    ]


def _is_new(cluster: MarieCluster) -> bool:
    """Whether the spec has not been told to be rolled out.

    A Deployment of one that has been changes for its size, too, and for the moment until its controller has seen that
    nothing is told.
    """
    told = condition(cluster.status, ClusterCondition.READY)
    if told is None or told.reason == ClusterReason.ROLLING_OUT:
        return True
    return told.observed_generation != cluster.metadata.generation


def _rolls(live: Object, *, anew: bool) -> bool:
    if not live:
        return anew
    status = live.get("status", {})
    if status.get("observedGeneration") != live["metadata"].get("generation"):
        return anew
    asked, there = int(live["spec"].get("replicas", 1)), int(status.get("replicas", 0))
    return int(status.get("updatedReplicas", 0)) < max(asked, there)
