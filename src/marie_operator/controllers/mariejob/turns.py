"""Whose turn it is: the line before each cluster, kept from what happens to jobs."""

from collections.abc import Callable

from marie_operator.api.conditions import JobCondition
from marie_operator.api.mariecluster import MarieCluster
from marie_operator.api.mariejob import JobDocuments, MarieJob
from marie_operator.controllers import custody, kinds
from marie_operator.controllers.conditions import condition
from marie_operator.controllers.mariejob.conditions import is_finished
from marie_operator.controllers.mariejob.line import READY, Claim, Line
from marie_operator.runtime import Clock, Event, Typed, Unparsable
from marie_operator.runtime.resource import ObjectKey


class Turns:
    """The line before each cluster, kept from the events of the cached jobs.

    Args:
        jobs: The cached jobs, as models.
        clock: For how long a job waits.
        on_turn: Called with a job when others have left room for it.
    """

    def __init__(self, jobs: Typed[MarieJob], *, clock: Clock, on_turn: Callable[[ObjectKey], None]) -> None:
        self._jobs = jobs
        self._clock = clock
        self._on_turn = on_turn
        self._lines: dict[ObjectKey, Line] = {}
        self._places: dict[ObjectKey, ObjectKey] = {}

    def line(self, cluster: MarieCluster, workers: int) -> Line:
        """The line before a cluster, in which so many executors are registered."""
        line = self._lines.get(kinds.key_of(cluster)) or Line()
        line.fit(cluster, workers)
        return line

    def handle(self, event: Event) -> None:
        """Take in what happened to a job, and call those whose turn has come by it."""
        key = ObjectKey.of(event.object)
        job = None if event.kind == "deleted" else self._jobs.get(key)
        cluster, before = _cluster(job), self._places.pop(key, None)
        if before is not None and before != cluster:
            self._leave(before, key)
        if cluster is not None and isinstance(job, MarieJob):
            self._places[key] = cluster
            self._claim(cluster, Claim.of(job, job.status.documents or JobDocuments(), stuck=_is_stuck(job)))

    def _claim(self, cluster: ObjectKey, claim: Claim) -> None:
        line = self._lines.setdefault(cluster, Line())
        before = line.of(claim.job)
        if before == claim:
            return
        line.claim(claim)
        if before is not None and (claim.in_flight < before.in_flight or claim.want < before.want):
            self._call(line, besides=claim.job)

    def _leave(self, cluster: ObjectKey, job: ObjectKey) -> None:
        line = self._lines[cluster]
        line.leave(job)
        self._call(line, besides=job)
        if not line:
            del self._lines[cluster]

    def _call(self, line: Line, *, besides: ObjectKey) -> None:
        for job in line.granted(self._clock.now()):
            if job != besides:
                self._on_turn(job)


def _cluster(job: MarieJob | Unparsable | None) -> ObjectKey | None:
    """The cluster that a job waits for or runs on, if it is known and the job is not over."""
    if not isinstance(job, MarieJob) or is_finished(job.status) or job.metadata.deletion_timestamp is not None:
        return None
    name = job.status.cluster_name or job.spec.cluster_ref
    return ObjectKey(job.metadata.namespace, name) if name else None


def _is_stuck(job: MarieJob) -> bool:
    """Whether something other than the line keeps a job from taking its turn."""
    if custody.is_paused(job) or not custody.is_ours(job):
        return True
    submitted = condition(job.status, JobCondition.SUBMITTED)
    return submitted is not None and submitted.status != "True" and submitted.reason not in READY
