"""Whether the pods of a cluster are yet those of its spec: no I/O."""

from collections.abc import Iterator, Sequence

from marie_operator.api.mariecluster import MarieCluster
from marie_operator.builders import association
from marie_operator.controllers import custody
from marie_operator.controllers.mariecluster.upgrade import Upgrade
from marie_operator.runtime.children import LiveChildren
from marie_operator.runtime.resource import DEPLOYMENTS, Object


def unfinished(cluster: MarieCluster, children: LiveChildren, upgrade: Upgrade) -> Sequence[str]:
    """Names of Deployments whose pods are of an earlier spec, and are being replaced, or about to be.

    A change that waits for documents is none: ``UpgradePending`` tells of it.

    Args:
        cluster: The cluster.
        children: Its live children.
        upgrade: Which changes wait.
    """
    about = frozenset() if upgrade.reason is not None else upgrade.held
    return [
        name
        for name, live in _deployments(cluster, children)
        if (DEPLOYMENTS, name) in about or (_is_looked_at(live) and _rolls(live))
    ]


def observed(cluster: MarieCluster, children: LiveChildren, *, ready: bool) -> int | None:
    """The generation of the spec that a status is of; the one before as long as nobody can say it of the present one.

    So it is while the cluster is paused, when nothing is made of a spec; and of one that seems ready, while the
    controller of its Deployments has yet to look at what was made: what these tell is of before.

    Args:
        cluster: The cluster, with the status of before.
        children: Its live children.
        ready: Whether everything seems to run as wanted.
    """
    unseen = ready and not all(_is_looked_at(live) for _, live in _deployments(cluster, children))
    return cluster.status.observed_generation if unseen or custody.is_paused(cluster) else cluster.metadata.generation


def _deployments(cluster: MarieCluster, children: LiveChildren) -> Iterator[tuple[str, Object]]:
    name = cluster.metadata.name
    names = [association.server_deployment_name(name)]
    names += [
        association.executor_deployment_name(name, group.group_name) for group in cluster.spec.executor_group_specs
    ]
    return ((each, children.get((DEPLOYMENTS, each), {})) for each in names)


def _is_looked_at(live: Object) -> bool:
    return bool(live) and live.get("status", {}).get("observedGeneration") == live["metadata"].get("generation")


def _rolls(live: Object) -> bool:
    status = live["status"]
    asked, there = int(live["spec"].get("replicas", 1)), int(status.get("replicas", 0))
    return int(status.get("updatedReplicas", 0)) < max(asked, there)
