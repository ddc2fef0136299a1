"""That everyone comes to their turn, by being called alone."""

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
from marie_operator.controllers.mariejob.turns import Turns
from marie_operator.marie.gateways import DocumentState, DocumentView
from marie_operator.runtime import Typed
from marie_operator.runtime.resource import ObjectKey
from tests.controllers.mariejob.apiserver import ApiServer
from tests.controllers.mariejob.clock import TurnedClock
from tests.controllers.mariejob.samples import PREFIX, SINGLE, cluster, seen


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
