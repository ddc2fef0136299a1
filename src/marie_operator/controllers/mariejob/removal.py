"""Finished jobs are deleted: those beyond what their cluster keeps, and those whose time to live is over."""

import contextlib
from typing import Protocol

from marie_operator.api.conditions import EventReason
from marie_operator.api.mariecluster import MarieCluster
from marie_operator.api.mariejob import MarieJob
from marie_operator.controllers import custody, kinds
from marie_operator.controllers.mariejob import history
from marie_operator.controllers.mariejob.announcements import Announcements
from marie_operator.controllers.mariejob.decision import Occurrence
from marie_operator.controllers.mariejob.gather import Sources
from marie_operator.runtime import Conflict, Informer, NotFound, Result, Typed
from marie_operator.runtime.resource import ObjectKey, Resource

FINISHED_INDEX = "finished"
"""Finished jobs by the cluster they ran on."""


class Deleter(Protocol):
    """The one verb that removing needs."""

    async def delete(self, resource: Resource, key: ObjectKey, *, uid: str = "") -> object:
        """Delete an object, if it is still the one of this uid."""
        ...


class Removal:
    """Deletes finished jobs.

    Args:
        informer: The MarieJobs, with ``FINISHED_INDEX``.
        jobs: The same, as models.
        sources: Has clusters and the time.
        client: Deletes.
        announcements: Tell of it.
    """

    def __init__(
        self,
        informer: Informer,
        jobs: Typed[MarieJob],
        sources: Sources,
        client: Deleter,
        announcements: Announcements,
    ) -> None:
        self._informer = informer
        self._jobs = jobs
        self._sources = sources
        self._client = client
        self._announcements = announcements

    async def prune(self, namespace: str, cluster_name: str) -> None:
        """Delete the oldest finished jobs of a cluster that keeps fewer."""
        key = ObjectKey(namespace, cluster_name)
        cluster = self._sources.clusters.get(key)
        if not isinstance(cluster, MarieCluster) or not history.is_limited(cluster):
            return
        finished = (self._jobs.get(ObjectKey.of(each)) for each in self._informer.indexed(FINISHED_INDEX, str(key)))
        kept = [job for job in finished if isinstance(job, MarieJob) and custody.is_ours(job)]
        for job in history.surplus(cluster, [job for job in kept if not custody.is_paused(job)]):
            with contextlib.suppress(NotFound, Conflict):
                await self._client.delete(kinds.MARIE_JOBS, kinds.key_of(job), uid=job.metadata.uid)
                note = f"Deleted: MarieCluster {cluster_name} keeps fewer finished jobs."
                self._announcements.tell(job, [Occurrence("Normal", EventReason.BEYOND_HISTORY, note)])

    async def expire(self, job: MarieJob, why: str) -> Result:
        """Delete a finished job whose time to live is over, but not one of the same name made since."""
        with contextlib.suppress(NotFound, Conflict):
            await self._client.delete(kinds.MARIE_JOBS, kinds.key_of(job), uid=job.metadata.uid)
        age = self._sources.clock.now() - (job.status.completion_time or self._sources.clock.now())
        note = f"Deleted {int(age.total_seconds())} s after its end, as {why} says."
        self._announcements.tell(job, [Occurrence("Normal", EventReason.EXPIRED, note)])
        return Result(changes=(f"deleted MarieJob {job.metadata.name}",))
