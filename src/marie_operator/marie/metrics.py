"""What is counted of gateways and of the documents they are given; no label holds a cluster's or a document's name."""

from collections import Counter as Tally
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from enum import StrEnum

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from marie_operator.marie.ticket import DocumentState
from marie_operator.marie.transport import Request, Response, Transport, Unanswered
from marie_operator.runtime.clock import Clock
from marie_operator.runtime.metrics import NO_ANSWER

REQUEST_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
ROUTES = (
    "/api/v1/invoke", "/api/jobs/{state}", "/api/jobsXX/{id}", "/api/debug", "/api/planners", "/api/capacity",
    "/api/deployment-nodes", "/v3/kv/txn",
)  # fmt: skip
"""What a gateway, or its etcd, is asked, without the parts that differ; anything else is counted as ``other``."""


class SubmissionResult(StrEnum):
    """What a submission came to."""

    ACCEPTED = "accepted"
    """The gateway says it took the document, which is yet to be confirmed."""
    REFUSED = "refused"
    """It did not, and will not take the same again."""
    NOT_SENT = "not_sent"
    """It was surely not asked."""
    IN_DOUBT = "in_doubt"
    """Whether it took the document is not known: it is searched for before it is sent again."""


class GatewayState(StrEnum):
    """How a gateway is."""

    RUNNING = "running"
    STARTING = "starting"
    UNREACHABLE = "unreachable"


class GatewayMetrics:
    """The marie_operator_* families about gateways, on a registry.

    Args:
        registry: Where they are registered; twice on one registry is an error.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = Counter(
            "marie_operator_gateway_requests_total", "Requests to gateways.", ("code", "method", "route"),
            registry=registry,
        )  # fmt: skip
        self._request_time = Histogram(
            "marie_operator_gateway_request_duration_seconds", "Length of a request to a gateway, its answer included.",
            ("method", "route"), buckets=REQUEST_BUCKETS, registry=registry,
        )  # fmt: skip
        # Finding a child by its labels takes longer than counting in it.
        self._counted: dict[tuple[str, str, str], Counter] = {}
        self._timed: dict[tuple[str, str], Histogram] = {}
        submissions = Counter(
            "marie_operator_submissions_total", "Submissions of documents by what they came to.", ("result",),
            registry=registry,
        )  # fmt: skip
        self._submissions = {result: submissions.labels(result) for result in SubmissionResult}
        moves = Counter(
            "marie_operator_document_moves_total", "Times a document was seen to come to a state.", ("state",),
            registry=registry,
        )  # fmt: skip
        self._moves = {state: moves.labels(state) for state in DocumentState}
        self.repeated = Counter(
            "marie_operator_documents_repeated_total",
            "Documents that were submitted again although the gateway could not tell whether it had them.",
            registry=registry,
        )
        documents = Gauge("marie_operator_documents", "Documents in flight by state.", ("state",), registry=registry)
        self._documents = {state: documents.labels(state) for state in DocumentState}
        gateways = Gauge("marie_operator_gateways", "Gateways by state.", ("state",), registry=registry)
        self._gateways = {state: gateways.labels(state) for state in GatewayState}

    def asked(self, code: str, method: str, route: str, seconds: float) -> None:
        """A request to a gateway came to an end.

        Args:
            code: Of the answer; NO_ANSWER without one.
            method: In capitals.
            route: One of ROUTES.
            seconds: How long it took, its answer included.
        """
        counted = self._counted.get((code, method, route))
        if counted is None:
            counted = self._counted[code, method, route] = self._requests.labels(code, method, route)
        counted.inc()
        timed = self._timed.get((method, route))
        if timed is None:
            timed = self._timed[method, route] = self._request_time.labels(method, route)
        timed.observe(seconds)

    def submitted(self, result: SubmissionResult) -> None:
        """A submission came to an end."""
        self._submissions[result].inc()

    def moved(self, state: DocumentState) -> None:
        """A document came to a state, or was met in it."""
        self._moves[state].inc()

    def state(self, gateways: Iterable[GatewayState], documents: Iterable[DocumentState]) -> None:
        """How every gateway, and every document in flight, is at this moment."""
        for gauges, found in ((self._gateways, gateways), (self._documents, documents)):
            counts = Tally(found)
            for state, gauge in gauges.items():
                gauge.set(counts[state])


class CountedTransport:
    """Counts what another transport carries.

    Args:
        carrier: Carries the requests.
        clock: For their length.
        metrics: Where they are counted.
    """

    def __init__(self, carrier: Transport, *, clock: Clock, metrics: GatewayMetrics) -> None:
        self._carrier = carrier
        self._clock = clock
        self._metrics = metrics

    @asynccontextmanager
    async def exchange(self, request: Request) -> AsyncIterator[Response]:
        """Send a request; leaving the block ends it.

        Raises:
            Unanswered: no answer came, or it broke off; also out of ``chunks``.
        """
        route, began, code = route_of(request.path), self._clock.monotonic(), NO_ANSWER
        try:
            async with self._carrier.exchange(request) as response:
                code = str(response.status)
                yield response
        except Unanswered:
            # An answer that broke off is none.
            code = NO_ANSWER
            raise
        finally:
            self._metrics.asked(code, request.method, route, self._clock.monotonic() - began)


def route_of(path: str) -> str:
    """Which of ROUTES a path belongs to; ``other`` for none."""
    parent = path.rpartition("/")[0]
    return next((route for route in ROUTES if route == path or route.startswith(parent + "/{")), "other")
