"""What is decided about a job, as examples."""

import json
from typing import Any

import pytest

from marie_operator.api.conditions import JobCondition, JobReason
from marie_operator.api.mariejob import JobDocuments, MarieJobStatus
from marie_operator.api.meta import Condition
from marie_operator.controllers.conditions import condition, is_true
from marie_operator.controllers.mariejob.conditions import is_finished
from marie_operator.controllers.mariejob.decide import decide, leave
from marie_operator.controllers.mariejob.decision import Decision
from marie_operator.controllers.mariejob.delivery import DeliveryFailure, DeliveryOutcome
from marie_operator.controllers.mariejob.observation import Obstacle
from marie_operator.controllers.mariejob.reconciler import wire
from marie_operator.controllers.mariejob.store import Page
from marie_operator.marie.gateways import DatabaseView, DocumentState, DocumentView
from tests.controllers.mariejob.samples import OUTPUT, PREFIX, SINGLE, UP, cluster, job, later, page, route, seen


def documents(decision: Decision) -> JobDocuments:
    assert decision.status.documents is not None
    return decision.status.documents


def shown(status: MarieJobStatus, kind: JobCondition) -> Condition:
    found = condition(status, kind)
    assert found is not None
    return found


def code(decision: Decision) -> str:
    assert decision.status.error is not None
    return decision.status.error.code


def test_a_single_document_is_put_in_flight_before_it_may_be_submitted() -> None:
    decision = decide(job(SINGLE), seen())
    [entry] = documents(decision).in_flight
    [ticket] = decision.tickets
    assert (entry.uri, entry.dag_id, entry.attempt) == (SINGLE, "", 0)
    assert (ticket.ref_id, ticket.fresh) == (entry.ref_id, True)


def test_a_document_already_in_status_is_not_fresh_again() -> None:
    first = decide(job(SINGLE), seen())
    second = decide(job(SINGLE, status=first.status), seen())
    assert second.status == first.status
    assert [ticket.fresh for ticket in second.tickets] == [False]


def test_a_prefix_is_listed_first() -> None:
    decision = decide(job(), seen())
    assert decision.listing is not None
    assert decision.listing.after == ""
    assert decision.status.phase == "Initializing"
    assert not decision.tickets


def test_no_more_are_in_flight_than_asked_for() -> None:
    decision = decide(job(batch={"maxInFlight": 2}), seen(listing=page("a", "b", "c")))
    taken = documents(decision)
    assert [entry.uri for entry in taken.in_flight] == [f"{PREFIX}a.pdf", f"{PREFIX}b.pdf"]
    assert (taken.total, taken.listed, taken.cursor) == (3, 2, "invoices/b.pdf")


def test_a_document_that_ended_makes_room_for_the_next() -> None:
    spec: dict[str, Any] = {"batch": {"maxInFlight": 1}}
    first = decide(job(**spec), seen(listing=page("a", "b")))
    done = {first.tickets[0].ref_id: DocumentView(DocumentState.SUCCEEDED, "dag", "")}
    second = decide(job(**spec, status=first.status), seen(listing=page("a", "b"), documents=done))
    assert [entry.uri for entry in documents(second).in_flight] == [f"{PREFIX}b.pdf"]
    assert documents(second).succeeded == 1
    assert second.status.progress == 50


def test_the_next_page_is_asked_for_when_one_is_used_up() -> None:
    decision = decide(job(), seen(listing=page("a", "b", last=False)))
    assert decision.listing is not None
    assert decision.listing.after == "invoices/b.pdf"
    assert documents(decision).total is None


def test_a_page_of_directory_markers_alone_is_passed_over() -> None:
    markers = Page(page().request, (), "invoices/sub", last=False)
    listing = decide(job(), seen(listing=markers)).listing
    assert listing is not None
    assert listing.after == "invoices/sub"


def test_no_more_documents_are_taken_than_asked_for() -> None:
    decision = decide(job(batch={"maxDocuments": 2}), seen(listing=page("a", "b", "c", last=False)))
    assert (documents(decision).total, documents(decision).listed) == (2, 2)
    assert decision.listing is None


@pytest.mark.kuberay("KR-21")
def test_a_failed_document_waits_before_it_is_submitted_again() -> None:
    first = decide(job(SINGLE), seen())
    failed = {first.tickets[0].ref_id: DocumentView(DocumentState.FAILED, "dag", "boom")}
    second = decide(job(SINGLE, status=first.status), seen(documents=failed))
    [entry] = documents(second).in_flight
    assert (entry.attempt, entry.dag_id, entry.not_before) == (1, "", later(seconds=10))
    assert entry.ref_id != first.tickets[0].ref_id
    assert (second.tickets, second.requeue_after, second.status.retry_count) == ((), 10, 1)

    third = decide(job(SINGLE, status=second.status), seen(now=later(seconds=10)))
    assert [(ticket.ref_id, ticket.fresh) for ticket in third.tickets] == [(entry.ref_id, True)]


