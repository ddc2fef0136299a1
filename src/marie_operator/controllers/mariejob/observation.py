"""What a decision about a job is made from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from marie_operator.api.conditions import JobReason
from marie_operator.api.mariecluster import MarieCluster
from marie_operator.controllers.mariejob.buckets import Folder
from marie_operator.controllers.mariejob.credentials import AnyCredentials, Scheme
from marie_operator.controllers.mariejob.delivery import DeliveryOutcome, Route
from marie_operator.controllers.mariejob.imports import ImportOutcome
from marie_operator.controllers.mariejob.line import Line
from marie_operator.controllers.mariejob.listing import ListingFailure
from marie_operator.controllers.mariejob.own_cluster import OwnCluster
from marie_operator.controllers.mariejob.source import FailedOf
from marie_operator.controllers.mariejob.store import Page
from marie_operator.controllers.mariejob.submitter import SubmitterJob
from marie_operator.marie.gateways import DatabaseView, DocumentView, GatewayView


class Obstacle(NamedTuple):
    """What keeps a job from going on, though it may pass: the operator waits and looks again."""

    reason: JobReason
    message: str


@dataclass(frozen=True, slots=True)
class Observation:
    """Everything outside the job itself that a decision depends on.

    Attributes:
        now: the wall clock.
        cluster: the cluster the job runs on, or why there is none.
        own: the cluster of the job's own; ``None`` for a job that has none.
        resuming: whether a suspension is only carried through, and is not asked for any more.
        rivals: names of other clusters that it selects, while it has not settled on one.
        gateway: what the monitor knows of that cluster's gateway; ``None`` before it looked.
        database: what is known of the database in which its Marie keeps jobs; ``None`` when it cannot be used.
        api_key: the key for submissions, or why there is none.
        documents: what the monitor knows of the job's documents, by reference id.
        scheme: which kind of store the documents are in.
        credentials: how to reach the object store, ``None`` for the operator's own way, or why it is unknown.
        listing: the next keys of the job, or why they cannot be had.
        failed: where the failures of the job of ``spec.input.failedOf`` are, or why they are unknown; ``None`` when
            none are asked for.
        staged: where documents are put for Marie that it cannot read where they are, or why that is unknown; ``None``
            for other documents.
        imported: how far those of other clouds are.
        cleared: what became of these once they were needed no more: empty when they are gone, else why not; ``None``
            before that.
        route: the way of the job's results, why it is unknown at the moment, or ``None`` where nothing says it.
        delivery: how far they are.
        submitter: the submitter Job of the present attempt; ``None`` where the operator submits itself.
        submitter_image: of submitters that name no image of their own; empty when it is not known.
        refused: why what the job is to own was not written.
        line: the cluster's jobs, which share what it is given at a time.
    """

    now: datetime
    cluster: MarieCluster | Obstacle
    own: OwnCluster | None = None
    resuming: bool = False
    rivals: Sequence[str] = ()
    gateway: GatewayView | None = None
    database: DatabaseView | None = None
    api_key: str | Obstacle = ""
    documents: Mapping[str, DocumentView] = field(default_factory=dict)
    scheme: Scheme = "s3"
    credentials: AnyCredentials | Obstacle | None = None
    listing: Page | ListingFailure | None = None
    failed: FailedOf | Obstacle | None = None
    staged: Folder | Obstacle | None = None
    imported: ImportOutcome = field(default_factory=ImportOutcome)
    cleared: str | None = None
    route: Route | Obstacle | None = None
    delivery: DeliveryOutcome = field(default_factory=DeliveryOutcome)
    submitter: SubmitterJob | None = None
    submitter_image: str = ""
    refused: Obstacle | None = None
    line: Line = field(default_factory=Line)
