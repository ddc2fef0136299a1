"""Every gateway the operator deals with: what reconcilers ask, and how they hear that something moved."""

import asyncio
import contextvars
from collections.abc import Callable, Mapping, Sequence

import aiohttp

from marie_operator.marie.client import Gateway, Submission
from marie_operator.marie.document import Document, DocumentState, DocumentView, Ticket
from marie_operator.marie.monitor import GatewayView, Monitor
from marie_operator.runtime.clock import Clock
from marie_operator.runtime.resource import ObjectKey

__all__ = ["Document", "DocumentState", "DocumentView", "GatewayView", "Gateways", "Submission", "Ticket"]


class Gateways:
    """One monitor for each cluster that runs.

    Nothing here waits for a gateway: a reconciler says what it wants followed, reads what is known, and is called
    again when that changes.

    Args:
        session: Makes the requests to all gateways.
        clock: For the monitors.
        on_cluster: Called with a cluster when the view of its gateway has changed, or began anew.
        on_job: Called with a job when one of its documents has moved.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        *,
        clock: Clock,
        on_cluster: Callable[[ObjectKey], None],
        on_job: Callable[[ObjectKey], None],
    ) -> None:
        self._session = session
        self._clock = clock
        self._on_cluster = on_cluster
        self._on_job = on_job
        self._monitors: dict[ObjectKey, Monitor] = {}
        self._tasks: dict[ObjectKey, asyncio.Task[None]] = {}

    def ensure(self, cluster: ObjectKey, url: str) -> None:
        """Watch a cluster's gateway at ``url``; again, with another URL, from there on."""
        known = self._monitors.get(cluster)
        if known is not None and known.url == url.rstrip("/"):
            return
        self.forget(cluster)
        monitor = Monitor(
            Gateway(self._session, url),
            clock=self._clock,
            on_gateway=lambda: self._on_cluster(cluster),
            on_job=self._on_job,
        )
        self._monitors[cluster] = monitor
        self._tasks[cluster] = asyncio.create_task(
            monitor.run(),
            name=f"monitor {cluster}",
            # Not a child of the reconcile that happened to start it: its log lines are its own.
            context=contextvars.Context(),
        )
        # A new monitor knows no documents until its jobs say again which are theirs.
        self._on_cluster(cluster)

    def forget(self, cluster: ObjectKey) -> None:
        """Stop watching: the cluster is gone, or meant to be off."""
        if self._monitors.pop(cluster, None) is not None:
            self._tasks.pop(cluster).cancel()

    def view(self, cluster: ObjectKey) -> GatewayView | None:
        """What is known of a cluster's gateway; None while it is not watched."""
        monitor = self._monitors.get(cluster)
        return None if monitor is None else monitor.view

    def follow(self, cluster: ObjectKey, job: ObjectKey, tickets: Sequence[Ticket], *, api_key: str) -> None:
        """Have exactly these documents of a job brought to Marie, once each, and followed to their end.

        Args:
            cluster: Where.
            job: Whose; hears of every move.
            tickets: All of its documents in flight; one that was followed and is not among them is forgotten.
            api_key: For submitting; without one, documents that Marie already has are followed all the same.
        """
        monitor = self._monitors.get(cluster)
        if monitor is not None:
            monitor.follow(job, tickets, api_key)

    def documents(self, cluster: ObjectKey, job: ObjectKey) -> Mapping[str, DocumentView]:
        """What is known of a job's documents, by reference id."""
        monitor = self._monitors.get(cluster)
        return {} if monitor is None else monitor.documents(job)

    async def run(self) -> None:
        """Until cancelled, then end every monitor."""
        try:
            await asyncio.Event().wait()
        finally:
            tasks = list(self._tasks.values())
            self._monitors.clear()
            self._tasks.clear()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
