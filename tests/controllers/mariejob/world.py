"""A world around ``decide``: the API server, one process of the operator at a time, a bucket, and Marie.

It has its own idea of exactly once: Marie remembers every submission it ever took, and so does the world.
"""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from marie_operator.api.mariejob import MarieJob, MarieJobStatus
from marie_operator.controllers.mariejob.conditions import is_finished
from marie_operator.controllers.mariejob.decide import decide
from marie_operator.controllers.mariejob.decision import Decision
from marie_operator.controllers.mariejob.observation import Observation
from marie_operator.controllers.mariejob.source import Prefix
from marie_operator.controllers.mariejob.store import ListRequest, Page
from marie_operator.marie.gateways import DocumentState, DocumentView, Ticket
from tests.controllers.mariejob.samples import NOW, UP, cluster, job

PAGE = 3


@dataclass
class Marie:
    """What Marie has taken, by reference id: one entry of the list for each DAG."""

    dags: dict[str, list[DocumentState]] = field(default_factory=dict)

    def take(self, ref_id: str) -> None:
        self.dags.setdefault(ref_id, []).append(DocumentState.SUBMITTED)

    def unfinished(self) -> list[str]:
        live = {DocumentState.SUBMITTED, DocumentState.RUNNING}
        return sorted(ref_id for ref_id, states in self.dags.items() if live & set(states))

    def move(self, ref_id: str, state: DocumentState) -> None:
        self.dags[ref_id][-1] = state


@dataclass
class Process:
    """What one process of the operator remembers; a crash takes it away."""

    followed: dict[str, Ticket] = field(default_factory=dict)
    views: dict[str, DocumentView] = field(default_factory=dict)
    page: Page | None = None


class World:
    """One job over a prefix, or over a single document."""

    def __init__(self, keys: list[str], *, uri: str = "s3://bucket/invoices/", **spec: Any) -> None:
        self.job: MarieJob = job(uri, **spec)
        self.keys = sorted(keys)
        self.marie = Marie()
        self.process = Process()
        self.now = NOW
        self.suspended = False
        self.gateway_up = True
        self.counted: list[str] = []

    @property
    def status(self) -> MarieJobStatus:
        return self.job.status

    @property
    def finished(self) -> bool:
        return is_finished(self.status)

    def observe(self) -> Observation:
        return Observation(
            now=self.now,
            cluster=cluster(),
            gateway=UP if self.gateway_up else None,
            api_key="mas_key",
            documents=dict(self.process.views),
            listing=self.process.page,
        )

    def reconcile(self, *, conflict: bool = False, crash_before_follow: bool = False) -> Decision:
        """Decide and carry out, up to where the process is killed or another writer was faster."""
        decision = decide(self.job, self.observe())
        if conflict:
            return decision
        self.job = self.job.model_copy(update={"status": decision.status})
        if crash_before_follow:
            self.crash()
            return decision
        kept = {ticket.ref_id for ticket in decision.tickets}
        self.process.views = {ref: view for ref, view in self.process.views.items() if ref in kept}
        known = self.process.followed
        self.process.followed = {ticket.ref_id: known.get(ticket.ref_id, ticket) for ticket in decision.tickets}
        self.list(decision.listing)
        return decision

    def list(self, request: ListRequest | None) -> None:
        if request is None:
            self.process.page = None
        elif self.process.page is None or self.process.page.request != request:
            assert isinstance(request.source, Prefix)
            ahead = [key for key in self.keys if key > request.after]
            taken = tuple(ahead[:PAGE])
            last = len(ahead) <= PAGE
            self.process.page = Page(request, taken, taken[-1] if taken else request.after, last)

    def crash(self) -> None:
        self.process = Process()

    def submit(self, ref_id: str, *, crash: bool = False) -> None:
        """What the monitor does with a followed ticket: look it up unless it is fresh, and submit it."""
        ticket = self.process.followed[ref_id]
        if ref_id not in self.marie.dags:
            self.marie.take(ref_id)
        else:
            assert not ticket.fresh or ref_id in self.process.views, "a fresh document was known to Marie"
        if crash:
            self.crash()
        else:
            self.look(ref_id)

    def look(self, ref_id: str) -> None:
        """The monitor sees how a followed document is."""
        if ref_id in self.process.followed and ref_id in self.marie.dags:
            self.process.views[ref_id] = DocumentView(self.marie.dags[ref_id][-1], f"dag-{ref_id}", "boom")

    def wait(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def suspend(self, suspended: bool) -> None:
        self.job = self.job.model_copy(update={"spec": self.job.spec.model_copy(update={"suspend": suspended})})

    def settle(self, outcome: DocumentState = DocumentState.SUCCEEDED) -> None:
        """Let everything go its way, without faults, until the job is finished."""
        self.suspend(False)
        self.gateway_up = True
        for _ in range(60 * (len(self.keys) + 1)):
            if self.finished:
                return
            self.reconcile()
            for ref_id in list(self.process.followed):
                self.submit(ref_id)
            for ref_id in self.marie.unfinished():
                self.marie.move(ref_id, outcome)
            for ref_id in list(self.process.followed):
                self.look(ref_id)
            self.wait(61)
        raise AssertionError(f"the job does not end: {self.status}")
