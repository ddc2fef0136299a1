"""One process of the operator around the reconciler, with an API server, a bucket and Marie outside of it.

Marie's monitors are played by ``Monitors``: what ``Gateways`` promises, without its waiting.
"""

import asyncio
import base64
import contextlib
from collections.abc import Mapping, Sequence
from typing import Literal, Self, cast

from prometheus_client import CollectorRegistry

from marie_operator.api.mariecluster import MarieCluster
from marie_operator.api.mariejob import MarieJob
from marie_operator.controllers import kinds
from marie_operator.controllers.mariejob import (
    INDEXES,
    Clearances,
    Deliveries,
    Imports,
    Listings,
    MarieJobReconciler,
    Origins,
    Outcomes,
    Owned,
    Secrets,
    Sources,
    Turns,
)
from marie_operator.controllers.mariejob.store import ListRequest, Page
from marie_operator.controllers.mariejob.submitter import SubmitterJob
from marie_operator.controllers.named import NamedObjects
from marie_operator.marie.gateways import DatabaseView, DocumentState, DocumentView, GatewayView, Ticket
from marie_operator.runtime import ObjectReference, Result, Typed, Writer
from marie_operator.runtime.resource import SECRETS, Object, ObjectKey
from tests.controllers.mariejob.apiserver import ApiServer
from tests.controllers.mariejob.clock import TurnedClock
from tests.controllers.mariejob.memory import MemoryObjects
from tests.controllers.mariejob.samples import UP, cluster, job

KEY = ObjectKey("docs", "scan")


class Events:
    """Keeps what is recorded."""

    def __init__(self) -> None:
        self.recorded: list[tuple[str, str, str]] = []

    def record(
        self,
        regarding: ObjectReference,
        *,
        type: Literal["Normal", "Warning"],  # noqa: A002 - the field's own name
        reason: str,
        action: str,
        note: str,
    ) -> None:
        assert (regarding.name, action) == ("scan", "Reconcile")
        self.recorded.append((type, reason, note))


class Bucket:
    """Keys under any prefix, three on a page."""

    def __init__(self, keys: Sequence[str]) -> None:
        self.keys = sorted(keys)

    async def page(self, request: ListRequest) -> Page:
        ahead = [key for key in self.keys if key > request.after]
        return Page(request, tuple(ahead[:3]), ahead[:3][-1] if ahead else request.after, last=len(ahead) <= 3)


class Marie:
    """Everything Marie ever took: the DAGs of each reference id, with their states."""

    def __init__(self) -> None:
        self.dags: dict[str, list[DocumentState]] = {}
        self.uris: dict[str, str] = {}
        self.outcome = DocumentState.SUCCEEDED

    def work(self) -> None:
        for states in self.dags.values():
            states[:] = [self.outcome if state is DocumentState.SUBMITTED else state for state in states]


class Monitors:
    """Submits what is fresh at once, and searches Marie before it submits anything else."""

    def __init__(self, marie: Marie) -> None:
        self.marie = marie
        self.gateway: GatewayView | None = UP
        self.followed: dict[str, Ticket] = {}
        self.asked_for: set[str] = set()
        self.keys: list[str] = []

    def view(self, _cluster: ObjectKey) -> GatewayView | None:
        return self.gateway

    def database(self, _cluster: ObjectKey) -> DatabaseView | None:
        return None

    def follow(self, _cluster: ObjectKey, _job: ObjectKey, tickets: Sequence[Ticket], *, api_key: str) -> None:
        self.keys.append(api_key)
        self.followed = {ticket.ref_id: self.followed.get(ticket.ref_id, ticket) for ticket in tickets}

    def abandon(self, _job: ObjectKey) -> None:
        self.followed = {}

    def documents(self, _cluster: ObjectKey, _job: ObjectKey) -> Mapping[str, DocumentView]:
        return {
            ref_id: DocumentView(self.marie.dags[ref_id][-1], f"dag-of-{ref_id}", "boom")
            if ref_id in self.marie.dags
            else DocumentView(DocumentState.WAITING)
            for ref_id in self.followed
        }

    def submit(self) -> None:
        for ref_id, ticket in self.followed.items():
            if ref_id not in self.asked_for and (ticket.fresh or ref_id not in self.marie.dags):
                self.marie.dags.setdefault(ref_id, []).append(DocumentState.SUBMITTED)
                self.marie.uris[ref_id] = ticket.submission.uri
            self.asked_for.add(ref_id)


class NoSubmitters:
    """The operator submits itself."""

    image = ""

    def of(self, job: MarieJob) -> SubmitterJob:
        raise AssertionError(f"{job.metadata.name} has no submitter")


class Process:
    """The reconciler with its collaborators; a new one is what a restart makes."""

    def __init__(self, api: ApiServer, marie: Marie, bucket: Bucket, clock: TurnedClock) -> None:
        jobs, clusters = api.inform(kinds.MARIE_JOBS, **INDEXES), api.inform(kinds.MARIE_CLUSTERS)
        self.api, self.bucket = api, bucket
        self.events, self.monitors = Events(), Monitors(marie)
        self.listings = Listings(Origins(bucket, api, MemoryObjects()), on_change=lambda _job: None)
        self.deliveries = Deliveries(MemoryObjects(), on_change=lambda _job: None, clock=clock, writer="test")
        typed = Typed(jobs, MarieJob.model_validate)
        turns = Turns(typed, clock=clock, on_turn=lambda _job: None)
        jobs.add_handler(turns.handle)
        self.sources = Sources(
            clusters=Typed(clusters, MarieCluster.model_validate),
            jobs=typed,
            secrets=Secrets(NamedObjects(api, clock=clock)),
            gateways=self.monitors,
            listings=self.listings,
            deliveries=self.deliveries,
            imports=Imports(MemoryObjects(), on_change=lambda _job: None),
            clearances=Clearances(MemoryObjects(), on_change=lambda _job: None),
            turns=turns,
            submitters=NoSubmitters(),
            owned=Owned(cast("Writer", api), clock=clock),
            clock=clock,
        )
        self.reconciler = MarieJobReconciler(
            informer=jobs,
            jobs=typed,
            sources=self.sources,
            client=api,
            events=self.events,
            outcomes=Outcomes(CollectorRegistry()),
        )

    async def __aenter__(self) -> Self:
        self._listing = asyncio.create_task(self.listings.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._listing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._listing

    async def turn(self) -> Result:
        """Reconcile once, then let the listing and the monitor do what they were asked to."""
        result = await self.reconciler.reconcile(KEY)
        for _ in range(5):
            await asyncio.sleep(0)
        self.monitors.submit()
        return result

    @property
    def status(self) -> Object:
        """The job's status as users see it."""
        status: Object = self.api.objects[kinds.MARIE_JOBS, KEY].get("status", {})
        return status


def wired(model: MarieJob | MarieCluster) -> Object:
    content: Object = model.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"status"})
    del content["metadata"]["resourceVersion"]
    content["metadata"].pop("deletionTimestamp", None)
    return content


def served(subject: MarieJob | None = None) -> ApiServer:
    """An API server with a job, its cluster and the cluster's key."""
    api = ApiServer()
    api.put(kinds.MARIE_CLUSTERS, wired(cluster()))
    key = base64.b64encode(b"mas_key").decode()
    api.put(SECRETS, {"metadata": {"namespace": "docs", "name": "c-api-key"}, "data": {"apiKey": key}})
    api.put(kinds.MARIE_JOBS, wired(subject or job()))
    return api
