"""Every gateway the operator deals with: what reconcilers ask, and how they hear that something moved."""

import asyncio
import contextvars
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from marie_operator.marie.client import Gateway, Submission
from marie_operator.marie.database import Connect, Database, Place
from marie_operator.marie.document import Document
from marie_operator.marie.etcd import Etcd
from marie_operator.marie.metrics import CountedTransport, GatewayMetrics
from marie_operator.marie.monitor import MAX_BACKOFF, GatewayView, Hold, Monitor
from marie_operator.marie.occupancy import BOOT, Occupancy, OccupancyWatch, Question
from marie_operator.marie.ticket import DocumentState, DocumentView, Ticket
from marie_operator.marie.transport import Transport
from marie_operator.marie.withdrawal import DatabaseView
from marie_operator.runtime.clock import Clock
from marie_operator.runtime.resource import ObjectKey

__all__ = [
    "BOOT",
    "DatabaseView",
    "Document",
    "DocumentState",
    "DocumentView",
    "GatewayView",
    "Gateways",
    "Hold",
    "Occupancy",
    "Place",
    "Question",
    "Submission",
    "Ticket",
]

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class _Watched:
    """One cluster, of which three things are looked at: its gateway, who of its workers works, and its database."""

    monitor: Monitor
    occupancy: OccupancyWatch
    etcd: str

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.monitor.run())
            tasks.create_task(self.occupancy.run())
            tasks.create_task(self.monitor.withdrawal.run())


