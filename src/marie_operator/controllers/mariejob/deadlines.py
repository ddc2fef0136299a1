"""When time alone changes something about a job."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from marie_operator.api.conditions import JobReason
from marie_operator.api.mariejob import MarieJobSpec
from marie_operator.controllers.mariejob.plan import Plan

_NEAR = 0.8
"""Share of the time to the soft deadline after which a job that is not done is told to be about to miss it."""


class Overrun(NamedTuple):
    """A deadline that ends the job."""

    reason: JobReason
    what: str


@dataclass(frozen=True, slots=True)
class Deadlines:
    """The absolute times at which a started job is late, or is given up, and from which on it is about to be late."""

    soft: datetime | None = None
    hard: datetime | None = None
    active: datetime | None = None
    near: datetime | None = None

    @classmethod
    def of(cls, plan: Plan, start: datetime | None) -> "Deadlines":
        """The deadlines of a job that started at ``start``; none while it is suspended."""
        if start is None:
            return cls()
        near = None if plan.soft is None else timedelta(seconds=int(_NEAR * plan.soft.total_seconds()))
        return cls(
            *(start + length if length is not None else None for length in (plan.soft, plan.hard, plan.active, near))
        )

    def overrun(self, now: datetime, spec: MarieJobSpec) -> Overrun | None:
        """The deadline that ends the job now, if one does; the earlier of two."""
        passed = [
            (at, overrun)
            for at, overrun in (
                (self.hard, Overrun(JobReason.HARD_DEADLINE_EXCEEDED, _hard(spec))),
                (self.active, Overrun(JobReason.DEADLINE_EXCEEDED, _active(spec))),
            )
            if at is not None and at <= now
        ]
        return min(passed, default=(None, None))[1]

    def next(self, now: datetime) -> datetime | None:
        """The next of these times that has not passed."""
        times = (self.near, self.soft, self.hard, self.active)
        return min((at for at in times if at is not None and at > now), default=None)


def _hard(spec: MarieJobSpec) -> str:
    return f"spec.sla.hardDeadline ({spec.sla.hard_deadline if spec.sla else ''})"


def _active(spec: MarieJobSpec) -> str:
    return f"spec.activeDeadlineSeconds ({spec.active_deadline_seconds} s)"
