"""Metrics under controller-runtime's and client-go's names and labels, so that existing dashboards work.

What those have no name for begins with ``operator_``. No label holds the name of an object: docs/observability.md
says what each may hold.
"""

import asyncio

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import choose_encoder

RECONCILE_BUCKETS = (
    0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.25, 1.5,
    1.75, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 15.0, 20.0, 25.0, 30.0, 40.0, 50.0, 60.0,
)  # fmt: skip
QUEUE_BUCKETS = tuple(1e-8 * 10**power for power in range(12))
REQUEST_BUCKETS = (0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0)
LAG_BUCKETS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
RESULTS = ("error", "requeue_after", "requeue", "success")
NO_ANSWER = "<error>"
"""The code of a request that was not answered."""


class Metrics:
    """Every metric of the runtime, on a registry.

    Args:
        registry: Where they are registered; twice on one registry is an error.

    Attributes:
        registry: The same, for families of one's own.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        by_controller, by_queue, by_resource = ("controller",), ("name", "controller"), ("resource",)
        self.reconcile_total = Counter(
            "controller_runtime_reconcile_total", "Reconciliations by how they ended.", ("controller", "result"),
            registry=registry,
        )  # fmt: skip
        self.reconcile_errors = Counter(
            "controller_runtime_reconcile_errors_total", "Reconciliations that failed.", by_controller,
            registry=registry,
        )  # fmt: skip
        self.terminal_errors = Counter(
            "controller_runtime_terminal_reconcile_errors_total", "Reconciliations that failed for good.",
            by_controller, registry=registry,
        )  # fmt: skip
        self.panics = Counter(
            "controller_runtime_reconcile_panics_total", "Reconciliations that raised what nobody expected.",
            by_controller, registry=registry,
        )  # fmt: skip
        self.timeouts = Counter(
            "controller_runtime_reconcile_timeouts_total", "Reconciliations cancelled at their timeout.",
            by_controller, registry=registry,
        )  # fmt: skip
        self.reconcile_time = Histogram(
            "controller_runtime_reconcile_time_seconds", "Length of a reconciliation.", by_controller,
            buckets=RECONCILE_BUCKETS, registry=registry,
        )  # fmt: skip
        self.max_concurrent = Gauge(
            "controller_runtime_max_concurrent_reconciles", "Workers of a controller.", by_controller, registry=registry
        )
        self.active_workers = Gauge(
            "controller_runtime_active_workers", "Workers that are busy.", by_controller, registry=registry
        )
        self.queue_depth = Gauge(
            "workqueue_depth", "Keys ready to be worked on.", (*by_queue, "priority"), registry=registry
        )
        self.queue_adds = Counter("workqueue_adds_total", "Keys that became ready.", by_queue, registry=registry)
        self.queue_latency = Histogram(
            "workqueue_queue_duration_seconds", "Time a key waits in the queue.", by_queue, buckets=QUEUE_BUCKETS,
            registry=registry,
        )  # fmt: skip
        self.queue_work = Histogram(
            "workqueue_work_duration_seconds", "Time a key is worked on.", by_queue, buckets=QUEUE_BUCKETS,
            registry=registry,
        )  # fmt: skip
        self.queue_unfinished = Gauge(
            "workqueue_unfinished_work_seconds", "Sum of the ages of work in progress.", by_queue, registry=registry
        )
        self.queue_longest = Gauge(
            "workqueue_longest_running_processor_seconds", "Age of the oldest work in progress.", by_queue,
            registry=registry,
        )  # fmt: skip
        self.queue_retries = Counter(
            "workqueue_retries_total", "Keys put back with a delay.", by_queue, registry=registry
        )
        self._requests = Counter(
            "rest_client_requests_total", "Requests to the API server.", ("code", "method", "host"), registry=registry
        )
        self._request_time = Histogram(
            "rest_client_request_duration_seconds", "Length of a request, but for watches.", ("verb", "host"),
            buckets=REQUEST_BUCKETS, registry=registry,
        )  # fmt: skip
        self._counted: dict[tuple[str, str, str], Counter] = {}
        self._timed: dict[tuple[str, str], Histogram] = {}
        self._request_retries = Counter(
            "rest_client_request_retries_total", "Requests that were sent again, by what the last one came to.",
            ("code", "verb", "host"), registry=registry,
        )  # fmt: skip
        self.leader = Gauge(
            "leader_election_master_status", "1 while this process holds the lease.", ("name",), registry=registry
        )
        self.cache_objects = Gauge("operator_cache_objects", "Objects in the cache.", by_resource, registry=registry)
        self.cache_synced = Gauge(
            "operator_cache_synced", "1 once the resource has been read as a whole.", by_resource, registry=registry
        )
        self.cache_age = Gauge(
            "operator_cache_age_seconds", "Time since the API server last said anything about the resource.",
            by_resource, registry=registry,
        )  # fmt: skip
        self.cache_lists = Counter(
            "operator_cache_lists_total", "Times the resource was read as a whole.", by_resource, registry=registry
        )
        self.watches_ended = Counter(
            "operator_watches_ended_total", "Watches that ended and were begun again.", ("resource", "reason"),
            registry=registry,
        )  # fmt: skip
        self.loop_lag = Histogram(
            "operator_event_loop_lag_seconds", "How late the event loop wakes.", buckets=LAG_BUCKETS, registry=registry
        )
        self.events_dropped = Counter(
            "operator_events_dropped_total", "Events that could not be recorded.", registry=registry
        )

    def request(self, *, code: str, method: str, host: str, seconds: float | None) -> None:
        """One request to the API server was answered, or failed; ``seconds`` is None for a watch."""
        # Looking a child up takes longer than counting.
        counted = self._counted.get((code, method, host))
        if counted is None:
            counted = self._counted[code, method, host] = self._requests.labels(code, method, host)
        counted.inc()
        if seconds is not None:
            timed = self._timed.get((method, host))
            if timed is None:
                timed = self._timed[method, host] = self._request_time.labels(method, host)
            timed.observe(seconds)

    def retry(self, *, code: str, method: str, host: str) -> None:
        """A request will be sent again, since the last attempt came to ``code``."""
        self._request_retries.labels(code, method, host).inc()

    async def exposition(self, accept: str = "") -> tuple[bytes, str]:
        """Everything on the registry, and its content type: OpenMetrics for who accepts it, else Prometheus text.

        Rendered in a thread, since it takes milliseconds.
        """
        encode, content_type = choose_encoder(accept)
        return await asyncio.to_thread(encode, self.registry), content_type


class CollectionMetrics:
    """What is counted of one resource's copies.

    Args:
        metrics: Where.
        resource: As ``plural.group``.
    """

    CLOSED = "Closed"
    """The server ended the watch in good order."""

    def __init__(self, metrics: Metrics, resource: str) -> None:
        self._ended, self._resource = metrics.watches_ended, resource
        self._lists = metrics.cache_lists.labels(resource)
        self._objects = metrics.cache_objects.labels(resource)
        self._synced = metrics.cache_synced.labels(resource)
        self._age = metrics.cache_age.labels(resource)
        self._ended.labels(resource, self.CLOSED)

    def listed(self) -> None:
        """It was read as a whole."""
        self._lists.inc()

    def ended(self, reason: str) -> None:
        """A watch ended, or could not begin: ``CLOSED``, or the name of the error's class."""
        self._ended.labels(self._resource, reason).inc()

    def state(self, *, objects: int, synced: bool, age: float) -> None:
        """How the copy is at this moment; ``age`` in seconds."""
        self._objects.set(objects)
        self._synced.set(synced)
        self._age.set(age)
