"""Which cluster a job runs on."""

from collections.abc import Sequence
from typing import Protocol

from marie_operator.api.conditions import ClusterCondition, JobReason
from marie_operator.api.mariecluster import MarieCluster
from marie_operator.api.mariejob import MarieJob
from marie_operator.builders import own_cluster as building
from marie_operator.controllers.conditions import is_true
from marie_operator.controllers.custody import is_ours
from marie_operator.controllers.mariejob import own_cluster
from marie_operator.controllers.mariejob.observation import Obstacle
from marie_operator.runtime.resource import ObjectKey
from marie_operator.runtime.typed import Unparsable


class Clusters(Protocol):
    """The cached clusters."""

    def get(self, key: ObjectKey) -> MarieCluster | Unparsable | None:
        """One cluster, if it exists."""
        ...

    def list(self, namespace: str = "") -> Sequence[MarieCluster]:
        """Those of a namespace that can be read."""
        ...


def choose(job: MarieJob, clusters: Clusters) -> MarieCluster | Obstacle:
    """The cluster that ``job`` names, or that it selects by labels.

    Among several that match, the one already chosen stays for as long as it can be used. Once documents were taken it
    stays for as long as it exists, whatever became of labels and selector: they may be in its queue. A first choice
    prefers what this operator looks after, then what runs, then the alphabet. A cluster of the job's own is chosen
    whether or not it can be used yet.
    """
    if job.spec.cluster_spec is not None:
        return _own(job, clusters)
    if job.spec.cluster_ref:
        return _named(job, clusters, job.spec.cluster_ref)
    return _settled(job, clusters) or _selected(job, clusters)


def rivals(job: MarieJob, clusters: Clusters, chosen: MarieCluster) -> Sequence[str]:
    """The names of the other clusters that a job selects, as long as it has not settled on one."""
    if job.spec.cluster_spec is not None or job.spec.cluster_ref or job.status.cluster_name:
        return ()
    return [each.metadata.name for each in _matching(job, clusters) if each.metadata.name != chosen.metadata.name]


def _settled(job: MarieJob, clusters: Clusters) -> MarieCluster | Obstacle | None:
    """The one that was selected before; None where the job may be done by another."""
    name, taken = job.status.cluster_name, _has_taken(job)
    found = clusters.get(ObjectKey(job.metadata.namespace, name)) if name else None
    if not taken and (not isinstance(found, MarieCluster) or not _matches(job, found)):
        return None
    match found:
        case MarieCluster() if found.metadata.deletion_timestamp is None:
            return found
        case MarieCluster() if taken:
            return Obstacle(
                JobReason.CLUSTER_NOT_READY,
                f"MarieCluster {name} is being deleted. The job goes on with another that has its labels once it is "
                "gone, and documents that had not ended begin anew.",
            )
        case Unparsable():
            return _unreadable(name, found)
        case _:
            return None


def _has_taken(job: MarieJob) -> bool:
    """Whether documents of a job may be with the cluster that was chosen."""
    return job.status.documents is not None and job.status.documents.listed > 0


def _matches(job: MarieJob, cluster: MarieCluster) -> bool:
    return job.spec.cluster_selector.items() <= cluster.metadata.labels.items()


def _own(job: MarieJob, clusters: Clusters) -> MarieCluster | Obstacle:
    name = building.name(job)
    found = clusters.get(ObjectKey(job.metadata.namespace, name))
    if found is None:
        return Obstacle(JobReason.CLUSTER_STARTING, f"MarieCluster {name} is made for the job.")
    if not own_cluster.is_owned(found, job):
        return Obstacle(
            JobReason.NAME_TAKEN,
            f"MarieCluster {name}, as the job's own cluster is to be called, exists and is not the job's. "
            "Delete it, or make the job under another name.",
        )
    if isinstance(found, Unparsable):
        return _unreadable(name, found)
    if found.metadata.deletion_timestamp is not None:
        return Obstacle(
            JobReason.CLUSTER_NOT_READY,
            f"MarieCluster {name} is being deleted. It is made again once it is gone, and documents that had not ended "
            "begin anew.",
        )
    return found


def _named(job: MarieJob, clusters: Clusters, name: str) -> MarieCluster | Obstacle:
    namespace = job.metadata.namespace
    found = clusters.get(ObjectKey(namespace, name))
    match found:
        case MarieCluster() if found.metadata.deletion_timestamp is None:
            return found
        case MarieCluster():
            return Obstacle(*_gone(job, f"MarieCluster {name} is being deleted", "Create it again once it is gone"))
        case Unparsable():
            return _unreadable(name, found)
        case None:
            return Obstacle(*_gone(job, f"There is no MarieCluster {name} in namespace {namespace}", "Create it"))


def _unreadable(name: str, found: Unparsable) -> Obstacle:
    return Obstacle(
        JobReason.CLUSTER_NOT_READY,
        f"MarieCluster {name} cannot be read: {found.error}. Correct it; the job then goes on by itself.",
    )


def _gone(job: MarieJob, what: str, remedy: str) -> tuple[JobReason, str]:
    waiting = len(job.status.documents.in_flight) if job.status.documents else 0
    if waiting:
        return (
            JobReason.CLUSTER_DELETED,
            f"{what}, with {_documents(waiting)} of this job not finished. "
            "Create it again with the same database to go on, or delete this job.",
        )
    return JobReason.CLUSTER_NOT_FOUND, f"{what}. {remedy}, or set spec.clusterRef to another."


def _documents(count: int) -> str:
    return "1 document" if count == 1 else f"{count} documents"


def _matching(job: MarieJob, clusters: Clusters) -> Sequence[MarieCluster]:
    return [
        cluster
        for cluster in clusters.list(job.metadata.namespace)
        if _matches(job, cluster) and cluster.metadata.deletion_timestamp is None
    ]


def labels(job: MarieJob) -> str:
    """The labels that a job selects its cluster by, for sentences."""
    pairs = (f"{key}={value}" for key, value in sorted(job.spec.cluster_selector.items()))
    return ", ".join(pair if pair.isprintable() else repr(pair) for pair in pairs)


def _selected(job: MarieJob, clusters: Clusters) -> MarieCluster | Obstacle:
    if matching := _matching(job, clusters):
        return min(matching, key=_preference)
    return Obstacle(
        JobReason.NO_CLUSTER_MATCHES,
        f"No MarieCluster in namespace {job.metadata.namespace} has the labels {labels(job)}. "
        "Label one with them, or correct spec.clusterSelector.",
    )


def _preference(cluster: MarieCluster) -> tuple[bool, bool, bool, str]:
    ready = is_true(cluster.status, ClusterCondition.SERVER_POD_READY)
    return not is_ours(cluster), cluster.spec.suspend, not ready, cluster.metadata.name
