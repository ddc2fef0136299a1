"""Submits one document exactly once, follows it to its end, and tells how it goes, line by line."""

import asyncio
import contextlib
import random
from collections.abc import Callable

from prometheus_client import CollectorRegistry

from marie_operator.marie.errand import Errand
from marie_operator.marie.gateways import Gateways
from marie_operator.marie.metrics import GatewayMetrics
from marie_operator.marie.monitor import GatewayView
from marie_operator.marie.ticket import DocumentState, DocumentView, Ticket
from marie_operator.marie.transport import Transport
from marie_operator.runtime.clock import Clock
from marie_operator.runtime.errors import NotLeader
from marie_operator.runtime.resource import ObjectKey

WINDOW = 240.0
"""Seconds from the start of a process in which it may submit.

A pod's successor begins when the pod has ended, or when its node has not been heard of for five minutes. The successor
searches before it submits; so of two that do not know of each other, the older one must not submit any more.
"""

SUCCEEDED, FAILED = 0, 1
"""Exit codes."""

_CLUSTER, _JOB = ObjectKey("", "gateway"), ObjectKey("", "job")
_SAID = {
    DocumentState.LOOKING_UP: "Marie is searched for the document, which may have been submitted before.",
    DocumentState.SUBMITTING: "The document is submitted.",
    DocumentState.SUBMITTED: "Marie has the document as DAG {dag_id}.",
    DocumentState.RUNNING: "An executor works on DAG {dag_id}.",
    DocumentState.SUCCEEDED: "DAG {dag_id} has completed.",
}


def _said(view: DocumentView) -> str:
    """What is told of a document that is in a new state; what Marie says of it stands as it is."""
    return view.message or _SAID.get(view.state, "").format(dag_id=view.dag_id)


class Submitter:
    """One process' errand.

    Args:
        errand: What to do.
        api_key: For submitting.
        transport: Carries requests to the gateway.
        clock: For every wait.
        tell: Called with each line of progress.
        jitter: Yields numbers in [0, 1); spreads what is asked of the gateway.
    """

    def __init__(
        self,
        errand: Errand,
        api_key: str,
        *,
        transport: Transport,
        clock: Clock,
        tell: Callable[[str], None],
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._errand = errand
        self._api_key = api_key
        self._clock = clock
        self._tell = tell
        self._began = clock.monotonic()
        self._moved = asyncio.Event()
        self._gateways = Gateways(
            transport,
            clock=clock,
            metrics=GatewayMetrics(CollectorRegistry()),
            on_cluster=lambda _: self._moved.set(),
            on_job=lambda _: self._moved.set(),
            fence=self._check,
            jitter=jitter,
        )

    async def run(self) -> tuple[int, str]:
        """The exit code, and the last line: how it ended."""
        self._tell(f"{self._errand.submission.uri} goes to {self._errand.url} as {self._errand.ref_id}.")
        watching = asyncio.create_task(self._gateways.run())
        try:
            self._gateways.ensure(_CLUSTER, self._errand.url)
            ticket = Ticket(self._errand.ref_id, self._errand.submission)
            self._gateways.follow(_CLUSTER, _JOB, [ticket], api_key=self._api_key)
            code, last = await self._follow()
        finally:
            watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watching
        self._tell(last)
        return code, last

    async def _follow(self) -> tuple[int, str]:
        told, problem = DocumentView(DocumentState.WAITING), ""
        while True:
            view = self._gateways.documents(_CLUSTER, _JOB).get(self._errand.ref_id, told)
            if (end := self._end(view)) is not None:
                return end
            if view != told:
                told = view
                if said := _said(view):
                    self._tell(said)
            problem = self._problem(self._gateways.view(_CLUSTER), problem)
            await self._wait()

    def _end(self, view: DocumentView) -> tuple[int, str] | None:
        match view.state:
            case DocumentState.SUCCEEDED:
                return SUCCEEDED, _said(view)
            case DocumentState.FAILED | DocumentState.CANCELLED | DocumentState.REFUSED:
                return FAILED, view.message
            case DocumentState.KEY_REFUSED:
                return FAILED, f"The gateway does not accept the API key: {view.message}"
            case DocumentState.WAITING | DocumentState.LOOKING_UP if self._is_late():
                return FAILED, f"Marie could not be given the document within {WINDOW:.0f} s; the next pod goes on."
            case _:
                return None

    def _problem(self, view: GatewayView | None, told: str) -> str:
        problem = view.problem if view is not None else ""
        if problem and problem != told:
            self._tell(problem)
        return problem

    async def _wait(self) -> None:
        left = self._began + WINDOW - self._clock.monotonic()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(left if left > 0 else None):
                await self._moved.wait()
        self._moved.clear()

    def _is_late(self) -> bool:
        return self._clock.monotonic() >= self._began + WINDOW

    def _check(self) -> None:
        if self._is_late():
            raise NotLeader(f"this process is older than {WINDOW:.0f} s")
