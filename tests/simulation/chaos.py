"""What goes wrong in a run: the weather between the processes, and blows to them, drawn from the run's seed."""

import random
from dataclasses import dataclass
from typing import Literal, TypeAlias

from tests.simulation.network import CALM, Fate, Weather
from tests.simulation.workload import LENGTH

Blow: TypeAlias = Literal[
    "crash",
    "crash on message",
    "stand still",
    "restart",
    "api server down",
    "compaction",
    "gateway killed",
    "pod deleted",
    "node dead",
    "weather",
]
_BLOWS: dict[Blow, int] = {
    "crash": 3,
    "crash on message": 6,
    "stand still": 2,
    "restart": 1,
    "api server down": 2,
    "compaction": 2,
    "gateway killed": 2,
    "pod deleted": 2,
    "node dead": 1,
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
LATE = 60.0
"""Seconds within which every status is computed anew from what its writer knew, and has arrived or not."""


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


@dataclass(frozen=True, slots=True)
class Chaos:
    """All that goes wrong in a run."""

    hits: tuple[Hit, ...] = ()
    weather: Weather = CALM

    @property
    def blindness(self) -> float:
        """Seconds for which an operator may believe what is no longer so, and say it."""
        weathers = [self.weather, *(WEATHERS[hit.whom % len(WEATHERS)] for hit in self.hits if hit.blow == "weather")]
        stood = sum(hit.seconds for hit in self.hits if hit.blow in {"stand still", "api server down"})
        mute = 700.0 if any(weather.mute for weather in weathers) else 0.0
        return LATE + stood + mute + 4 * max(weather.latest + weather.slowest for weather in weathers)


def drawn(source: random.Random) -> Chaos:
    """What goes wrong in a run."""
    hits = [
        Hit(
            at=source.uniform(2, LENGTH + 10),
            blow=source.choices(list(_BLOWS), list(_BLOWS.values()))[0],
            whom=source.randrange(60),
            seconds=source.choice((0.5, 3.0, 8.0, 15.0)),
            count=source.randint(1, 60),
        )
        for _ in range(source.randint(1, 6))
    ]
    return Chaos(tuple(sorted(hits, key=lambda hit: hit.at)), source.choice(WEATHERS))
