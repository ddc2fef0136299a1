"""What a job says of its submission once its document has left the status: it was submitted, and stays so."""

from dataclasses import replace

import pytest

from marie_operator.api.conditions import JobCondition
from marie_operator.api.mariejob import MarieJob
from marie_operator.controllers.conditions import is_true
from marie_operator.controllers.mariejob.decide import decide
from marie_operator.controllers.mariejob.delivery import DeliveryOutcome, DocumentEnd, Receipt, Totals
from marie_operator.controllers.mariejob.observation import Observation
from marie_operator.controllers.mariejob.submitter import SubmitterJob
from marie_operator.marie.gateways import DocumentState, DocumentView
from tests.controllers.mariejob.samples import OUTPUT, SINGLE, job, route, seen

MODES = ("HTTPSubmission", "K8sJobSubmission")


def by(mode: str) -> Observation:
    """What is seen of a job with a route for its results."""
    if mode == "HTTPSubmission":
        return seen(route=route())
    return seen(route=route(), submitter=SubmitterJob("scan-submit"), submitter_image="marieai/marie-operator:1.0")


def after(subject: MarieJob, observation: Observation) -> MarieJob:
    return subject.model_copy(update={"status": decide(subject, observation).status})


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("state", "end"), [(DocumentState.SUCCEEDED, "Succeeded"), (DocumentState.FAILED, "Failed")], ids=["done", "failed"]
)
def test_a_document_that_ended_before_its_id_was_written_was_submitted(
    mode: str, state: DocumentState, end: DocumentEnd
) -> None:
    """Nothing but the end of it was seen, as after a while without the API server."""
    alone = by(mode)
    begun = after(job(SINGLE, output=OUTPUT, submissionMode=mode, backoffLimit=0), alone)
    assert begun.status.documents is not None
    (document,) = begun.status.documents.in_flight
    view, receipts = DocumentView(state, dag_id="d"), {document.ref_id: Receipt(end)}
    gone = after(begun, replace(alone, documents={document.ref_id: view}, delivery=DeliveryOutcome(receipts, 1)))
    assert gone.status.documents is not None
    assert not gone.status.documents.in_flight
    closing = after(gone, replace(alone, delivery=DeliveryOutcome(parts=1)))
    closed = after(closing, replace(alone, delivery=DeliveryOutcome(parts=1, totals=Totals(1, 0))))
    for each in (gone, closing, closed):
        assert is_true(each.status, JobCondition.SUBMITTED)
        assert each.status.dag_id == "d"
    assert closed.status.phase == end


@pytest.mark.parametrize("mode", MODES)
def test_an_id_that_comes_with_the_end_alone_is_in_the_status(mode: str) -> None:
    alone = replace(by(mode), route=None)
    begun = after(job(SINGLE, submissionMode=mode), alone)
    assert begun.status.documents is not None
    (document,) = begun.status.documents.in_flight
    done = after(begun, replace(alone, documents={document.ref_id: DocumentView(DocumentState.SUCCEEDED, dag_id="d")}))
    assert (done.status.phase, done.status.dag_id, done.status.job_id) == ("Succeeded", "d", "d")
