"""What the MarieJob controller watches, and which jobs each change concerns."""

from collections.abc import Iterable, Mapping

from marie_operator.api.conditions import ClusterCondition, JobCondition
from marie_operator.builders import association
from marie_operator.controllers import kinds
from marie_operator.controllers.mariejob import submitters
from marie_operator.controllers.mariejob.reconciler import MarieJobReconciler
from marie_operator.controllers.mariejob.removal import FINISHED_INDEX
from marie_operator.runtime import (
    Cache,
    Clock,
    Controller,
    Event,
    Informer,
    Metrics,
    Tracer,
    asked_for,
    is_true,
    owner,
)
from marie_operator.runtime.informer import IndexFunction
from marie_operator.runtime.resource import JOBS, PODS, Object, ObjectKey

CLUSTER_INDEX = "cluster"
"""Unfinished jobs by the cluster they wait for or run on; by the namespace and ``*`` when they select one by labels.
A job's own cluster counts before it exists."""

_ANY = "*"


def by_cluster(job: Object) -> Iterable[str]:
    """The values of ``CLUSTER_INDEX`` for a job."""
    if _has_ended(job):
        return ()
    namespace, spec = job["metadata"]["namespace"], job.get("spec") or {}
    own = _own_cluster(job) if spec.get("clusterSpec") else ""
    return (str(ObjectKey(namespace, own or spec.get("clusterRef") or _ANY)),)


def _own_cluster(job: Object) -> str:
    """The name of a job's own cluster, of which nothing but names need be readable."""
    if known := (job.get("status") or {}).get("clusterName"):
        return str(known)
    groups = job["spec"]["clusterSpec"].get("executorGroupSpecs") or ()
    metadata = job["metadata"]
    return association.own_cluster_name(
        metadata["name"], metadata["uid"], [str(group.get("groupName", "")) for group in groups]
    )


def by_finished(job: Object) -> Iterable[str]:
    """The values of ``FINISHED_INDEX`` for a job."""
    cluster = (job.get("status") or {}).get("clusterName")
    return (str(ObjectKey(job["metadata"]["namespace"], cluster)),) if cluster and _has_ended(job) else ()


def _has_ended(job: Object) -> bool:
    conditions = (job.get("status") or {}).get("conditions") or ()
    return is_true(conditions, JobCondition.COMPLETE) or is_true(conditions, JobCondition.FAILED)


INDEXES: Mapping[str, IndexFunction] = {CLUSTER_INDEX: by_cluster, FINISHED_INDEX: by_finished}
"""What the cache of jobs needs to have."""


def of_cluster(jobs: Informer, cluster: ObjectKey) -> Iterable[ObjectKey]:
    """The unfinished jobs that a change of ``cluster`` may concern."""
    for value in (cluster, ObjectKey(cluster.namespace, _ANY)):
        for job in jobs.indexed(CLUSTER_INDEX, str(value)):
            yield ObjectKey.of(job)


def controller(
    reconciler: MarieJobReconciler,
    cache: Cache,
    *,
    concurrency: int,
    clock: Clock,
    metrics: Metrics,
    tracer: Tracer | None,
) -> Controller:
    """The controller that runs ``reconciler`` for each change of a job or of its cluster.

    What gateways and listings find out comes in through ``enqueue``: hand it to them as their callback.
    """
    jobs = cache[kinds.MARIE_JOBS]
    return (
        Controller(
            "mariejob", reconciler.reconcile, concurrency=concurrency, clock=clock, metrics=metrics, tracer=tracer
        )
        .watch(jobs, when=asked_for)
        .watch(
            cache[kinds.MARIE_CLUSTERS],
            map=lambda event: [*of_cluster(jobs, ObjectKey.of(event.object)), *_history_of(jobs, event.object)],
            when=concerns_jobs_of_cluster,
        )
        .watch(cache[JOBS], map=owner(kinds.MARIE_JOBS.kind, kinds.MARIE_JOBS.group))
        .watch(cache[PODS], map=lambda event: submitters.owner_of_pod(cache, event))
    )


def _history_of(jobs: Informer, cluster: Object) -> Iterable[ObjectKey]:
    """A finished job of a cluster that limits how many are kept: one is enough to look at all of them."""
    spec = cluster.get("spec") or {}
    if not {"successfulJobsHistoryLimit", "failedJobsHistoryLimit"} & spec.keys():
        return ()
    return [ObjectKey.of(job) for job in jobs.indexed(FINISHED_INDEX, str(ObjectKey.of(cluster)))[:1]]


def concerns_jobs_of_cluster(event: Event) -> bool:
    """Whether a change of a cluster may concern its jobs; what its executors do does not."""
    if event.kind != "modified" or event.old is None:
        return True
    return _news_of_cluster(event.old) != _news_of_cluster(event.object)


def _news_of_cluster(cluster: Object) -> object:
    metadata = cluster["metadata"]
    conditions = (cluster.get("status") or {}).get("conditions") or ()
    server = [
        (condition["status"], condition["reason"], condition["message"])
        for condition in conditions
        if condition["type"] == ClusterCondition.SERVER_POD_READY
    ]
    pending = [condition["status"] for condition in conditions if condition["type"] == ClusterCondition.UPGRADE_PENDING]
    return (
        metadata["uid"],
        metadata.get("generation"),
        metadata.get("deletionTimestamp"),
        metadata.get("labels"),
        server,
        pending,
    )
