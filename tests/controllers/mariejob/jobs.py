"""Cached jobs without a cache."""

from marie_operator.api.mariejob import MarieJob
from marie_operator.runtime import Unparsable
from marie_operator.runtime.resource import ObjectKey


class Jobs:
    """What ``Typed`` gives: one job, whatever its key, or none."""

    def __init__(self, *jobs: MarieJob | Unparsable) -> None:
        self._jobs = jobs

    def get(self, _key: ObjectKey) -> MarieJob | Unparsable | None:
        return self._jobs[0] if self._jobs else None
