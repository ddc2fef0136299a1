"""Whatever happens in whatever order: no document is lost, none is in flight twice, and every step can be repeated."""

import re

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from marie_operator.api.mariejob import JobDocuments, MarieJobStatus
from marie_operator.controllers.mariejob import refs
from marie_operator.controllers.mariejob.decide import decide
from marie_operator.marie.gateways import DocumentState
from tests.controllers.mariejob.world import World

pytestmark = pytest.mark.model

NAMES = st.lists(
    st.text(alphabet="abcAB/._-1é ", min_size=1, max_size=5).map(lambda name: f"invoices/{name}.pdf"),
    unique=True,
    max_size=9,
)

GLOBS = st.lists(st.sampled_from(["a*", "*b*", "?.pdf", "[!A-Z]*", "*.tif"]), max_size=2)
WILD = {"a*": "a.*", "*b*": ".*b.*", "?.pdf": r".\.pdf", "[!A-Z]*": "[^A-Z].*", "*.tif": r".*\.tif"}


def chosen(key: str, include: list[str], exclude: list[str]) -> bool:
    """What the globs say, in other words."""
    name = key.removeprefix("invoices/")

    def matches(globs: list[str]) -> bool:
        return any(re.fullmatch(WILD[glob], name, re.DOTALL) for glob in globs)

    return (not include or matches(include)) and not matches(exclude)


def reason_of_end(status: MarieJobStatus) -> str:
    """Why a job is over; nothing while it is not."""
    ends = [each.reason for each in status.conditions if each.type in {"Complete", "Failed"} and each.status == "True"]
    return ends[0] if ends else ""