def test_a_document_fails_for_good_after_the_last_attempt() -> None:
    first = decide(job(SINGLE, backoffLimit=0), seen())
    failed = {first.tickets[0].ref_id: DocumentView(DocumentState.FAILED, "dag", "boom")}
    second = decide(job(SINGLE, backoffLimit=0, status=first.status), seen(documents=failed))
    assert second.status.phase == "Failed"
    assert code(second) == JobReason.DOCUMENTS_FAILED
    assert shown(second.status, JobCondition.FAILED).status == "True"


def test_a_failed_document_among_others_fails_the_job_once_all_have_ended() -> None:
    spec: dict[str, Any] = {"backoffLimit": 0}
    first = decide(job(**spec), seen(listing=page("a", "b")))
    a, b = (ticket.ref_id for ticket in first.tickets)
    half = {a: DocumentView(DocumentState.FAILED, "dag", "boom")}
    second = decide(job(**spec, status=first.status), seen(documents=half))
    assert second.status.phase == "Running"
    assert [failure.message for failure in second.failures] == ["boom"]
    rest = {b: DocumentView(DocumentState.SUCCEEDED, "dag", "")}
    third = decide(job(**spec, status=second.status), seen(documents=rest))
    assert third.status.result is not None
    assert (third.status.phase, third.status.result.document_count) == ("Failed", 1)


def test_a_cancelled_document_is_not_submitted_again() -> None:
    first = decide(job(SINGLE), seen())
    cancelled = {first.tickets[0].ref_id: DocumentView(DocumentState.CANCELLED, "dag", "")}
    second = decide(job(SINGLE, status=first.status), seen(documents=cancelled))
    assert (second.status.phase, code(second)) == ("Cancelled", JobReason.CANCELLED)


def test_suspension_submits_nothing_and_follows_what_is_in_flight() -> None:
    first = decide(job(), seen(listing=page("a", last=False)))
    paused = decide(job(suspend=True, status=first.status), seen(listing=page("b", after="invoices/a.pdf")))
    assert [ticket.fresh for ticket in paused.tickets] == [False]
    assert paused.listing is None
    assert is_true(paused.status, JobCondition.SUSPENDED)


def test_what_was_not_submitted_before_the_suspension_is_not_at_marie() -> None:
    first = decide(job(SINGLE), seen())
    waiting = {first.tickets[0].ref_id: DocumentView(DocumentState.WAITING)}
    paused = decide(job(SINGLE, suspend=True, status=first.status), seen(documents=waiting))
    assert shown(paused.status, JobCondition.SUSPENDED).reason == JobReason.SUSPENDED
    assert paused.status.phase == "Pending"
    assert documents(paused) == documents(first)


def test_resumption_starts_the_clock_anew() -> None:
    first = decide(job(SINGLE, activeDeadlineSeconds=60), seen())
    paused = decide(job(SINGLE, activeDeadlineSeconds=60, suspend=True, status=first.status), seen(now=later(hours=2)))
    resumed = decide(job(SINGLE, activeDeadlineSeconds=60, status=paused.status), seen(now=later(hours=3)))
    assert resumed.status.start_time == later(hours=3)
    assert shown(resumed.status, JobCondition.SUSPENDED).status == "False"
    assert resumed.requeue_after == 60


@pytest.mark.kuberay("KR-19")
def test_a_deadline_ends_the_job_and_says_what_runs_on() -> None:
    first = decide(job(SINGLE, activeDeadlineSeconds=60), seen())
    late = decide(job(SINGLE, activeDeadlineSeconds=60, status=first.status), seen(now=later(seconds=61)))
    assert (late.status.phase, code(late)) == ("Failed", JobReason.DEADLINE_EXCEEDED)
    assert "runs on" in late.status.message
    assert late.tickets == ()


@pytest.mark.kuberay("KR-17")
def test_a_job_that_cannot_be_done_ends_at_once_and_is_not_looked_at_again() -> None:
    flawed = decide(job("ftp://host/one.pdf"), seen())
    assert (flawed.status.phase, code(flawed)) == ("Failed", JobReason.INVALID_URI)
    assert flawed.requeue_after is None
    assert decide(job("ftp://host/one.pdf", status=flawed.status), seen()).requeue_after is None


