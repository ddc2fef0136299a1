"""The line before a cluster: how its jobs share what Marie is given at a time.

Marie works on what it has in no order that a user could choose: it ignores priorities and enforces no deadline. So it
is given no more than it can use, and the rest waits here, where the order is: highest priority first, each minute that
begins while a job waits counting as one point of it; then the earliest soft deadline; then whoever has fewest documents
with Marie, and then whoever was made first.

Thousands of jobs may wait. Minutes are those of the clock, the same for all, so that those who wait never overtake one
another: their order is kept, and only who is at its head is looked at.
"""

import heapq
import itertools
from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from marie_operator.api import duration
from marie_operator.api.conditions import JobCondition, JobReason
from marie_operator.api.mariecluster import MarieCluster
from marie_operator.api.mariejob import JobDocuments, MarieJob
from marie_operator.controllers import kinds
from marie_operator.controllers.conditions import condition
from marie_operator.runtime.resource import ObjectKey

LEAST_WINDOW = 100
"""Documents that a cluster is given at a time at least, unless its spec says fewer."""

PER_WORKER = 2
"""Documents for each registered worker: one that it works on, and one that is ready when it is done."""

POINT = timedelta(minutes=1)
"""Waiting that counts as much as one point of priority; so nothing waits for ever."""

READY = frozenset({JobReason.SUBMITTING, JobReason.SUBMITTED, JobReason.QUEUED})
"""Why a job has nothing with Marie that would send something if it were its turn."""

_NEVER = datetime.max.replace(tzinfo=UTC)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Place(NamedTuple):
    """What decides who goes first: the lesser one does, and those of equal rank and deadline share.

    Attributes:
        rank: Less by one for each point; of those who wait, beside the minute at which they began.
        soft: The soft deadline, or the end of time.
        in_flight: Documents with Marie.
        created: When the job was made.
        job: Whose.
    """

    rank: int
    soft: datetime
    in_flight: int
    created: datetime
    job: ObjectKey

    def at(self, minute: int) -> "Place":
        """The place, among those who wait, of one who has waited for no minute yet."""
        return self._replace(rank=self.rank + minute)


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
            job=kinds.key_of(job),
            priority=job.spec.priority,
            soft=_soft_deadline(job),
            since=None if in_flight else _waits_since(job),
            in_flight=in_flight,
            want=0 if stuck or job.spec.suspend else max(0, min(left, most - in_flight)),
            most=most,
            created=job.metadata.creation_timestamp or _NEVER,
        )

    @property
    def place(self) -> Place:
        """Where it is, among those who wait as it does or as it does not."""
        began = _minute(self.since) if self.since is not None else 0
        return Place(began - self.priority, self.soft or _NEVER, self.in_flight, self.created, self.job)


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


class Line:
    """The jobs of one cluster, and how they share what it is given at a time.

    What is asked of it costs as much as the window is large, however many wait.

    Args:
        size: Documents that the cluster is given at a time.
    """

    def __init__(self, size: int = LEAST_WINDOW) -> None:
        self.size = size
        self._claims: dict[ObjectKey, Claim] = {}
        self._in_flight = self._want = 0
        self._most: Counter[int] = Counter()
        # Of those who want something, in their order: who waits, and who has waited for no minute.
        self._waiting: list[Place] = []
        self._others: list[Place] = []
        self._granted: tuple[int, Mapping[ObjectKey, int]] | None = None

    def __bool__(self) -> bool:
        """Whether there is anybody."""
        return bool(self._claims)

    def of(self, job: ObjectKey) -> Claim | None:
        """The claim of a job."""
        return self._claims.get(job)

    def fit(self, cluster: MarieCluster, workers: int) -> None:
        """Give the cluster at a time what its spec says, or enough to keep every one of its workers busy."""
        size = cluster.spec.max_documents_in_flight
        if size is None:
            size = max(LEAST_WINDOW, PER_WORKER * workers, *self._most)
        if size != self.size:
            self.size, self._granted = size, None

    def claim(self, claim: Claim) -> None:
        """Let a job have and want what its claim says."""
        if claim.job in self._claims:
            self.leave(claim.job)
        self._claims[claim.job] = claim
        self._count(claim, 1)
        if claim.want:
            insort(self._among(claim), claim.place)

    def leave(self, job: ObjectKey) -> None:
        """A job has and wants nothing any more."""
        claim = self._claims.pop(job)
        self._count(claim, -1)
        if claim.want:
            among = self._among(claim)
            del among[bisect_left(among, claim.place)]

    def turn(self, claim: Claim, now: datetime) -> Turn:
        """What a job may do that is ready for it, whatever its claim was when it was last written."""
        before, granted = self._claims.get(claim.job), self._granted
        if before == claim:
            return self._turn(claim, now)
        self.claim(claim)
        try:
            return self._turn(claim, now)
        finally:
            if before is None:
                self.leave(claim.job)
            else:
                self.claim(before)
            self._granted = granted

    def granted(self, now: datetime) -> Mapping[ObjectKey, int]:
        """How many more documents each job may put in flight; those that may none are left out."""
        minute = _minute(now)
        if self._granted is None or self._granted[0] != minute:
            self._granted = minute, self._shares(minute)
        return self._granted[1]

    def _turn(self, claim: Claim, now: datetime) -> Turn:
        granted = self.granted(now)
        waits = claim.want and not claim.in_flight and claim.job not in granted
        position = self._position(claim, granted, _minute(now)) if waits else None
        return Turn(granted.get(claim.job, 0), position, self.size)

    def _position(self, claim: Claim, granted: Mapping[ObjectKey, int], minute: int) -> int:
        """The place, from 1, of one who has nothing: all such to whom something is granted are before it."""
        place = claim.place if claim.since is not None else claim.place.at(minute)
        before = bisect_left(self._waiting, place)
        before += sum(not other.in_flight and other.at(minute) < place for other in self._others)
        return 1 + before - sum(not self._claims[job].in_flight for job in granted)

    def _shares(self, minute: int) -> dict[ObjectKey, int]:
        free = self.size - self._in_flight
        ordered = heapq.merge(self._waiting, (place.at(minute) for place in self._others))
        if self._want <= free:
            return {place.job: self._claims[place.job].want for place in ordered}
        granted: dict[ObjectKey, int] = {}
        groups = (equals for _, equals in itertools.groupby(ordered, lambda place: (place.rank, place.soft)))
        while free > 0:
            # One is given to each before anybody gets two, so that nothing is left for those beyond.
            shares = _evenly([self._claims[place.job] for place in itertools.islice(next(groups), free)], free)
            granted |= shares
            free -= sum(shares.values())
        return granted

    def _count(self, claim: Claim, many: int) -> None:
        self._granted = None
        self._in_flight += many * claim.in_flight
        self._want += many * claim.want
        self._most[claim.most] += many
        if not self._most[claim.most]:
            del self._most[claim.most]

    def _among(self, claim: Claim) -> list[Place]:
        return self._others if claim.since is None else self._waiting


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


def _minute(time: datetime) -> int:
    return (time - _EPOCH) // POINT


def _waits_since(job: MarieJob) -> datetime | None:
    """When a job with nothing at Marie began to wait for its turn."""
    submitted = condition(job.status, JobCondition.SUBMITTED)
    if submitted is None:
        return job.metadata.creation_timestamp
    return submitted.last_transition_time if submitted.status != "True" and submitted.reason in READY else None


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
