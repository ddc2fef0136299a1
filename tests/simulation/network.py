"""What lies between the processes of a simulation: how long messages take, and what becomes of them."""

import asyncio
import contextlib
import contextvars
import random
from collections.abc import Coroutine
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

from tests.simulation.troubles import Troubles

SILENCE = 30.0
"""Seconds after which a client gives a request up that nobody answers."""
RETRY = 3.0
"""Seconds within which one has sent a request again that failed, to a server that asks it to wait, or without."""


class Fate(Enum):
    """What becomes of a request."""

    ANSWERED = auto()
    REFUSED = auto()
    """Nobody listens; it was not sent."""
    LOST = auto()
    """It does not arrive, and the connection breaks."""
    UNANSWERED = auto()
    """It is carried out, and the connection breaks before the reply."""
    SILENT = auto()
    """It is carried out or not, and nothing comes."""
    FAILED = auto()
    """Somebody answers with an error, and it is not carried out."""


@dataclass(frozen=True, slots=True)
class Weather:
    """How bad it is: each a probability for one message, unless another unit is named.

    Attributes:
        fates: Of requests; what is missing to 1 is answered.
        slow: That a message takes up to ``slowest``.
        slowest: Seconds.
        cut: That a stream breaks off, after up to ``longest`` seconds.
        mute: That a stream falls silent, likewise, and nobody is told.
        lag: That a stream's events are late, each by up to ``latest`` seconds.
        longest: Seconds.
        latest: Seconds.
    """

    fates: dict[Fate, float] = field(default_factory=dict)
    slow: float = 0.0
    slowest: float = 0.0
    cut: float = 0.0
    mute: float = 0.0
    lag: float = 0.0
    longest: float = 60.0
    latest: float = 0.0


CALM = Weather()


@dataclass(slots=True)
class Stream:
    """How one stream behaves.

    Attributes:
        lag: Seconds that an event may be late.
        cut: When it breaks off.
        mute: When it falls silent.
    """

    lag: float
    cut: float | None
    mute: float | None


class Network:
    """Carries messages.

    Args:
        source: Decides.
        usual: Seconds that a message takes, at least and at most; without one, none.

    Attributes:
        weather: May be changed.
        down: Names of servers that nobody reaches.
        behind: The revision at which the API server's cache stands still; None while it keeps up.
        troubles: When anything was not as usual between a process and the API server.
    """

    def __init__(self, source: random.Random, usual: tuple[float, float] | None = None) -> None:
        self.source = source
        self.weather = CALM
        self.down: set[str] = set()
        self.behind: int | None = None
        self.troubles = Troubles()
        self._usual = usual
        # What is under way belongs to no process: it arrives although its sender has been killed.
        self._context = contextvars.copy_context()
        self._healed = asyncio.Event()
        self._caught_up = asyncio.Event()
        self._under_way: set[asyncio.Task[None]] = set()

    @property
    def instant(self) -> bool:
        """Whether messages take no time and nothing can become of them."""
        return self._usual is None and self.weather is CALM

    def fate(self, server: str) -> Fate:
        """What becomes of the next request to a server."""
        if server in self.down:
            return Fate.REFUSED
        if not self.weather.fates:
            return Fate.ANSWERED
        drawn = self.source.random()
        for fate, probability in self.weather.fates.items():
            drawn -= probability
            if drawn < 0:
                return fate
        return Fate.ANSWERED

    def delay(self) -> float:
        """Seconds that the next message takes."""
        if self.weather.slow and self.source.random() < self.weather.slow:
            delay = self.source.uniform(0, self.weather.slowest)
            self.troubles.last(delay)
            return delay
        return self.source.uniform(*self._usual) if self._usual else 0.0

    def stream(self) -> Stream:
        """How the next stream behaves."""
        weather, now = self.weather, asyncio.get_running_loop().time()
        if weather is CALM:
            return Stream(0.0, None, None)

        def moment(probability: float) -> float | None:
            return now + self.source.uniform(0, weather.longest) if self.source.random() < probability else None

        lag = self.source.uniform(0, weather.latest) if self.source.random() < weather.lag else 0.0
        return Stream(lag, moment(weather.cut), moment(weather.mute))

    def heal(self) -> None:
        """Have good weather, and let connections break on which nothing comes any more."""
        self.weather = CALM
        self.down.clear()
        self.catch_up()
        self._healed.set()

    def fall_behind(self, revision: int) -> None:
        """Have the API server know nothing from its cache that is newer."""
        self.behind = revision
        self.troubles.begin("apiserver", "cache")
        self._caught_up.clear()

    def catch_up(self) -> None:
        """Have the API server's cache know everything again."""
        self.behind = None
        self.troubles.end("apiserver", "cache")
        self._caught_up.set()

    async def caught_up(self, seconds: float | None = None) -> bool:
        """Wait until the API server's cache keeps up; tells whether it does, after so many seconds at most."""
        if self.behind is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._caught_up.wait()
        return self.behind is None

    async def mute(self, seconds: float) -> None:
        """Nothing comes for so long, unless the network is healed."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._healed.wait()

    def send(self, delivery: Coroutine[Any, Any, None]) -> None:
        """Have something delivered, whatever becomes of who sent it."""
        task = asyncio.get_running_loop().create_task(delivery, context=self._context)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
