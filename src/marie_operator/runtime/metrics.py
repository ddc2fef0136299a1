"""Metrics under controller-runtime's and client-go's names and labels, so that existing dashboards work."""

import asyncio

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

RECONCILE_BUCKETS = (
    0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.25, 1.5,
    1.75, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 15.0, 20.0, 25.0, 30.0, 40.0, 50.0, 60.0,
)  # fmt: skip
QUEUE_BUCKETS = tuple(1e-8 * 10**power for power in range(12))
REQUEST_BUCKETS = (0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0)
RESULTS = ("error", "requeue_after", "requeue", "success")


class Metrics:
    """Every metric of a process, on a registry of its own.

    Args:
        registry: Where they are registered; twice on one registry is an error.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        by_controller = ("controller",)
        by_queue = ("name", "controller")
        self.reconcile_total = Counter(
            "controller_runtime_reconcile_total", "Reconciliations per controller.", ("controller", "result"),
            registry=registry,
        )  # fmt: skip
        self.reconcile_errors = Counter(
            "controller_runtime_reconcile_errors_total",
            "Reconciliations that failed.",
            by_controller,
            registry=registry,
        )
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
        self.requests = Counter(
            "rest_client_requests_total", "Requests to the API server.", ("code", "method", "host"), registry=registry
        )
        self.request_time = Histogram(
            "rest_client_request_duration_seconds", "Length of a request until its headers.", ("verb", "host"),
            buckets=REQUEST_BUCKETS, registry=registry,
        )  # fmt: skip
        self.leader = Gauge(
            "leader_election_master_status", "1 while this process holds the lease.", ("name",), registry=registry
        )
        self.loop_lag = Gauge(
            "marie_operator_event_loop_lag_seconds", "How late the event loop woke, most recently.", registry=registry
        )
        self.events_dropped = Counter(
            "marie_operator_events_dropped_total", "Events that could not be recorded.", registry=registry
        )

    def request(self, *, code: str, method: str, host: str, seconds: float) -> None:
        """One request to the API server was answered, or failed."""
        self.requests.labels(code, method, host).inc()
        self.request_time.labels(method, host).observe(seconds)

    async def exposition(self) -> bytes:
        """The Prometheus text format; rendered in a thread, since it takes tens of milliseconds."""
        return await asyncio.to_thread(generate_latest, self._registry)
