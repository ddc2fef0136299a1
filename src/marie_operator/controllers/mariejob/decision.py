"""What to do about a job: the value that ``decide`` returns and the reconciler carries out."""

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from marie_operator.api.mariejob import DocumentFailure, MarieJobStatus
from marie_operator.controllers.mariejob import own_cluster
from marie_operator.controllers.mariejob import submitter as submitting
from marie_operator.controllers.mariejob.buckets import Folder
from marie_operator.controllers.mariejob.delivery import DeliveryRequest
from marie_operator.controllers.mariejob.imports import ImportRequest
from marie_operator.controllers.mariejob.store import ListRequest
from marie_operator.marie.gateways import Ticket


class Occurrence(NamedTuple):
    """An event to record about the job once its status is written."""

    type: Literal["Normal", "Warning"]
    reason: str
    note: str


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do about a job.

    Attributes:
        status: the status it shall have.
        tickets: the documents that the monitor shall follow, all of them. Those marked fresh are in flight only
            once the status is written.
        submits: whether those that Marie does not have are to be submitted.
        listing: the keys it goes on with; ``None`` when it needs no more.
        delivery: the results to copy, of documents that ended in the status that the job has; ``None`` for none.
        importing: documents in flight in the status it shall have that Marie cannot read where they are; ``None`` for
            none.
        clearing: where documents were put for Marie that are needed no more; ``None`` for nowhere.
        failures: documents of a batch that failed for good, to be recorded before the status is written.
        events: what to tell the user once the status is written.
        requeue_after: seconds after which time alone changes the decision, or a look at what does not announce
            itself is due; ``None`` when neither.
        own: what is to become of the job's own cluster, once the status is written; ``None`` for nothing new.
        submitter: what is to become of the submitter Job, likewise.
        expired: what says that the job itself is to be deleted; empty for nothing.
        released: whether a job that is being deleted may go.
    """

    status: MarieJobStatus
    tickets: tuple[Ticket, ...] = ()
    submits: bool = True
    listing: ListRequest | None = None
    delivery: DeliveryRequest | None = None
    importing: ImportRequest | None = None
    clearing: Folder | None = None
    failures: tuple[DocumentFailure, ...] = ()
    events: tuple[Occurrence, ...] = field(default=())
    requeue_after: float | None = None
    own: own_cluster.Step | None = None
    submitter: submitting.Step | None = None
    expired: str = ""
    released: bool = False