@pytest.mark.kuberay("KR-18")
def test_a_job_that_waits_for_its_cluster_is_suspended_and_ends_at_its_deadline() -> None:
    absent = Obstacle(JobReason.CLUSTER_NOT_FOUND, "There is no such cluster.")
    first = decide(job(SINGLE, activeDeadlineSeconds=60), seen(cluster=absent))
    assert first.status.phase == "Pending"
    late = decide(
        job(SINGLE, activeDeadlineSeconds=60, status=first.status), seen(cluster=absent, now=later(seconds=61))
    )
    assert (late.status.phase, code(late)) == ("Failed", JobReason.DEADLINE_EXCEEDED)
    halted = decide(job(SINGLE, suspend=True, status=first.status), seen(cluster=absent))
    assert is_true(halted.status, JobCondition.SUSPENDED)


def test_a_job_that_ends_at_its_deadline_is_complete() -> None:
    first = decide(job(SINGLE, activeDeadlineSeconds=60), seen())
    done = {first.tickets[0].ref_id: DocumentView(DocumentState.SUCCEEDED, "dag", "")}
    second = decide(
        job(SINGLE, activeDeadlineSeconds=60, status=first.status), seen(now=later(seconds=61), documents=done)
    )
    assert second.status.phase == "Succeeded"


def test_the_longest_deadlines_are_reckoned_with() -> None:
    longest = "99999h" * 5
    spec: dict[str, Any] = {
        "activeDeadlineSeconds": 2**31 - 1,
        "sla": {"softDeadline": longest, "hardDeadline": longest},
    }
    decision = decide(job(SINGLE, ttlSecondsAfterFinished=2**31 - 1, **spec), seen())
    assert [ticket.ref_id for ticket in decision.tickets]


def test_a_soft_deadline_is_missed_and_the_job_goes_on() -> None:
    sla = {"softDeadline": "30m"}
    first = decide(job(SINGLE, sla=sla), seen())
    assert first.requeue_after == 24 * 60
    assert shown(first.status, JobCondition.SLA_MISSED).reason == JobReason.WITHIN_DEADLINE
    near = decide(job(SINGLE, sla=sla, status=first.status), seen(now=later(minutes=24)))
    assert near.requeue_after == 6 * 60
    assert shown(near.status, JobCondition.SLA_MISSED).status == "False"
    assert [(event.type, event.reason) for event in near.events] == [("Warning", JobReason.DEADLINE_NEAR)]
    late = decide(job(SINGLE, sla=sla, status=near.status), seen(now=later(minutes=30)))
    assert is_true(late.status, JobCondition.SLA_MISSED)
    assert late.tickets


def test_marie_is_told_both_deadlines() -> None:
    [ticket] = decide(job(SINGLE, sla={"softDeadline": "30m"}), seen()).tickets
    assert (ticket.submission.soft_sla, ticket.submission.hard_sla) == (later(minutes=30), later(hours=4))


@pytest.mark.kuberay("KU-08")
def test_a_finished_job_rests_and_is_deleted_in_time() -> None:
    first = decide(job(SINGLE, ttlSecondsAfterFinished=10), seen())
    done = {first.tickets[0].ref_id: DocumentView(DocumentState.SUCCEEDED, "dag", "")}
    end = decide(job(SINGLE, status=first.status), seen(documents=done)).status
    assert decide(job(SINGLE, status=end), seen()).requeue_after is None
    resting = decide(job(SINGLE, ttlSecondsAfterFinished=10, status=end), seen(now=later(seconds=4)))
    assert (resting.status, resting.requeue_after, resting.expired) == (end, 6, "")
    assert decide(job(SINGLE, ttlSecondsAfterFinished=10, status=end), seen(now=later(seconds=10))).expired


@pytest.mark.parametrize("ttl", [0, 10, None])
def test_a_job_that_ends_is_looked_at_again_when_its_time_to_live_is_over(ttl: int | None) -> None:
    first = decide(job(SINGLE, ttlSecondsAfterFinished=ttl), seen())
    done = {first.tickets[0].ref_id: DocumentView(DocumentState.SUCCEEDED, "dag", "")}
    assert (
        decide(job(SINGLE, ttlSecondsAfterFinished=ttl, status=first.status), seen(documents=done)).requeue_after == ttl
    )
    assert decide(job("file:///x", ttlSecondsAfterFinished=ttl), seen()).requeue_after == ttl


