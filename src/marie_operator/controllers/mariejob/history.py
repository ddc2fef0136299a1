"""How many finished jobs of a cluster are kept: the newest, as many as the cluster says."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from marie_operator.api.conditions import JobCondition
from marie_operator.api.mariecluster import MarieCluster
from marie_operator.api.mariejob import MarieJob
from marie_operator.controllers.conditions import is_true

_NEVER = datetime.min.replace(tzinfo=UTC)


def is_limited(cluster: MarieCluster) -> bool:
    """Whether a cluster says how many of its finished jobs are kept."""
    spec = cluster.spec
    return spec.successful_jobs_history_limit is not None or spec.failed_jobs_history_limit is not None


def surplus(cluster: MarieCluster, finished: Iterable[MarieJob]) -> Sequence[MarieJob]:
    """The jobs beyond the cluster's limits, oldest first.

    Args:
        cluster: Has ``successfulJobsHistoryLimit`` and ``failedJobsHistoryLimit``; without one, all of those are kept.
        finished: Its jobs that have come to their end.
    """
    jobs = sorted(finished, key=lambda job: (job.status.completion_time or _NEVER, job.metadata.name))
    succeeded = [job for job in jobs if is_true(job.status, JobCondition.COMPLETE)]
    failed = [job for job in jobs if not is_true(job.status, JobCondition.COMPLETE)]
    return [
        *_beyond(succeeded, cluster.spec.successful_jobs_history_limit),
        *_beyond(failed, cluster.spec.failed_jobs_history_limit),
    ]


def _beyond(jobs: Sequence[MarieJob], limit: int | None) -> Sequence[MarieJob]:
    return () if limit is None else jobs[: max(0, len(jobs) - limit)]
