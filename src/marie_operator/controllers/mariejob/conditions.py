"""What the conditions of a job say."""

from marie_operator.api.conditions import JobCondition
from marie_operator.api.mariejob import MarieJobStatus
from marie_operator.controllers.conditions import is_true


def is_finished(status: MarieJobStatus) -> bool:
    """Whether the job has come to its end, from which nothing brings it back."""
    return is_true(status, JobCondition.COMPLETE) or is_true(status, JobCondition.FAILED)
