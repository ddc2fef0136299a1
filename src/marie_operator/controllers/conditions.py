"""What the conditions in a status say."""

from marie_operator.api.mariecluster import MarieClusterStatus
from marie_operator.api.mariejob import MarieJobStatus
from marie_operator.api.meta import Condition


def condition(status: MarieClusterStatus | MarieJobStatus, kind: str) -> Condition | None:
    """A condition of a status, if it has it."""
    return next((condition for condition in status.conditions if condition.type == kind), None)


def is_true(status: MarieClusterStatus | MarieJobStatus, kind: str) -> bool:
    """Whether a condition of a status is true."""
    found = condition(status, kind)
    return found is not None and found.status == "True"
