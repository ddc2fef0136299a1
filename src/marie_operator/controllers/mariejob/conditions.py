"""What the conditions of a job say."""

from marie_operator.api.conditions import JobCondition
from marie_operator.api.mariejob import MarieJobStatus
from marie_operator.api.meta import Condition


def condition(status: MarieJobStatus, kind: JobCondition) -> Condition | None:
    """A condition of a status, if it has it."""
    return next((condition for condition in status.conditions if condition.type == kind), None)


def is_true(status: MarieJobStatus, kind: JobCondition) -> bool:
    """Whether a condition of a status is true."""
    found = condition(status, kind)
    return found is not None and found.status == "True"


def is_finished(status: MarieJobStatus) -> bool:
    """Whether the job has come to its end, from which nothing brings it back."""
    return is_true(status, JobCondition.COMPLETE) or is_true(status, JobCondition.FAILED)
