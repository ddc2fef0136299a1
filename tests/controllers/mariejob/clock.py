"""A clock that tests turn."""

from datetime import datetime, timedelta

from tests.controllers.mariejob.samples import NOW


class TurnedClock:
    """Stands still until it is turned."""

    def __init__(self) -> None:
        self._elapsed = 0.0

    def monotonic(self) -> float:
        return self._elapsed

    def now(self) -> datetime:
        return NOW + timedelta(seconds=self._elapsed)

    def wait(self, seconds: float) -> None:
        self._elapsed += seconds
