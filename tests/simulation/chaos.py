"""What goes wrong in a run: the weather between the processes, and blows to them, drawn from the run's seed."""

import random
from dataclasses import dataclass
from typing import Literal, TypeAlias

from tests.simulation.network import CALM, Fate, Weather
from tests.simulation.workload import Size

Blow: TypeAlias = Literal[
    "crash",
    "crash on message",
    "stand still",
    "loop stalled",
    "restart",
    "api server down",
    "older cache",
    "compaction",
    "gateway killed",
    "pod deleted",
    "container crash",
    "node dead",
    "node lost",
    "weather",
]
_BLOWS: dict[Blow, int] = {
    "crash": 3,
    "crash on message": 6,
    "stand still": 2,
    "loop stalled": 2,
    "restart": 1,
    "api server down": 2,
    "older cache": 2,
    "compaction": 2,
    "gateway killed": 2,
    "pod deleted": 2,
    "container crash": 2,
    "node dead": 1,
    "node lost": 1,
    "weather": 3,
}
DRIZZLE = Weather(
    fates={Fate.LOST: 0.01, Fate.UNANSWERED: 0.02, Fate.FAILED: 0.02},
    slow=0.05,
    slowest=1.0,
    cut=0.2,
    lag=0.2,
    latest=1.0,
)
STORM = Weather(
    fates={Fate.REFUSED: 0.05, Fate.LOST: 0.05, Fate.UNANSWERED: 0.08, Fate.SILENT: 0.01, Fate.FAILED: 0.08},
    slow=0.2,
    slowest=5.0,
    cut=0.5,
    lag=0.5,
    longest=30.0,
    latest=6.0,
)
MUTE = Weather(fates={Fate.UNANSWERED: 0.05}, slow=0.05, slowest=1.0, mute=0.3, cut=0.3, lag=0.3, latest=3.0)
WEATHERS = (CALM, DRIZZLE, DRIZZLE, STORM, MUTE)
_HOLDUPS: dict[Blow, int] = {"stand still": 1, "loop stalled": 3, "api server down": 1, "older cache": 1}
"""For how many times a blow's seconds it lasts: a stalled loop is to be ended by its watchdog now and then."""
LOOK = 8.0
"""Seconds from a look at who works until the pods that were idle are deleted (docs/executor-groups.md), and some."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A blow at a moment.

    Attributes:
        at: Seconds since the beginning.
        blow: Which.
        whom: Which replica, node, cluster or weather: taken by number, however many there are.
        seconds: How long it lasts.
        count: Of messages, for those that count.
    """

    at: float
    blow: Blow
    whom: int
    seconds: float
    count: int

    @property
    def holds_up(self) -> float:
        """Seconds for which an operator can do nothing, or learns nothing."""
        return self.seconds * _HOLDUPS.get(self.blow, 0)


@dataclass(frozen=True, slots=True)
class Chaos:
    """All that goes wrong in a run."""

    hits: tuple[Hit, ...] = ()
    weather: Weather = CALM

    @property
    def tardiness(self) -> float:
        """Seconds from a look at who works until the pods have ended that it found idle."""
        return LOOK + self._stood + 2 * max(weather.slowest for weather in self._weathers)

    @property
    def loses_nodes(self) -> bool:
        """Whether a node stays away for so long that controllers notice."""
        return any(hit.blow == "node lost" for hit in self.hits)

    @property
    def _weathers(self) -> list[Weather]:
        return [self.weather, *(WEATHERS[hit.whom % len(WEATHERS)] for hit in self.hits if hit.blow == "weather")]

    @property
    def _stood(self) -> float:
        return sum(hit.holds_up for hit in self.hits)


def drawn(source: random.Random, size: Size) -> Chaos:
    """What goes wrong in a run: of some kinds, since what has to come in a row comes so among few more often.

    Args:
        source: Decides.
        size: How large the run is.
    """
    kinds = [each for each in _BLOWS if source.random() < 0.5] or list(_BLOWS)
    hits = [
        Hit(
            at=source.uniform(1, size.length + 8),
            blow=source.choices(kinds, [_BLOWS[each] for each in kinds])[0],
            whom=source.randrange(60),
            seconds=source.choice((0.5, 3.0, 8.0, 15.0)),
            count=source.randint(1, 60),
        )
        for _ in range(source.randint(1, size.blows))
    ]
    return Chaos(tuple(sorted(hits, key=lambda hit: hit.at)), source.choice(WEATHERS))
