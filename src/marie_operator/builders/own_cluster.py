"""The MarieCluster of a job's own, as ``spec.clusterSpec`` describes it."""

from marie_operator.api.mariecluster import MarieCluster
from marie_operator.api.mariejob import MarieJob
from marie_operator.api.meta import API_VERSION
from marie_operator.builders import association
from marie_operator.runtime.resource import Object


def name(job: MarieJob) -> str:
    """What it is called: as it was from its beginning, whatever becomes of the names of its groups."""
    if job.status.cluster_name:
        return job.status.cluster_name
    groups = job.spec.cluster_spec.executor_group_specs if job.spec.cluster_spec else ()
    return association.own_cluster_name(job.metadata.name, job.metadata.uid, [group.group_name for group in groups])


def manifest(job: MarieJob, *, workers: bool = True) -> Object:
    """The cluster.

    Args:
        job: Has ``spec.clusterSpec``.
        workers: Whether its executor groups have pods; without, each is suspended.

    Raises:
        ValueError: the job has no cluster of its own.
    """
    if job.spec.cluster_spec is None:
        raise ValueError(f"MarieJob {job.metadata.name} has no clusterSpec")
    spec = job.spec.cluster_spec.model_dump(mode="json", by_alias=True, exclude_unset=True)
    if not workers:
        groups = spec.get("executorGroupSpecs", ())
        spec["executorGroupSpecs"] = [{**group, "suspend": True} for group in groups]
    return association.hashed(
        {
            "apiVersion": API_VERSION,
            "kind": MarieCluster.model_fields["kind"].default,
            "metadata": association.of_job(job, name(job)),
            "spec": spec,
        }
    )
