"""What a job takes back from Marie by its database, decided."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from marie_operator.api.mariejob import MarieJob
from marie_operator.controllers.mariejob.conditions import is_finished
from marie_operator.controllers.mariejob.course import MOST_CANCELLING
from marie_operator.controllers.mariejob.decide import decide, leave
from marie_operator.controllers.mariejob.decision import Decision
from marie_operator.marie.gateways import DatabaseView, DocumentState, DocumentView
from tests.controllers.mariejob.samples import SINGLE, job, later, seen

READY, AWAY = DatabaseView(ready=True), DatabaseView(problem="it does not answer")


def views(decision: Decision, state: DocumentState) -> Mapping[str, DocumentView]:
    documents = decision.status.documents
    assert documents is not None
    return {entry.ref_id: DocumentView(state, f"dag-{entry.ref_id}") for entry in documents.in_flight}


def running(**spec: Any) -> MarieJob:
    """A job whose document an executor has."""
    first = decide(job(SINGLE, **spec), seen())
    second = decide(
        job(SINGLE, status=first.status, **spec), seen(documents=views(first, DocumentState.RUNNING), database=READY)
    )
    return job(SINGLE, status=second.status, **spec)


def test_what_is_to_be_cancelled_is_written_down_first_and_only_where_the_database_answers() -> None:
    halted = running().model_copy(update={"spec": job(SINGLE, suspend=True).spec})
    marked = decide(halted, seen(documents=views(decide(halted, seen()), DocumentState.RUNNING), database=READY))
    assert [ticket.cancel for ticket in marked.tickets] == [True]
    assert not marked.submits
    for database in (None, AWAY):
        left = decide(halted, seen(database=database))
        assert [ticket.cancel for ticket in left.tickets] == [False]


def test_a_database_that_is_known_no_more_leaves_the_word_to_the_gateway() -> None:
    halted = running().model_copy(update={"spec": job(SINGLE, suspend=True).spec})
    marked = decide(halted, seen(database=READY))
    subject = halted.model_copy(update={"status": marked.status})
    assert [ticket.cancel for ticket in decide(subject, seen(database=AWAY)).tickets] == [True]
    assert [ticket.cancel for ticket in decide(subject, seen(database=None)).tickets] == [False]


@given(times=st.integers(1, 8), limit=st.integers(0, 3))
def test_taking_back_counts_as_no_failure(times: int, limit: int) -> None:
    subject = running(backoffLimit=limit)
    for _ in range(times):
        for suspend, state in ((True, DocumentState.RUNNING), (True, DocumentState.CANCELLED), (False, None)):
            spec = subject.spec.model_copy(update={"suspend": suspend})
            subject = subject.model_copy(update={"spec": spec})
            known = {} if state is None else views(decide(subject, seen()), state)
            status = decide(subject, seen(documents=known, database=READY)).status
            subject = subject.model_copy(update={"status": status})
    refs = set()
    for failures in range(limit + 1):
        assert not is_finished(subject.status), failures
        assert subject.status.documents is not None
        refs |= {entry.ref_id for entry in subject.status.documents.in_flight}
        known = views(decide(subject, seen()), DocumentState.FAILED)
        now = later(hours=failures + 1)
        subject = subject.model_copy(update={"status": decide(subject, seen(now=now, documents=known)).status})
        subject = subject.model_copy(update={"status": decide(subject, seen(now=later(hours=failures + 1.5))).status})
    assert is_finished(subject.status)
    assert len(refs) == limit + 1


@given(seconds=st.integers(0, 200), state=st.sampled_from([DocumentState.RUNNING, DocumentState.CANCELLING]))
def test_no_end_waits_longer_than_a_minute(seconds: int, state: DocumentState) -> None:
    limit = MOST_CANCELLING.total_seconds()
    subject = running(activeDeadlineSeconds=10)
    known = views(decide(subject, seen()), state)
    given_up = decide(subject, seen(now=later(seconds=10), documents=known, database=READY))
    assert not is_finished(given_up.status)
    subject = subject.model_copy(update={"status": given_up.status})
    then = decide(subject, seen(now=later(seconds=10 + seconds), documents=known, database=READY))
    assert is_finished(then.status) is (seconds >= limit)
    metadata = subject.metadata.model_copy(update={"deletion_timestamp": later(seconds=0)})
    deleted = subject.model_copy(update={"metadata": metadata})
    assert leave(deleted, seen(now=later(seconds=seconds), documents=known, database=AWAY)).released is (
        seconds >= limit
    )
    assert leave(deleted, seen(documents=known)).released, "without a database there is nothing to wait for"


def test_a_document_that_ends_while_it_is_taken_back_has_ended() -> None:
    subject = running(activeDeadlineSeconds=10)
    known = views(decide(subject, seen()), DocumentState.RUNNING)
    observed = seen(now=later(seconds=10), documents=known, database=READY)
    subject = subject.model_copy(update={"status": decide(subject, observed).status})
    done = views(decide(subject, observed), DocumentState.SUCCEEDED)
    status = decide(subject, replace(observed, documents=done)).status
    assert status.phase == "Succeeded"
    assert {each.type: each.status for each in status.conditions}["FailureTarget"] == "False"
