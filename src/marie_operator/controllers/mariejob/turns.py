"""Whose turn it is: how the jobs of a cluster share what Marie is given at a time.

Marie works on what it has in no order that a user could choose: it ignores priorities and enforces no deadline. So it
is given no more than it can use, and the rest waits here, where the order is: highest priority first, each minute of
waiting counting as one point of it; then the earliest soft deadline; then whoever has fewest documents with Marie.
"""

import heapq
import itertools
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from marie_operator.api import duration
from marie_operator.api.conditions import JobCondition, JobReason
from marie_operator.api.mariecluster import MarieCluster
from marie_operator.api.mariejob import JobDocuments, MarieJob
from marie_operator.controllers import custody
from marie_operator.controllers.conditions import condition
from marie_operator.controllers.mariejob.conditions import is_finished
from marie_operator.runtime import Clock, Event, Typed, Unparsable
from marie_operator.runtime.resource import ObjectKey

LEAST_WINDOW = 100
"""Documents that a cluster is given at a time at least, unless its spec says fewer."""

PER_WORKER = 2
"""Documents for each registered worker: one that it works on, and one that is ready when it is done."""

POINT = timedelta(minutes=1)
"""Waiting that counts as much as one point of priority; so nothing waits for ever."""

_NEVER = datetime.max.replace(tzinfo=UTC)
_READY = frozenset({JobReason.SUBMITTING, JobReason.SUBMITTED, JobReason.QUEUED})


@dataclass(frozen=True, slots=True)
class Claim:
    """What one job has with Marie, and what more it would take.

    Attributes:
        job: Whose.
        priority: Of its spec.
        soft: Its soft deadline, if it has one.
        since: When it began to wait for its turn with nothing at Marie; None when it does not.
        in_flight: Documents that Marie has or is about to get.
        want: Documents that it would put in flight beside them.
        most: Documents that it may have in flight altogether.
        created: When the job was made.
    """

    job: ObjectKey
    priority: int
    soft: datetime | None
    since: datetime | None
    in_flight: int
    want: int
    most: int
    created: datetime

    @classmethod
    def of(cls, job: MarieJob, documents: JobDocuments, *, stuck: bool) -> "Claim":
        """The claim of a job that is not finished.

        Args:
            job: The job, with the status it has.
            documents: Its documents, which may be further than its status.
            stuck: Whether something other than the line keeps it from taking its turn; then it wants nothing.
        """
        in_flight, single = len(documents.in_flight), _is_single(job)
        most = 1 if single else job.spec.batch.max_in_flight
        total = 1 if single else documents.total
        left = most if total is None else total - documents.listed
        return cls(
            job=ObjectKey(job.metadata.namespace, job.metadata.name),
            priority=job.spec.priority,
            soft=_soft_deadline(job),
            since=None if in_flight else _waits_since(job),
            in_flight=in_flight,
            want=0 if stuck or job.spec.suspend else max(0, min(left, most - in_flight)),
            most=most,
            created=job.metadata.creation_timestamp or _NEVER,
        )

    def rank(self, now: datetime) -> tuple[int, datetime]:
        """What decides whose turn it is; the lower one goes first, and equal ones share."""
        points = (now - self.since) // POINT if self.since is not None else 0
        return -self.priority - points, self.soft or _NEVER


@dataclass(frozen=True, slots=True)
class Turn:
    """What a job may do now.

    Attributes:
        room: Documents that it may put in flight.
        position: Its place among the jobs that wait with nothing at Marie, from 1; None when it does not wait.
        window: Documents that the cluster is given at a time.
    """

    room: int
    position: int | None = None
    window: int = LEAST_WINDOW


def window(cluster: MarieCluster, workers: int, claims: Iterable[Claim]) -> int:
    """How many documents a cluster is given at a time: what its spec says, or enough to keep every worker busy."""
    if cluster.spec.max_documents_in_flight is not None:
        return cluster.spec.max_documents_in_flight
    return max(LEAST_WINDOW, PER_WORKER * workers, *(claim.most for claim in claims))


def share(claims: Collection[Claim], size: int, now: datetime) -> Mapping[ObjectKey, int]:
    """How many more documents each job may put in flight; those that may none are left out.

    Args:
        claims: Of the cluster's jobs.
        size: Of its window.
        now: Waiting counts up to here.
    """
    free = size - sum(claim.in_flight for claim in claims)
    waiting = [claim for claim in claims if claim.want]
    if sum(claim.want for claim in waiting) <= free:
        return {claim.job: claim.want for claim in waiting}
    granted: dict[ObjectKey, int] = {}
    for _, equals in _ranked(waiting, now):
        if free <= 0:
            break
        for job, count in _evenly(equals, free).items():
            granted[job] = count
            free -= count
    return granted


def _ranked(claims: Iterable[Claim], now: datetime) -> Iterator[tuple[object, list[Claim]]]:
    """Claims of equal rank together, in the order in which they are served."""

    def rank(claim: Claim) -> tuple[int, datetime]:
        return claim.rank(now)

    for rank_, equals in itertools.groupby(sorted(claims, key=rank), rank):
        yield rank_, sorted(equals, key=lambda claim: (claim.in_flight, claim.created, claim.job))