def test_a_spec_that_changes_after_the_end_changes_nothing() -> None:
    end = decide(job("file:///x"), seen()).status
    assert decide(job(SINGLE, status=end), seen()).status == end


def test_without_a_key_documents_are_followed_and_none_is_put_in_flight() -> None:
    first = decide(job(batch={"maxInFlight": 1}), seen(listing=page("a", "b")))
    views = {first.tickets[0].ref_id: DocumentView(DocumentState.SUCCEEDED, "dag-a", "")}
    missing = Obstacle(JobReason.API_KEY_MISSING, "No key.")
    second = decide(
        job(batch={"maxInFlight": 1}, status=first.status),
        seen(listing=page("a", "b"), documents=views, api_key=missing),
    )
    assert (second.tickets, documents(second).succeeded, second.listing) == ((), 1, None)


def test_a_refused_key_stops_the_batch_without_failing_a_document() -> None:
    first = decide(job(backoffLimit=0, batch={"maxInFlight": 1}), seen(listing=page("a", "b")))
    refused = {first.tickets[0].ref_id: DocumentView(DocumentState.KEY_REFUSED, "", "Invalid token")}
    second = decide(job(backoffLimit=0, status=first.status), seen(listing=page("a", "b"), documents=refused))
    assert shown(second.status, JobCondition.SUBMITTED).reason == JobReason.API_KEY_REFUSED
    assert documents(second) == documents(first)
    assert [ticket.ref_id for ticket in second.tickets] == [first.tickets[0].ref_id]
    assert second.requeue_after == 5


def test_a_cluster_chosen_anew_is_asked_for_every_document() -> None:
    spec: dict[str, Any] = {"clusterRef": None, "clusterSelector": {"env": "prod"}}
    first = decide(job(SINGLE, **spec), seen())
    views = {first.tickets[0].ref_id: DocumentView(DocumentState.RUNNING, "dag", "")}
    second = decide(job(SINGLE, **spec, status=first.status), seen(documents=views))
    moved = decide(job(SINGLE, **spec, status=second.status), seen(cluster=cluster("d"), gateway=UP))
    assert [(ticket.dag_id, ticket.fresh) for ticket in moved.tickets] == [("", False)]
    assert moved.status.cluster_name == "d"


def test_a_reference_without_a_name_refers_to_nothing() -> None:
    empty = {"configMapRef": {"name": ""}, "secretRef": {}}
    assert decide(job(SINGLE, input=empty), seen()).status.phase == "Initializing"
    named = decide(job(SINGLE, input={"configMapRef": {"name": "documents"}}), seen())
    assert condition(named.status, JobCondition.FAILED) is not None
    assert named.status.message.startswith("spec.input.configMapRef: more than one source of documents is named")


def test_a_job_that_ends_no_longer_says_that_it_waits() -> None:
    paused = decide(job(SINGLE, suspend=True), seen()).status
    assert is_true(paused, JobCondition.SUSPENDED)
    ended = decide(job("file:///x", suspend=True, status=paused), seen()).status
    for kind in (JobCondition.SUBMITTED, JobCondition.SUSPENDED):
        told = condition(ended, kind)
        assert told is not None
        assert (told.status, told.reason, told.message) == ("False", JobReason.INVALID_URI, ended.message)


FLAWS: dict[str, dict[str, Any]] = {
    "output": {"output": {"uri": "s4://bucket/results/"}},
    "prefix": {"input": {"uri": "s3://bucket/others/"}},
    "bucket": {"input": {"uri": "s3://other/invoices/"}},
    "scheme": {"input": {"uri": "gs://bucket/invoices/"}},
    "one document": {"input": {"uri": SINGLE}},
    "rule": {"sla": {"softDeadline": "2h", "hardDeadline": "1h"}},
    "mode": {"submissionMode": "K8sJobSubmission"},
}


