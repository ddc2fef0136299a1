"""Watches one gateway: how it is, and where the documents are that it was given."""

import asyncio
import random
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from marie_operator.marie.client import Gateway, Unanswered
from marie_operator.marie.document import ENDED, Document, DocumentState, DocumentView, Ticket
from marie_operator.marie.replies import UNFINISHED, Node, NodeState
from marie_operator.runtime.clock import Clock
from marie_operator.runtime.resource import ObjectKey

FAST = 0.3
"""Seconds between two looks while a submission waits for its confirmation."""
WORKING = 1.0
"""Seconds between two looks while documents are followed."""
STARTING = 2.0
"""Seconds between two looks at a gateway whose scheduler does not run yet."""
RESTING = 5.0
"""Seconds between two looks otherwise."""
PLANNERS_AGE = 60.0
FIRST_BACKOFF = 1.0
MAX_BACKOFF = 30.0
CONCURRENCY = 8
"""Requests to one gateway at the same time."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class GatewayView:
    """What is known of a gateway.

    Attributes:
        reachable: It answers.
        running: Its scheduler takes work.
        problem: What is wrong, as a sentence; empty while nothing is.
        planners: Names of its planners; None while they are not known.
        executors: Number of registered workers by executor name.
    """

    reachable: bool = False
    running: bool = False
    problem: str = ""
    planners: frozenset[str] | None = None
    executors: Mapping[str, int] = field(default_factory=dict)


class Monitor:
    """One gateway's monitor.

    Args:
        gateway: What to ask.
        clock: For every wait and age.
        on_gateway: Called when the view of the gateway has changed.
        on_job: Called with a job when one of its documents has moved.
        jitter: Yields numbers in [0, 1).
    """

    def __init__(
        self,
        gateway: Gateway,
        *,
        clock: Clock,
        on_gateway: Callable[[], None],
        on_job: Callable[[ObjectKey], None],
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._gateway = gateway
        self._clock = clock
        self._on_gateway = on_gateway
        self._on_job = on_job
        self._jitter = jitter
        self._documents: dict[ObjectKey, dict[str, Document]] = {}
        self._keys: dict[ObjectKey, str] = {}
        self._told: dict[ObjectKey, dict[str, DocumentView]] = {}
        self._wake = asyncio.Event()
        self._limit = asyncio.Semaphore(CONCURRENCY)
        self._looked_at = float("-inf")
        self._planners_at = float("-inf")
        self._backoff = 0.0
        self._view = GatewayView()
        self._asked = False

    @property
    def view(self) -> GatewayView | None:
        """What is known of the gateway; None until it was asked once."""
        return self._view if self._asked else None

    @property
    def url(self) -> str:
        """Where the gateway is reached."""
        return self._gateway.url

    def follow(self, job: ObjectKey, tickets: Sequence[Ticket], api_key: str) -> None:
        """Have exactly these documents of a job brought to Marie and to their end; others of it are forgotten."""
        known = self._documents.get(job, {})
        if not tickets:
            self._documents.pop(job, None)
            self._keys.pop(job, None)
            return
        now = self._clock.monotonic()
        documents = {ticket.ref_id: known.get(ticket.ref_id) or Document.of(ticket, now) for ticket in tickets}
        self._documents[job] = documents
        self._keys[job] = api_key
        for document in documents.values():
            document.with_key(api_key)
        if documents.keys() - known.keys():
            self._wake.set()

    def documents(self, job: ObjectKey) -> dict[str, DocumentView]:
        """What is known of a job's documents, by reference id."""
        return {ref_id: document.view for ref_id, document in self._documents.get(job, {}).items()}

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            self._wake.clear()
            await self._look()
            self._tell()
            try:
                async with asyncio.timeout(self._pause()):
                    await self._wake.wait()
            except TimeoutError:
                continue

    def _tell(self) -> None:
        """Call back for the jobs whose documents are not where they were when last told."""
        told, self._told = self._told, {job: self.documents(job) for job in self._documents}
        for job, views in self._told.items():
            if told.get(job) != views:
                self._on_job(job)

    async def _look(self) -> None:
        now = self._clock.monotonic()
        interval = RESTING if self._view.running else STARTING
        if now - self._looked_at >= interval or not self._view.reachable:
            self._looked_at = now
            await self._look_at_gateway()
        if self._view.running:
            await self._search()
            await self._submit()
            await self._confirm()
            await self._progress()

    def _pause(self) -> float:
        """Seconds until the next look."""
        if not self._view.reachable:
            self._backoff = min(max(self._backoff * 2, FIRST_BACKOFF), MAX_BACKOFF)
            return self._backoff * (0.5 + 0.5 * self._jitter())
        self._backoff = 0.0
        if not self._view.running:
            return STARTING
        states = {document.view.state for document in self._all()}
        if DocumentState.SUBMITTING in states:
            return FAST
        return WORKING if states - ENDED - {DocumentState.KEY_REFUSED} else RESTING

    async def _look_at_gateway(self) -> None:
        try:
            running = await self._gateway.scheduler_running()
            view = GatewayView(
                reachable=True,
                running=running,
                problem="" if running else "The gateway answers, but its scheduler does not run yet.",
                planners=await self._planners() if running else self._view.planners,
                executors={name: len(found) for name, found in (await self._gateway.worker_addresses()).items()},
            )
        except Unanswered as error:
            view = GatewayView(problem=f"The gateway does not answer as it should: {error}.")
        if view != self._view or not self._asked:
            if view.problem and view.problem != self._view.problem:
                log.info("gateway", url=self.url, problem=view.problem)
            self._view, self._asked = view, True
            self._on_gateway()

    async def _planners(self) -> frozenset[str]:
        now = self._clock.monotonic()
        if self._view.planners is not None and now - self._planners_at < PLANNERS_AGE:
            return self._view.planners
        self._planners_at = now
        return await self._gateway.planners()

    async def _search(self) -> None:
        """Search for documents that may have been submitted by a process that is no more, or whose reply was lost."""
        doubtful = self._in(DocumentState.LOOKING_UP)
        if not doubtful:
            return
        began = self._clock.monotonic()
        try:
            found = await self._dags_by_reference()
        except Unanswered as error:
            log.debug("search failed", url=self.url, problem=str(error))
            return
        for document in doubtful:
            document.searched(found, began)

    async def _dags_by_reference(self) -> dict[str, str]:
        """DAGs by reference id, over every list.

        They are read in the order in which a task moves through them, so that one that moves meanwhile is met twice
        rather than not at all. Where the list of completed tasks is too long to be read, its part of the answer is
        missing: the document is then submitted again under the same reference id, under which Marie files its result.
        """
        found: dict[str, str] = {}
        for state in (*UNFINISHED, NodeState.FAILED, NodeState.CANCELLED, NodeState.EXPIRED):
            found |= {node.ref_id: node.dag_id for node in await self._gateway.nodes(state)}
        try:
            found |= {node.ref_id: node.dag_id for node in await self._gateway.nodes(NodeState.COMPLETED)}
        except Unanswered as error:
            if "longer than" not in str(error):
                raise
            log.warning("the list of completed tasks is too long to be searched", url=self.url)
        return found

    async def _submit(self) -> None:
        waiting = [
            (document, key)
            for job, documents in self._documents.items()
            if (key := self._keys[job])
            for document in documents.values()
            if document.view.state is DocumentState.WAITING
        ]
        await self._each(self._submit_one(document, key) for document, key in waiting)

    async def _submit_one(self, document: Document, api_key: str) -> None:
        ticket = document.ticket
        try:
            reply = await self._gateway.submit(ticket.submission, ref_id=ticket.ref_id, api_key=api_key)
        except Unanswered as error:
            document.unanswered(str(error), self._clock.monotonic(), maybe_sent=error.maybe_sent)
        else:
            document.answered(reply, self._clock.monotonic(), api_key)

    async def _confirm(self) -> None:
        await self._each(self._confirm_one(document) for document in self._in(DocumentState.SUBMITTING))

    async def _confirm_one(self, document: Document) -> None:
        try:
            node = await self._gateway.node(document.job_id)
        except Unanswered as error:
            # A gateway whose database is down cannot say no.
            log.debug("confirmation failed", url=self.url, problem=str(error))
        else:
            document.confirmed(node, self._clock.monotonic())

    async def _progress(self) -> None:
        """Where the confirmed documents are: from three lists for all of them, and a walk for each that moved."""
        followed = [document for document in self._all() if document.followed]
        if not followed:
            return
        unfinished: dict[str, list[Node]] = defaultdict(list)
        try:
            for state in UNFINISHED:
                for node in await self._gateway.nodes(state):
                    unfinished[node.dag_id].append(node)
        except Unanswered as error:
            log.debug("progress failed", url=self.url, problem=str(error))
            return
        moved = [document for document in followed if document.listed(unfinished[document.view.dag_id])]
        await self._each(self._walk_one(document) for document in moved)

    async def _walk_one(self, document: Document) -> None:
        dag_id = document.view.dag_id
        try:
            walk = await self._gateway.walk(dag_id)
            elsewhere: list[Node] = []
            if not (document.unfinished or frozenset()) <= {node.id for node in walk} or len(walk) == 1:
                # A planner that numbers its tasks in its own way.
                for state in (NodeState.FAILED, NodeState.CANCELLED):
                    elsewhere += [node for node in await self._gateway.nodes(state) if node.dag_id == dag_id]
        except Unanswered as error:
            log.debug("walk failed", url=self.url, problem=str(error))
            document.unwalked()
        else:
            document.walked(walk, elsewhere, self._clock.monotonic())

    def _all(self) -> list[Document]:
        return [document for documents in self._documents.values() for document in documents.values()]

    def _in(self, state: DocumentState) -> list[Document]:
        return [document for document in self._all() if document.view.state is state]

    async def _each(self, steps: Iterable[Awaitable[None]]) -> None:
        async def limited(step: Awaitable[None]) -> None:
            async with self._limit:
                await step

        await asyncio.gather(*(limited(step) for step in steps))