class Gateways:
    """One monitor for each cluster that runs.

    Nothing here waits for a gateway: a reconciler says what it wants followed, reads what is known, and is called
    again when that changes.

    Args:
        transport: Carries the requests to all gateways.
        clock: For the monitors.
        metrics: Counts requests, submissions and documents.
        on_cluster: Called with a cluster when the view of its gateway has changed, or began anew.
        on_job: Called with a job when one of its documents has moved.
        on_occupancy: Called with a cluster when there is something new of who works in it.
        fence: Called before each submission; raises NotLeader when another process may be about to make it.
        jitter: Yields numbers in [0, 1); spreads what is asked of a gateway.
        connect: Makes connections to databases; without it, none is used.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        clock: Clock,
        metrics: GatewayMetrics,
        on_cluster: Callable[[ObjectKey], None],
        on_job: Callable[[ObjectKey], None],
        on_occupancy: Callable[[ObjectKey], None] = lambda _: None,
        fence: Callable[[], None] = lambda: None,
        jitter: Callable[[], float] = random.random,
        connect: Connect | None = None,
    ) -> None:
        self._transport = CountedTransport(transport, clock=clock, metrics=metrics)
        self._metrics = metrics
        self._clock = clock
        self._on_cluster = on_cluster
        self._on_job = on_job
        self._on_occupancy = on_occupancy
        self._fence = fence
        self._jitter = jitter
        self._connect = connect
        self._watched: dict[ObjectKey, _Watched] = {}
        self._tasks: dict[ObjectKey, asyncio.Task[None]] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._closed = False

    def ensure(self, cluster: ObjectKey, url: str, *, etcd: str = "", database: Place | None = None) -> None:
        """Watch a cluster's gateway at ``url``; again, with another address, from there on.

        Args:
            cluster: Which.
            url: Of its gateway.
            etcd: URL of its etcd; empty where that is not known.
            database: Where Marie keeps jobs; None where that is not known.
        """
        known = self._watched.get(cluster)
        if self._closed:
            return
        if known is not None and (known.monitor.url, known.etcd) == (url.rstrip("/"), etcd):
            self._use(known, database)
            return
        self.forget(cluster)
        gateway = Gateway(self._transport, url, fence=self._fence)
        occupancy = OccupancyWatch(
            gateway,
            Etcd(self._transport, etcd, fence=self._fence) if etcd else None,
            clock=self._clock,
            on_change=lambda: self._on_occupancy(cluster),
            idle=lambda: monitor.idle,
        )
        monitor = Monitor(
            gateway,
            clock=self._clock,
            on_gateway=lambda: self._on_cluster(cluster),
            on_job=self._on_job,
            on_work=occupancy.wake,
            fence=self._fence,
            jitter=self._jitter,
            metrics=self._metrics,
        )
        self._watched[cluster] = watched = _Watched(monitor, occupancy, etcd)
        self._use(watched, database)
        self._start(cluster)
        # A new monitor knows no documents until its jobs say again which are theirs.
        self._on_cluster(cluster)

    def _use(self, watched: _Watched, database: Place | None) -> None:
        place = None if self._connect is None else database
        if place == watched.monitor.withdrawal.place:
            return
        found = None if place is None or self._connect is None else Database(self._connect, place, fence=self._fence)
        watched.monitor.withdrawal.use(found)

    def _start(self, cluster: ObjectKey) -> None:
        watched = self._watched[cluster]

        # Not a child of the reconcile that happened to start it: its log lines are its own, and name its cluster.
        context = contextvars.copy_context()
        context.run(structlog.contextvars.clear_contextvars)
        context.run(structlog.contextvars.bind_contextvars, namespace=cluster.namespace, cluster=cluster.name)

        def ended(task: asyncio.Task[None]) -> None:
            self._ending.discard(task)
            error = None if task.cancelled() else task.exception()
            if error is None:
                return
            context.run(log.error, "monitor failed; it starts again", url=watched.monitor.url, exc_info=error)
            if self._watched.get(cluster) is watched:
                task.get_loop().call_later(MAX_BACKOFF, restart)

        def restart() -> None:
            if self._watched.get(cluster) is watched:
                self._start(cluster)

        task = asyncio.create_task(watched.run(), name=f"monitor {cluster}", context=context)
        task.add_done_callback(ended)
        self._tasks[cluster] = task

    def forget(self, cluster: ObjectKey) -> None:
        """Stop watching: the cluster is gone, or meant to be off."""
        if self._watched.pop(cluster, None) is not None:
            task = self._tasks.pop(cluster)
            if task.cancel():
                self._ending.add(task)

    def watches(self, cluster: ObjectKey) -> bool:
        """Whether a cluster's gateway is watched."""
        return cluster in self._watched

    def view(self, cluster: ObjectKey) -> GatewayView | None:
        """What is known of a cluster's gateway; None while it is not watched."""
        watched = self._watched.get(cluster)
        return None if watched is None else watched.monitor.view

    def database(self, cluster: ObjectKey) -> DatabaseView | None:
        """What is known of a cluster's database; None where there is none to use."""
        watched = self._watched.get(cluster)
        return None if watched is None else watched.monitor.withdrawal.view

    def occupancy(self, cluster: ObjectKey) -> Occupancy | None:
        """What is known of a cluster's workers; None before they were looked at, and while nobody looks."""
        watched = self._watched.get(cluster)
        return None if watched is None else watched.occupancy.view

    def ask(self, cluster: ObjectKey, question: Question) -> None:
        """Say what is needed to be known of a cluster's workers, and done about them, from now on."""
        if (watched := self._watched.get(cluster)) is not None:
            watched.occupancy.ask(question)

    def withhold(self, cluster: ObjectKey, *, on: bool) -> None:
        """Submit nothing to a cluster from now on, or go on."""
        if (watched := self._watched.get(cluster)) is not None:
            watched.monitor.withhold(on=on)

    def pause(self, cluster: ObjectKey, *, on: bool | None) -> None:
        """Have a cluster's scheduler begin nothing new from now on, or go on; None leaves it to others."""
        if (watched := self._watched.get(cluster)) is not None:
            watched.monitor.pause(on=on)

    def hold(self, cluster: ObjectKey) -> Hold | None:
        """Since when nothing is submitted to a cluster; None while it is, or nobody looks."""
        watched = self._watched.get(cluster)
        return None if watched is None else watched.monitor.hold

    def follow(self, cluster: ObjectKey, job: ObjectKey, tickets: Sequence[Ticket], *, api_key: str) -> None:
        """Have exactly these documents of a job brought to Marie, once each, and followed to their end.

        Args:
            cluster: Where.
            job: Whose; hears of every move.
            tickets: All of its documents in flight; one that was followed and is not among them is forgotten.
            api_key: For submitting; without one, documents that Marie already has are followed all the same.
        """
        watched = self._watched.get(cluster)
        if watched is not None:
            watched.monitor.follow(job, tickets, api_key)

    def abandon(self, job: ObjectKey) -> None:
        """Follow nothing of a job any more, wherever it was. What Marie has of it runs on."""
        for watched in self._watched.values():
            watched.monitor.follow(job, (), "")

    def documents(self, cluster: ObjectKey, job: ObjectKey) -> Mapping[str, DocumentView]:
        """What is known of a job's documents, by reference id."""
        watched = self._watched.get(cluster)
        return {} if watched is None else watched.monitor.documents(job)

    def report(self) -> list[dict[str, Any]]:
        """Every gateway with its state and how many documents are where, for /debug."""
        return [
            {
                "cluster": str(cluster),
                "url": monitor.url,
                "state": str(monitor.state),
                "problem": "" if monitor.view is None else monitor.view.problem,
                "documents": {str(state): count for state, count in Counter(monitor.states()).items()},
            }
            for cluster, monitor in self._monitors()
        ]

    def measure(self) -> None:
        """Bring the gauges of gateways and documents up to date."""
        monitors = [monitor for _, monitor in self._monitors()]
        self._metrics.state(
            (monitor.state for monitor in monitors), (state for monitor in monitors for state in monitor.states())
        )

    async def run(self) -> None:
        """Until cancelled, then end every monitor."""
        try:
            await asyncio.Event().wait()
        finally:
            self._closed = True
            for cluster in list(self._watched):
                self.forget(cluster)
            await asyncio.gather(*self._ending, return_exceptions=True)

    def _monitors(self) -> list[tuple[ObjectKey, Monitor]]:
        return [(cluster, watched.monitor) for cluster, watched in self._watched.items()]
