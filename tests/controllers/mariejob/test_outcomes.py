"""How jobs end is counted, also of those that are cleaned up."""

from prometheus_client import CollectorRegistry

from marie_operator.api.conditions import JobCondition
from marie_operator.api.mariejob import MarieJobStatus
from marie_operator.controllers.mariejob import Outcomes


def status(phase: str, *conditions: str) -> MarieJobStatus:
    """A status in which these conditions are true."""
    true = [
        {
            "type": each,
            "status": "True",
            "reason": "R",
            "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
            "observedGeneration": 1,
        }
        for each in conditions
    ]
    return MarieJobStatus.model_validate({"phase": phase, "conditions": true})


def test_an_end_is_counted_once_and_so_is_being_late() -> None:
    registry = CollectorRegistry()
    outcomes = Outcomes(registry)

    def counted() -> tuple[float | None, ...]:
        ends = [
            registry.get_sample_value("marie_operator_jobs_finished_total", {"phase": each})
            for each in ("Succeeded", "Failed", "Cancelled")
        ]
        return (*ends, registry.get_sample_value("marie_operator_jobs_late_total"))

    running, late = status("Running"), status("Running", JobCondition.SLA_MISSED)
    failed = status("Failed", JobCondition.SLA_MISSED, JobCondition.FAILED)
    assert counted() == (0, 0, 0, 0)
    outcomes.count(running, late)
    assert counted() == (0, 0, 0, 1)
    outcomes.count(late, failed)
    outcomes.count(failed, failed)
    assert counted() == (0, 1, 0, 1)
    outcomes.count(running, status("Succeeded", JobCondition.COMPLETE))
    outcomes.count(running, status("Cancelled", JobCondition.FAILED))
    assert counted() == (1, 1, 1, 1)
