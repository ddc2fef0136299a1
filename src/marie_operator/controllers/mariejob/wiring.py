"""What the MarieJob controller watches, and which jobs each change concerns."""

from collections.abc import Iterable

from marie_operator.api.conditions import ClusterCondition, JobCondition
from marie_operator.controllers import kinds
from marie_operator.controllers.mariejob.reconciler import MarieJobReconciler
from marie_operator.runtime import Cache, Clock, Controller, Event, Informer, Metrics, Tracer, asked_for, is_true
from marie_operator.runtime.resource import Object, ObjectKey

CLUSTER_INDEX = "cluster"
"""Unfinished jobs by the cluster they wait for or run on; by the namespace and ``*`` when they select one by labels."""

_ANY = "*"


def by_cluster(job: Object) -> Iterable[str]:
    """The values of ``CLUSTER_INDEX`` for a job."""
    status = job.get("status") or {}
    conditions = status.get("conditions") or ()
    if is_true(conditions, JobCondition.COMPLETE) or is_true(conditions, JobCondition.FAILED):
        return ()
    namespace, spec = job["metadata"]["namespace"], job.get("spec") or {}
    return (str(ObjectKey(namespace, spec.get("clusterRef") or _ANY)),)


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
            map=lambda event: of_cluster(jobs, ObjectKey.of(event.object)),
            when=concerns_jobs_of_cluster,
        )
    )


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
    return (
        metadata["uid"],
        metadata.get("generation"),
        metadata.get("deletionTimestamp"),
        metadata.get("labels"),
        server,
    )
