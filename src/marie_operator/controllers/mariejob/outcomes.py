"""How many jobs came to which end, and how many late: counted as it is written, since such jobs are cleaned up."""

from typing import get_args

from prometheus_client import CollectorRegistry, Counter

from marie_operator.api.conditions import JobCondition
from marie_operator.api.mariejob import EndPhase, MarieJobStatus
from marie_operator.controllers.conditions import is_true
from marie_operator.controllers.mariejob.conditions import is_finished


class Outcomes:
    """The marie_operator_jobs_finished_total and marie_operator_jobs_late_total families, on a registry.

    Args:
        registry: Where they are registered; twice on one registry is an error.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        finished = Counter(
            "marie_operator_jobs_finished_total", "MarieJobs that came to their end, by their last phase.", ("phase",),
            registry=registry,
        )  # fmt: skip
        self._finished = {phase: finished.labels(phase) for phase in get_args(EndPhase)}
        self._late = Counter(
            "marie_operator_jobs_late_total", "MarieJobs that missed their SLA, whatever became of them.",
            registry=registry,
        )  # fmt: skip

    def count(self, before: MarieJobStatus, after: MarieJobStatus) -> None:
        """A job's status was written.

        Args:
            before: As it was.
            after: As it is.
        """
        if is_finished(after) and not is_finished(before):
            self._finished[after.phase].inc()
        if is_true(after, JobCondition.SLA_MISSED) and not is_true(before, JobCondition.SLA_MISSED):
            self._late.inc()
