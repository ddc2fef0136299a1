"""How often a job's status is written while nothing but counts changes."""

from marie_operator.api.mariejob import JobDocuments, MarieJob, MarieJobStatus
from marie_operator.controllers import kinds
from marie_operator.controllers.mariejob.conditions import is_finished
from marie_operator.runtime import Clock
from marie_operator.runtime.resource import ObjectKey

STEP = 5.0
"""Seconds between two writes of a status in which only counts and documents move, at most."""

_PATIENT = 4000
"""The larger the window, the larger the share of it that can be empty without the gateway waiting: the square of
``maxInFlight`` by this is how many documents at once are replaced at once. It is 1 of 50, 10 of 200, 250 of 1000."""


class Pace:
    """Holds steps back that can wait, so that a large batch is written of in large steps.

    A step held back is not lost: it is decided again, with what has come since.

    Args:
        clock: for the time between steps.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._written: dict[ObjectKey, float] = {}

    def wait(self, job: MarieJob, status: MarieJobStatus) -> float:
        """Seconds for which the step from the job's status to another is to be held back; 0 to take it now.

        The first step that a process takes with a job never waits.
        """
        if status == job.status or is_urgent(job, status):
            return 0.0
        written = self._written.get(kinds.key_of(job), float("-inf"))
        return max(0.0, written + STEP - self._clock.monotonic())

    def wrote(self, job: MarieJob) -> None:
        """A status has been written."""
        self._written[kinds.key_of(job)] = self._clock.monotonic()

    def forget(self, job: ObjectKey) -> None:
        """A job is over, or gone."""
        self._written.pop(job, None)


def is_urgent(job: MarieJob, new: MarieJobStatus) -> bool:
    """Whether somebody waits for a step: a person for a transition, or the gateway for documents."""
    old = job.status
    if is_finished(new) or _turn(old) != _turn(new):
        return True
    before, after = old.documents or JobDocuments(), new.documents or JobDocuments()
    ended = after.succeeded + after.failed - before.succeeded - before.failed
    many = max(1, job.spec.batch.max_in_flight**2 // _PATIENT)
    return ended >= many or after.listed - before.listed >= many


def _turn(status: MarieJobStatus) -> tuple[object, ...]:
    """What makes a change of status a transition."""
    conditions = [(each.type, each.status, each.reason) for each in status.conditions]
    return status.phase, status.observed_generation, status.cluster_name, status.start_time, conditions
