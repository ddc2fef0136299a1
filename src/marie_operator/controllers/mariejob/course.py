"""Where a job stands after what was seen is taken in: what the status, its conditions and its sentences describe."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from marie_operator.api.conditions import JobCondition, JobReason
from marie_operator.api.mariecluster import MarieCluster
from marie_operator.api.mariejob import DocumentFailure, DocumentInFlight, JobDocuments, MarieJob
from marie_operator.controllers.conditions import condition, is_true
from marie_operator.controllers.mariejob import batch, submitter
from marie_operator.controllers.mariejob.batch import Settled
from marie_operator.controllers.mariejob.deadlines import Deadlines
from marie_operator.controllers.mariejob.handover import Handover
from marie_operator.controllers.mariejob.imports import NOT_SUBMITTED
from marie_operator.controllers.mariejob.line import Turn
from marie_operator.controllers.mariejob.observation import Observation, Obstacle
from marie_operator.controllers.mariejob.plan import Plan
from marie_operator.controllers.mariejob.source import SingleDocument
from marie_operator.marie.gateways import DocumentState, DocumentView

MOST_CANCELLING = timedelta(seconds=60)
"""How long a job's end waits for Marie's database to say that its documents are cancelled."""


@dataclass(frozen=True, slots=True)
class Course:
    """A job that is not finished, one decision further.

    Attributes:
        job: the job, with the status it had.
        seen: what was seen.
        plan: its spec, read.
        now: the wall clock in whole seconds, as it goes into the status.
        start: when its deadlines began to count; ``None`` for a job created suspended.
        deadlines: when it is late; none while it is suspended.
        settled: what became of its documents.
        handover: how it stands with its results.
        documents: its documents, with those that now go into flight.
        obstacle: what keeps it from going on.
        turn: what the cluster's other jobs left to it; None when something else kept it from asking.
        flawed: whether the obstacle is that its spec cannot be carried out as it is by now.
    """

    job: MarieJob
    seen: Observation
    plan: Plan
    now: datetime
    start: datetime | None
    deadlines: Deadlines
    settled: Settled
    handover: Handover
    documents: JobDocuments
    obstacle: Obstacle | None
    turn: Turn | None = None
    flawed: bool = False

    @property
    def suspended(self) -> bool:
        """Whether the user asked for a pause, or one that has begun is still to be carried through."""
        return self.job.spec.suspend

    @property
    def suspending(self) -> bool:
        """Whether a suspended job still has something at Marie, or its own cluster."""
        return bool(self.at_marie) if self.seen.own is None else bool(self.seen.own.uid)

    @property
    def exceeded(self) -> bool:
        """Whether more documents have failed than may."""
        return batch.is_exceeded(self.job, self.plan, self.documents)

    @property
    def queued(self) -> bool:
        """Whether it waits for its turn, and for nothing else."""
        return self.obstacle is not None and self.obstacle.reason == JobReason.QUEUED

    @property
    def queue_position(self) -> int | None:
        """Its place among the jobs that wait for their turn."""
        return self.turn.position if self.turn is not None and self.queued else None

    @property
    def cluster_name(self) -> str:
        """The cluster it runs on, last ran on, or is to run on."""
        cluster = self.seen.cluster
        if self.seen.own is not None:
            return self.seen.own.name
        return cluster.metadata.name if isinstance(cluster, MarieCluster) else self.job.status.cluster_name

    @property
    def followed(self) -> Sequence[DocumentInFlight]:
        """Documents for the monitor: in flight, and not waiting for another attempt."""
        return [document for document in self.documents.in_flight if document.not_before is None]

    @property
    def at_marie(self) -> Sequence[DocumentInFlight]:
        """Documents that Marie has or may have: all that are followed, but for those known not to be submitted.

        What a cluster that goes has is lost with it.
        """
        known = self.seen.documents
        if self.seen.own is not None and (self.suspended or not self.seen.own.stays):
            return []
        ended = {document.ref_id for document, _ in self.settled.ended}
        return [
            document
            for document in self.followed
            if document.ref_id not in ended
            and (document.dag_id or document.ref_id not in known or known[document.ref_id].state not in NOT_SUBMITTED)
        ]

    @property
    def withdraws(self) -> bool:
        """Whether documents can be taken back from Marie now."""
        return self.seen.database is not None and self.seen.database.ready

    @property
    def cancelling(self) -> Sequence[DocumentInFlight]:
        """Documents that are being taken back."""
        return [document for document in self.at_marie if document.cancelling]

    @property
    def giving_up_until(self) -> datetime | None:
        """Until when a job that is given up waits for its documents to be cancelled; None when there is no need to."""
        if not self.cancelling or not self.withdraws:
            return None
        told = condition(self.job.status, JobCondition.FAILURE_TARGET)
        begun = told.last_transition_time if told is not None and told.status == "True" else self.now
        until = begun + MOST_CANCELLING
        return until if until > self.now else None

    @property
    def confirmed(self) -> bool:
        """Whether Marie has confirmed a document of this job."""
        documents = self.documents
        if self.seen.submitter is not None:
            known = [self.job.status.dag_id, *(each.dag_id for each in documents.in_flight)]
            # A document that has ended is not followed any more, and its id may have come with its end alone.
            ended = not documents.in_flight and is_true(self.job.status, JobCondition.SUBMITTED)
            return ended or any([*known, *(view.dag_id for view in self.seen.documents.values())])
        return bool(
            documents.succeeded
            or documents.failed
            or self.job.status.retry_count
            or self.settled.retried
            or any(document.dag_id or document.interrupted for document in documents.in_flight)
        )

    @property
    def is_hearsay(self) -> bool:
        """Whether the document has ended as its submitter says, and Marie knows nothing of it."""
        return submitter.is_hearsay(self.seen.documents, self.seen.submitter)

    @property
    def running(self) -> bool:
        """Whether an executor works, or has worked, on a document of this job."""
        return (
            self.job.status.phase == "Running"
            or bool(self.documents.succeeded or self.documents.failed or self.settled.retried)
            or any(view.state is DocumentState.RUNNING for view in self.views)
        )

    @property
    def failures(self) -> tuple[DocumentFailure, ...]:
        """Failures for the batch's complete record; that of a single document has room enough in status."""
        return () if isinstance(self.plan.source, SingleDocument) else tuple(self.settled.failed)

    @property
    def views(self) -> Sequence[DocumentView]:
        """What the monitor knows of the documents it follows."""
        known = self.seen.documents
        return [known[document.ref_id] for document in self.followed if document.ref_id in known]

    @property
    def needs_submission(self) -> bool:
        """Whether anything is still to be submitted."""
        return not batch.is_listed(self.documents) or any(not document.dag_id for document in self.documents.in_flight)
