"""What users are told of a job in events."""

from collections.abc import Sequence
from typing import Literal, Protocol

from marie_operator.api.mariejob import MarieJob
from marie_operator.controllers import kinds
from marie_operator.controllers.mariejob.decision import Occurrence
from marie_operator.runtime import ObjectReference


class Recorder(Protocol):
    """Where events go; see ``EventRecorder``."""

    def record(
        self,
        regarding: ObjectReference,
        *,
        type: Literal["Normal", "Warning"],  # noqa: A002 - the field's own name
        reason: str,
        action: str,
        note: str,
    ) -> None:
        """Tell the user; never waits."""
        ...


class Announcements:
    """Events of jobs.

    Args:
        events: Where they go.
    """

    def __init__(self, events: Recorder) -> None:
        self._events = events

    def tell(self, job: MarieJob, occurrences: Sequence[Occurrence]) -> None:
        """Tell what occurred to a job."""
        for occurrence in occurrences:
            self._events.record(
                kinds.reference_to(job),
                type=occurrence.type,
                reason=occurrence.reason,
                action="Reconcile",
                note=occurrence.note,
            )
