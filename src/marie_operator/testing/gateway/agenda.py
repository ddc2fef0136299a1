"""What is due when, in a simulation whose clock moves only when someone looks."""

import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(order=True, slots=True)
class _Due:
    at: float
    order: int
    act: Callable[[], None] = field(compare=False)


class Agenda:
    """Actions in the order of their times; those of one moment in the order they were entered.

    Attributes:
        now: The present, in seconds.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self._due: list[_Due] = []
        self._order = itertools.count()

    def at(self, moment: float, act: Callable[[], None]) -> None:
        """Enter an action for a moment that has not passed."""
        heapq.heappush(self._due, _Due(max(moment, self.now), next(self._order), act))

    def after(self, seconds: float, act: Callable[[], None]) -> None:
        """Enter an action for some time from now."""
        self.at(self.now + seconds, act)

    def advance(self, now: float) -> None:
        """Let everything happen that is due by ``now``."""
        while self._due and self._due[0].at <= now:
            due = heapq.heappop(self._due)
            self.now = due.at
            due.act()
        self.now = max(self.now, now)