def _evenly(claims: Sequence[Claim], free: int) -> dict[ObjectKey, int]:
    """Give one document after the other to whoever has fewest."""
    granted: dict[ObjectKey, int] = {}
    heap = [(claim.in_flight, index) for index, claim in enumerate(claims)]
    heapq.heapify(heap)
    while heap and free > 0:
        has, index = heapq.heappop(heap)
        claim = claims[index]
        granted[claim.job] = granted.get(claim.job, 0) + 1
        free -= 1
        if granted[claim.job] < claim.want:
            heapq.heappush(heap, (has + 1, index))
    return granted


def places(claims: Iterable[Claim], granted: Collection[ObjectKey], now: datetime) -> Mapping[ObjectKey, int]:
    """The places of the jobs that have nothing with Marie and may send nothing."""
    waiting = [claim for claim in claims if claim.want and not claim.in_flight and claim.job not in granted]
    ordered = itertools.chain.from_iterable(equals for _, equals in _ranked(waiting, now))
    return {claim.job: place for place, claim in enumerate(ordered, start=1)}


class Line:
    """The jobs of one cluster, and how they share what it is given at a time.

    Args:
        size: Documents that the cluster is given at a time.
        claims: What its jobs have and want.
    """

    def __init__(self, size: int = LEAST_WINDOW, claims: Mapping[ObjectKey, Claim] | None = None) -> None:
        self.size = size
        self.claims = dict(claims or {})
        self._shared: _Shared | None = None

    def turn(self, claim: Claim, now: datetime) -> Turn:
        """What a job may do that is ready for it, whatever its claim was when it was last written."""
        if self.claims.get(claim.job) == claim:
            shared = self.shared(now)
        else:
            shared = _Shared.of({**self.claims, claim.job: claim}.values(), self.size, now)
        return Turn(shared.granted.get(claim.job, 0), shared.places.get(claim.job), self.size)

    def shared(self, now: datetime) -> "_Shared":
        """Who may send how much: made anew when a claim has changed, or waiting may have changed the order."""
        if self._shared is None or now - self._shared.at >= POINT:
            self._shared = _Shared.of(self.claims.values(), self.size, now)
        return self._shared

    def resize(self, size: int) -> None:
        """Give the cluster more or less at a time."""
        if size != self.size:
            self.size, self._shared = size, None

    def claim(self, claim: Claim) -> None:
        """Let a job have and want what its claim says."""
        self.claims[claim.job], self._shared = claim, None

    def leave(self, job: ObjectKey) -> None:
        """A job has and wants nothing any more."""
        del self.claims[job]
        self._shared = None


@dataclass(frozen=True, slots=True)
class _Shared:
    """How a window was shared at some time."""

    at: datetime
    granted: Mapping[ObjectKey, int]
    places: Mapping[ObjectKey, int]

    @classmethod
    def of(cls, claims: Collection[Claim], size: int, now: datetime) -> "_Shared":
        granted = share(claims, size, now)
        return cls(now, granted, places(claims, granted, now))


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
        line = self._lines.get(ObjectKey(cluster.metadata.namespace, cluster.metadata.name)) or Line()
        line.resize(window(cluster, workers, line.claims.values()))
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
        before = line.claims.get(claim.job)
        if before == claim:
            return
        line.claim(claim)
        if before is not None and (claim.in_flight < before.in_flight or claim.want < before.want):
            self._call(line, besides=claim.job)

    def _leave(self, cluster: ObjectKey, job: ObjectKey) -> None:
        line = self._lines[cluster]
        line.leave(job)
        self._call(line, besides=job)
        if not line.claims:
            del self._lines[cluster]

    def _call(self, line: Line, *, besides: ObjectKey) -> None:
        if not any(claim.want for claim in line.claims.values()):
            return
        for job in line.shared(self._clock.now()).granted:
            if job != besides:
                self._on_turn(job)


def _cluster(job: MarieJob | Unparsable | None) -> ObjectKey | None:
    """The cluster that a job waits for or runs on, if it is known and the job is not over."""
    if not isinstance(job, MarieJob) or is_finished(job.status) or job.metadata.deletion_timestamp is not None:
        return None
    name = job.status.cluster_name or job.spec.cluster_ref
    return ObjectKey(job.metadata.namespace, name) if name else None


def _waits_since(job: MarieJob) -> datetime | None:
    """When a job with nothing at Marie began to wait for its turn."""
    submitted = condition(job.status, JobCondition.SUBMITTED)
    if submitted is None:
        return job.metadata.creation_timestamp
    return submitted.last_transition_time if submitted.status != "True" and submitted.reason in _READY else None


def _is_stuck(job: MarieJob) -> bool:
    """Whether something other than the line keeps a job from taking its turn."""
    if custody.is_paused(job) or not custody.is_ours(job):
        return True
    submitted = condition(job.status, JobCondition.SUBMITTED)
    return submitted is not None and submitted.status != "True" and submitted.reason not in _READY


def _is_single(job: MarieJob) -> bool:
    """Whether a job has one document, which it names."""
    return bool(job.spec.input.uri) and not job.spec.input.uri.endswith("/")


def _soft_deadline(job: MarieJob) -> datetime | None:
    """When a job is late; a spec that says no time span has no such time."""
    text = job.spec.sla.soft_deadline if job.spec.sla else ""
    start = job.status.start_time or job.metadata.creation_timestamp
    try:
        return start + duration.parse(text) if text and start else None
    except ValueError:
        return None