@pytest.mark.parametrize("edit", FLAWS.values(), ids=list(FLAWS))
def test_a_mistake_in_a_job_that_has_begun_is_waited_for_while_its_documents_are_followed(edit: dict[str, Any]) -> None:
    spec: dict[str, Any] = {"batch": {"maxInFlight": 2}, "activeDeadlineSeconds": 3600}
    first = decide(job(**spec), seen(listing=page("a", "b", "c")))
    a, b = (ticket.ref_id for ticket in first.tickets)
    views = {a: DocumentView(DocumentState.SUCCEEDED, "dag-a"), b: DocumentView(DocumentState.RUNNING, "dag-b")}
    wrong = decide(job(**spec | edit, status=first.status), seen(listing=page("a", "b", "c"), documents=views))
    assert not is_finished(wrong.status)
    assert (wrong.submits, wrong.listing, wrong.delivery) == (False, None, None)
    assert b in {ticket.ref_id for ticket in wrong.tickets}
    told = shown(wrong.status, JobCondition.SUBMITTED)
    assert (told.status, told.reason) == ("False", JobReason.INVALID_SPEC)
    assert "the job then goes on by itself" in told.message
    again = decide(job(**spec | edit, status=wrong.status), seen(listing=page("a", "b", "c"), documents=views))
    assert again.status == wrong.status
    late = decide(job(**spec | edit, status=wrong.status), seen(now=later(hours=1), documents=views))
    assert (late.status.phase, code(late)) == ("Failed", JobReason.DEADLINE_EXCEEDED)
    assert "1 document at Marie runs on" in late.status.message
    mended = decide(job(**spec, status=wrong.status), seen(listing=page("a", "b", "c"), documents=views))
    assert [document.uri for document in documents(mended).in_flight] == [f"{PREFIX}b.pdf", f"{PREFIX}c.pdf"]
    assert is_true(mended.status, JobCondition.SUBMITTED)


@pytest.mark.parametrize("uri", ["s3://bucket/invoices/two.pdf", "gs://bucket/invoices/one.pdf", "s3://other/"])
def test_another_document_is_none_of_the_job(uri: str) -> None:
    first = decide(job(SINGLE), seen())
    wrong = decide(job(uri, status=first.status), seen())
    assert shown(wrong.status, JobCondition.SUBMITTED).message.startswith(
        f"spec.input.uri was changed after documents up to {SINGLE} had been taken."
    )
    assert [document.uri for document in documents(wrong).in_flight] == [SINGLE]
    assert not wrong.submits


def test_results_wait_while_it_is_not_to_be_read_where_they_go() -> None:
    first = decide(job(SINGLE, output=OUTPUT), seen(route=route()))
    done = {first.tickets[0].ref_id: DocumentView(DocumentState.SUCCEEDED, "dag")}
    wrong = decide(job(SINGLE, output={"uri": "s3//bucket/"}, status=first.status), seen(documents=done))
    assert not is_finished(wrong.status)
    assert shown(wrong.status, JobCondition.RESULTS_COPIED).reason == JobReason.INVALID_SPEC
    mended = decide(job(SINGLE, output=OUTPUT, status=wrong.status), seen(route=route(), documents=done))
    assert mended.delivery is not None
    assert [document.uri for document in mended.delivery.documents] == [SINGLE]


def test_a_job_with_a_mistake_that_is_deleted_takes_back_what_marie_has() -> None:
    first = decide(job(), seen(listing=page("a")))
    views = {first.tickets[0].ref_id: DocumentView(DocumentState.RUNNING, "dag")}
    wrong = job(output={"uri": "s4://bucket/"}, status=first.status)
    decision = leave(wrong, seen(documents=views, database=DatabaseView(ready=True)))
    assert not decision.released
    assert [ticket.cancel for ticket in decision.tickets] == [True]


@pytest.mark.parametrize("suspend", [False, True])
@pytest.mark.parametrize("refused", [False, True], ids=["no Secret", "refused"])
def test_corrected_credentials_of_the_output_are_noticed(suspend: bool, refused: bool) -> None:
    subject = job(SINGLE, output=OUTPUT)
    first = decide(subject, seen(route=route()))
    running = {first.tickets[0].ref_id: DocumentView(DocumentState.RUNNING, "dag", "")}
    failure = DeliveryFailure("Denied.", True, later(), at_source=False)
    what = {"route": route() if refused else Obstacle(JobReason.CREDENTIALS_MISSING, "No Secret.")}
    begun = job(SINGLE, output=OUTPUT, suspend=suspend, status=first.status)
    second = decide(begun, seen(**what, documents=running, delivery=DeliveryOutcome(failure=failure)))
    assert second.requeue_after == 30


def test_very_long_keys_keep_the_status_within_what_is_stored() -> None:
    keys = [f"{number:04}{'&' * 1000}" for number in range(1000)]
    subject = job(batch={"maxInFlight": 1000})
    status = decide(subject, seen(listing=page(*keys))).status
    assert status.documents is not None
    in_flight = status.documents.in_flight
    assert 0 < len(in_flight) < len(keys)
    assert status.documents.cursor == in_flight[-1].uri.removeprefix("s3://bucket/")
    # The API server's JSON writes an ampersand with six bytes.
    stored = json.dumps(wire(status)).replace("&", "\\u0026")
    assert len(stored) < 1_000_000
