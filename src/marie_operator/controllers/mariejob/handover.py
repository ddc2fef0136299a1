"""What the way of a job's results means for the job: a pure function of the job and of what was seen."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from marie_operator.api.conditions import JobCondition, JobReason
from marie_operator.api.mariecluster import MarieCluster
from marie_operator.api.mariejob import DocumentInFlight, MarieJob
from marie_operator.controllers.conditions import condition
from marie_operator.controllers.mariejob import delivery, routes
from marie_operator.controllers.mariejob.delivery import (
    DeliveryFailure,
    DeliveryOutcome,
    DeliveryRequest,
    Ended,
    Receipt,
    Route,
)
from marie_operator.controllers.mariejob.observation import Observation, Obstacle
from marie_operator.controllers.mariejob.plan import Plan

PATIENCE = timedelta(hours=1)
"""How long results are tried to be copied while none comes through, before the job is given up."""

_ASSUMED_PATIENCE = timedelta(minutes=5)
"""The same where Marie's store is not configured, before results are left there."""


@dataclass(frozen=True, slots=True)
class Handover:
    """Where a job stands with its results.

    Attributes:
        route: Their way; None where they stay where Marie stored them, or while their way is not known.
        outcome: How far they are; None where documents end without waiting for them.
        unknown: Why they stay where Marie stored them although the job names another place; empty otherwise.
        obstacle: What keeps them from being copied.
        given_up: Whether that has lasted for too long.
    """

    route: Route | None = None
    outcome: DeliveryOutcome | None = None
    unknown: str = ""
    obstacle: Obstacle | None = None
    given_up: bool = False

    @classmethod
    def of(
        cls, job: MarieJob, plan: Plan, seen: Observation, now: datetime, flaw: Obstacle | None = None
    ) -> "Handover":
        """The handover of a job's results.

        Args:
            job: The job.
            plan: Its spec, read.
            seen: What was seen.
            now: The wall clock.
            flaw: Why the job cannot go on as its spec is by now.
        """
        if flaw is not None and plan.output is None and job.spec.output.uri:
            # Where results are to go is not to be read: documents that have ended wait for it.
            return cls(outcome=seen.delivery, obstacle=flaw)
        if plan.output is None or not isinstance(seen.cluster, MarieCluster):
            return cls()
        told = condition(job.status, JobCondition.RESULTS_COPIED)
        if told is not None and told.reason == JobReason.OBJECT_STORE_UNKNOWN:
            # What was left at Marie once is not copied later: the manifest would lack it.
            return cls(unknown=told.message)
        if seen.route is None:
            return cls(unknown=routes.unknown(seen.cluster, "keeps results in", seen.scheme))
        if isinstance(seen.route, Obstacle):
            return cls(outcome=seen.delivery, obstacle=seen.route)
        return cls._under_way(seen.cluster, seen.route, seen.delivery, now)

    @classmethod
    def _under_way(cls, cluster: MarieCluster, route: Route, outcome: DeliveryOutcome, now: datetime) -> "Handover":
        failure = outcome.failure
        if failure is None:
            return cls(route=route, outcome=outcome)
        lasted = now - failure.since
        if route.is_assumed and failure.at_source and (failure.answered or lasted >= _ASSUMED_PATIENCE):
            return cls(unknown=f"{failure.message} {_assumed(cluster)}")
        obstacle = Obstacle(_reason(failure), failure.message)
        return cls(route=route, outcome=outcome, obstacle=obstacle, given_up=lasted >= PATIENCE)

    @property
    def is_closed(self) -> bool:
        """Whether nothing is left to be done for results, once every document has ended."""
        return self.outcome is None or self.outcome.totals is not None or self.given_up

    @property
    def patience_ends(self) -> datetime | None:
        """When time alone changes something."""
        failure = self.outcome.failure if self.outcome is not None else None
        if failure is None or self.route is None:
            return None
        assumed = self.route.is_assumed and failure.at_source
        return failure.since + (_ASSUMED_PATIENCE if assumed else PATIENCE)

    def request(
        self, job: MarieJob, plan: Plan, ended: Sequence[tuple[DocumentInFlight, Receipt]], *, closing: int | None
    ) -> DeliveryRequest | None:
        """What is to be delivered; None where nothing is.

        Args:
            job: The job, with the status it has.
            plan: Its spec, read.
            ended: Documents in that status that have ended.
            closing: How many documents the job had, if all have left the status.
        """
        if self.route is None or plan.output is None:
            return None
        output = plan.output
        documents = tuple(
            Ended(
                uri=document.uri,
                ref_id=document.ref_id,
                folder=delivery.folder(job.metadata.name, plan.source, document.uri, document.ref_id, output),
                attempts=document.attempt + 1,
                receipt=receipt,
                dag_id=document.dag_id,
                since=document.since,
            )
            for document, receipt in ended
        )
        parts = job.status.documents.manifest_parts if job.status.documents else 0
        return DeliveryRequest(self.route, documents, parts, closing)


def _reason(failure: DeliveryFailure) -> JobReason:
    return JobReason.STORAGE_REFUSED if failure.answered else JobReason.STORAGE_UNREACHABLE


def _assumed(cluster: MarieCluster) -> str:
    return (
        f"MarieCluster {cluster.metadata.name} does not say where it keeps results, so the store of the documents was "
        "looked in: set spec.backingServices.s3 of the cluster."
    )
