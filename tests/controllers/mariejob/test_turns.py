"""Whose turn it is: the order, the window that is never exceeded, and that everyone comes to their turn."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marie_operator.api.conditions import JobCondition, JobReason
from marie_operator.api.mariejob import MarieJob
from marie_operator.controllers import kinds
from marie_operator.controllers.conditions import condition
from marie_operator.controllers.mariejob.conditions import is_finished
from marie_operator.controllers.mariejob.decide import decide
from marie_operator.controllers.mariejob.decision import Decision
from marie_operator.controllers.mariejob.reconciler import wire
from marie_operator.controllers.mariejob.source import Prefix
from marie_operator.controllers.mariejob.store import Page
from marie_operator.controllers.mariejob.turns import LEAST_WINDOW, POINT, Claim, Turns, places, share, window
from marie_operator.marie.gateways import DocumentState, DocumentView
from marie_operator.runtime import Typed
from marie_operator.runtime.resource import ObjectKey
from tests.controllers.mariejob.apiserver import ApiServer
from tests.controllers.mariejob.clock import TurnedClock
from tests.controllers.mariejob.samples import NOW, PREFIX, SINGLE, cluster, later, seen


def claim(name: str, **what: Any) -> Claim:
    default = {"priority": 0, "soft": None, "since": None, "in_flight": 0, "want": 5, "most": 5, "created": NOW}
    return Claim(**{**default, "job": ObjectKey("docs", name), **what})


def granted(claims: list[Claim], size: int) -> Mapping[str, int]:
    return {job.name: count for job, count in share(claims, size, NOW).items()}


CLAIMS = st.lists(
    st.builds(
        claim,
        st.uuids().map(str),
        priority=st.integers(-2, 2),
        soft=st.none() | st.integers(0, 3).map(lambda hours: later(hours=hours)),
        since=st.none() | st.integers(0, 5).map(lambda minutes: NOW - timedelta(minutes=minutes)),
        in_flight=st.integers(0, 5),
        want=st.integers(0, 5),
    ),
    unique_by=lambda each: each.job,
)


@given(CLAIMS, st.integers(0, 40))
@pytest.mark.kuberay("KU-20")
def test_the_window_is_used_up_never_exceeded_and_given_in_order(claims: list[Claim], size: int) -> None:
    shares = share(claims, size, NOW)
    by_job = {each.job: each for each in claims}
    free = max(0, size - sum(each.in_flight for each in claims))
    assert sum(shares.values()) == min(free, sum(each.want for each in claims))
    assert all(0 < count <= by_job[job].want for job, count in shares.items())
    left_wanting = [each for each in claims if shares.get(each.job, 0) < each.want]
    for job in shares:
        for other in left_wanting:
            assert by_job[job].rank(NOW) <= other.rank(NOW)
            if by_job[job].rank(NOW) == other.rank(NOW) and job != other.job:
                has = by_job[job].in_flight + shares[job]
                assert has <= other.in_flight + shares.get(other.job, 0) + 1


@given(CLAIMS, st.integers(0, 40))
def test_who_waits_with_nothing_has_a_place_and_nobody_else_has(claims: list[Claim], size: int) -> None:
    shares = share(claims, size, NOW)
    waiting = places(claims, shares, NOW)
    expected = {each.job for each in claims if each.want and not each.in_flight and each.job not in shares}
    assert waiting.keys() == expected
    assert sorted(waiting.values()) == list(range(1, len(expected) + 1))


def test_higher_priority_goes_first_then_the_earlier_deadline() -> None:
    urgent, early = claim("urgent", priority=1), claim("early", soft=later(hours=1))
    late, idle = claim("late", soft=later(hours=2)), claim("idle")
    claims = [idle, late, early, urgent]
    assert granted(claims, 5) == {"urgent": 5}
    assert granted(claims, 12) == {"urgent": 5, "early": 5, "late": 2}
    assert [job.name for job in places(claims, (), NOW)] == ["urgent", "early", "late", "idle"]


def test_a_minute_of_waiting_counts_as_one_point() -> None:
    patient = claim("patient", priority=-100, since=NOW - 201 * POINT)
    assert granted([claim("urgent", priority=100), patient], 1) == {"patient": 1}
    assert granted([claim("urgent", priority=100), claim("new", priority=-100)], 1) == {"urgent": 1}


def test_equals_share() -> None:
    assert granted([claim("a", want=100), claim("b", want=100, in_flight=2), claim("c", want=1)], 12) == {
        "a": 6,
        "b": 3,
        "c": 1,
    }


def test_the_window_is_what_the_spec_says_or_enough_for_every_worker() -> None:
    assert window(cluster(), 0, []) == LEAST_WINDOW
    assert window(cluster(), 80, []) == 160
    assert window(cluster(), 0, [claim("batch", most=300)]) == 300
    assert window(cluster(maxDocumentsInFlight=3), 80, [claim("batch", most=300)]) == 3


class Office:
    """Jobs that are only reconciled when they are called: for a change of their own, or for their turn."""

    def __init__(self, size: int) -> None:
        self.api, self.clock = ApiServer(), TurnedClock()
        informer = self.api.inform(kinds.MARIE_JOBS)
        self.jobs = Typed(informer, MarieJob.model_validate)
        self.turns = Turns(self.jobs, clock=self.clock, on_turn=self.call)
        informer.add_handler(self.turns.handle)
        self.cluster = cluster(maxDocumentsInFlight=size)
        self.called: dict[ObjectKey, None] = {}
        self.decisions: dict[ObjectKey, Decision] = {}
        self.served: list[str] = []

    def call(self, job: ObjectKey) -> None:
        self.called[job] = None

    def create(self, name: str, uri: str = SINGLE, **spec: Any) -> ObjectKey:
        metadata = {"name": name, "namespace": "docs", "creationTimestamp": "2026-03-01T12:00:00Z"}
        content = {"clusterRef": "c", "jobType": "ocr", "input": {"uri": uri}, **spec}
        self.api.put(kinds.MARIE_JOBS, {"metadata": metadata, "spec": content})
        self.call(ObjectKey("docs", name))
        return ObjectKey("docs", name)

    def job(self, key: ObjectKey) -> MarieJob:
        found = self.jobs.get(key)
        assert isinstance(found, MarieJob)
        return found

    def reconcile(self, key: ObjectKey, ended: tuple[str, ...] = ()) -> None:
        job = self.job(key)
        if is_finished(job.status):
            return
        listing = self.decisions[key].listing if key in self.decisions else None
        page = Page(listing, KEYS, KEYS[-1], last=True) if listing is not None else None
        view = DocumentView(DocumentState.SUCCEEDED, "dag", "")
        decision = self.decisions[key] = decide(
            job,
            seen(
                now=self.clock.now(),
                cluster=self.cluster,
                documents=dict.fromkeys(ended, view),
                listing=page,
                line=self.turns.line(self.cluster, 0),
            ),
        )
        before = len(job.status.documents.in_flight) if job.status.documents else 0
        documents = decision.status.documents
        if documents is not None and len(documents.in_flight) > before:
            self.served.append(key.name)
        if decision.status != job.status:
            self.api.put(kinds.MARIE_JOBS, {**self.api.objects[kinds.MARIE_JOBS, key], "status": wire(decision.status)})
            self.call(key)
        if decision.listing is not None and page is None:
            self.call(key)

    def settle(self) -> None:
        while self.called:
            key = next(iter(self.called))
            del self.called[key]
            self.reconcile(key)

    def in_flight(self) -> dict[ObjectKey, tuple[str, ...]]:
        keys = [key for _, key in self.api.objects]
        documents = {key: self.job(key).status.documents for key in keys}
        return {
            key: tuple(document.ref_id for document in found.in_flight)
            for key, found in documents.items()
            if found is not None and found.in_flight
        }


KEYS = tuple(f"invoices/{number}.pdf" for number in range(7))


@pytest.mark.model
@given(st.data())
def test_every_job_comes_to_its_turn_by_being_called_alone(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 4))
    office = Office(size)
    for number in range(data.draw(st.integers(1, 6))):
        uri = data.draw(st.sampled_from([SINGLE, PREFIX]))
        office.create(f"job-{number}", uri, priority=data.draw(st.integers(-1, 1)), batch={"maxInFlight": 3})
        office.settle()
        assert sum(len(refs) for refs in office.in_flight().values()) <= size
    while running := office.in_flight():
        key = data.draw(st.sampled_from(sorted(running)))
        office.clock.wait(1)
        office.reconcile(key, ended=running[key][: data.draw(st.integers(1, 3))])
        office.settle()
        assert sum(len(refs) for refs in office.in_flight().values()) <= size
    assert all(office.job(key).status.phase == "Succeeded" for _, key in office.api.objects)


def test_a_job_that_waits_says_so_and_names_its_place() -> None:
    office = Office(1)
    for name, priority in (("first", 0), ("low", 0), ("high", 5)):
        office.create(name, priority=priority)
        office.settle()
    office.call(ObjectKey("docs", "low"))
    office.settle()
    low, high = (office.job(ObjectKey("docs", name)).status for name in ("low", "high"))
    assert (low.queue_position, high.queue_position) == (2, 1)
    assert (low.phase, high.phase) == ("Pending", "Pending")
    submitted = condition(low, JobCondition.SUBMITTED)
    assert submitted is not None
    assert (submitted.status, submitted.reason) == ("False", JobReason.QUEUED)
    for key, refs in office.in_flight().items():
        office.reconcile(key, ended=refs)
    office.settle()
    assert office.served == ["first", "high"]
    assert office.job(ObjectKey("docs", "high")).status.queue_position is None


def test_a_job_that_cannot_go_on_leaves_its_turn_to_others() -> None:
    office = Office(1)
    office.create("stuck", priority=100, planner="unknown")
    office.create("other")
    office.settle()
    assert office.served == ["other"]


def test_nothing_waits_for_ever_behind_higher_priorities() -> None:
    office = Office(1)
    office.create("low", priority=-10)
    for minute in range(15):
        office.create(f"high-{minute}", priority=0)
        office.settle()
        office.clock.wait(60)
        for key, refs in office.in_flight().items():
            office.reconcile(key, ended=refs)
        office.settle()
    assert "low" in office.served


def test_a_deleted_job_leaves_its_turn_to_others() -> None:
    office = Office(1)
    office.create("first")
    office.settle()
    office.create("second")
    office.settle()
    assert office.served == ["first"]
    office.api.remove(kinds.MARIE_JOBS, ObjectKey("docs", "first"))
    office.settle()
    assert office.served == ["first", "second"]


def test_the_page_of_a_prefix_is_listed_when_its_turn_comes() -> None:
    office = Office(1)
    office.create("first")
    office.settle()
    batch = office.create("batch", PREFIX)
    office.settle()
    assert office.decisions[batch].listing is None
    for key, refs in office.in_flight().items():
        office.reconcile(key, ended=refs)
    office.settle()
    listing = office.decisions[batch].listing
    assert listing is not None
    assert listing.source == Prefix("bucket", "invoices/")