class Batch(RuleBasedStateMachine):
    """A job over a prefix, with crashes, conflicts, pauses, failures and time."""

    @initialize(
        keys=NAMES,
        bound=st.integers(1, 4),
        retries=st.integers(0, 2),
        most=st.none() | st.integers(1, 12),
        include=GLOBS,
        exclude=GLOBS,
        failing=st.none() | st.integers(0, 3) | st.integers(0, 100).map("{}%".format),
    )
    def begin(
        self,
        keys: list[str],
        bound: int,
        retries: int,
        most: int | None,
        include: list[str],
        exclude: list[str],
        failing: int | str | None,
    ) -> None:
        limits = {"maxInFlight": bound, "maxDocuments": most, "maxFailed": failing}
        self.world = World(
            keys,
            batch={name: value for name, value in limits.items() if value is not None},
            backoffLimit=retries,
            input={"include": include, "exclude": exclude},
        )
        self.expected = [key for key in self.world.keys if chosen(key, include, exclude)][:most]
        self.left_out = len(self.world.keys) - len([key for key in self.world.keys if chosen(key, include, exclude)])
        self.bound = bound
        self.may_fail = (
            len(self.expected)
            if failing is None
            else failing
            if isinstance(failing, int)
            else len(self.expected) * float(failing[:-1]) / 100
        )
        self.seen = JobDocuments()
        self.retries = 0

    @rule(conflict=st.booleans(), crash=st.booleans())
    def reconcile(self, conflict: bool, crash: bool) -> None:
        self.world.reconcile(conflict=conflict, crash_before_follow=crash)

    @rule()
    def decide_twice(self) -> None:
        job, observation = self.world.job, self.world.observe()
        once = decide(job, observation)
        twice = decide(job.model_copy(update={"status": once.status}), observation)
        assert twice.status == once.status
        assert not any(ticket.fresh for ticket in twice.tickets)
        assert not twice.events

    @precondition(lambda self: self.world.process.followed)
    @rule(data=st.data(), crash=st.booleans())
    def submit(self, data: st.DataObject, crash: bool) -> None:
        self.world.submit(data.draw(st.sampled_from(sorted(self.world.process.followed))), crash=crash)

    @precondition(lambda self: self.world.marie.unfinished())
    @rule(
        data=st.data(),
        state=st.sampled_from(
            [DocumentState.RUNNING, DocumentState.SUCCEEDED, DocumentState.FAILED, DocumentState.CANCELLED]
        ),
    )
    def marie_works(self, data: st.DataObject, state: DocumentState) -> None:
        ref_id = data.draw(st.sampled_from(self.world.marie.unfinished()))
        self.world.marie.move(ref_id, state)
        self.world.look(ref_id)

    @rule()
    def crash(self) -> None:
        self.world.crash()

    @rule(seconds=st.sampled_from([0.25, 1, 15, 400]))
    def wait(self, seconds: float) -> None:
        self.world.wait(seconds)

    @rule(suspended=st.booleans())
    def suspend(self, suspended: bool) -> None:
        self.world.suspend(suspended)

    @rule(up=st.booleans())
    def gateway(self, up: bool) -> None:
        self.world.gateway_up = up

    @invariant()
    def counts_add_up(self) -> None:
        documents = self.world.status.documents or JobDocuments()
        assert len(documents.in_flight) <= self.bound
        assert documents.succeeded + documents.failed + len(documents.in_flight) == documents.listed
        assert documents.listed <= len(self.expected)
        # Whatever lies before the cursor was taken or left out, each once.
        passed = [key for key in self.world.keys if key <= documents.cursor]
        assert documents.listed + documents.filtered == len(passed)
        assert documents.filtered <= self.left_out
        assert documents.total in {None, len(self.expected)}

    @invariant()
    def no_more_fail_than_may(self) -> None:
        documents, status = self.world.status.documents or JobDocuments(), self.world.status
        if documents.failed > self.may_fail and documents.total is not None:
            assert reason_of_end(status) == "TooManyFailed"
        if reason_of_end(status) == "TooManyFailed":
            assert documents.failed > self.may_fail
            assert status.phase == "Failed"
        if status.phase == "Succeeded":
            assert documents.failed <= self.may_fail

    @invariant()
    def nothing_goes_back(self) -> None:
        documents, status = self.world.status.documents or JobDocuments(), self.world.status
        assert documents.succeeded >= self.seen.succeeded
        assert documents.failed >= self.seen.failed
        assert documents.listed >= self.seen.listed
        assert documents.filtered >= self.seen.filtered
        assert documents.cursor >= self.seen.cursor
        assert (status.retry_count or 0) >= self.retries
        self.seen, self.retries = documents, status.retry_count or 0

    @invariant()
    def every_document_has_one_live_intent(self) -> None:
        documents = self.world.status.documents or JobDocuments()
        uris = [entry.uri for entry in documents.in_flight]
        assert len(set(uris)) == len(uris)
        refs_in_flight = {entry.ref_id for entry in documents.in_flight}
        assert len(refs_in_flight) == len(uris)
        assert self.world.finished or set(self.world.marie.unfinished()) <= refs_in_flight

    @invariant()
    def marie_gets_no_document_twice(self) -> None:
        for ref_id, dags in self.world.marie.dags.items():
            assert len(dags) == 1, ref_id

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        before = (self.world.status.documents or JobDocuments()).failed
        self.world.settle()
        if not self.expected:
            assert self.world.status.phase == "Failed"
            return
        documents = self.world.status.documents
        assert documents is not None
        if reason_of_end(self.world.status) == "TooManyFailed":
            assert documents.failed > self.may_fail
            return
        assert documents.listed == documents.total == len(self.expected)
        assert documents.succeeded + documents.failed == len(self.expected)
        assert documents.in_flight == ()
        stem = refs.stem("scan", self.world.job.metadata.uid)
        ordinals = {refs.ordinal(ref_id, stem) for ref_id in self.world.marie.dags}
        assert ordinals == set(range(1, len(self.expected) + 1))
        assert documents.failed >= before


Batch.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestBatch = Batch.TestCase
