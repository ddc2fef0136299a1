"""Time as a collaborator, so that a test or a simulation can supply its own."""

import asyncio
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What the runtime asks of time."""

    def monotonic(self) -> float:
        """Seconds since an arbitrary start; never goes backwards. For durations and deadlines within the process."""
        ...

    def now(self) -> datetime:
        """The wall clock, in UTC. For timestamps other programs read; never for durations within the process."""
        ...


class LoopClock:
    """The running event loop's time, so that virtual-time loops drive it, and the system's wall clock."""

    def monotonic(self) -> float:
        """Seconds on the event loop's clock."""
        return asyncio.get_running_loop().time()

    def now(self) -> datetime:
        """The system's wall clock, in UTC."""
        return datetime.now(UTC)


class SystemClock:
    """The machine's clocks, for any thread.

    Unlike an event loop's, its monotonic time goes on while the machine is suspended, where the system can tell:
    a lease lapses for others meanwhile.
    """

    _CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)

    def monotonic(self) -> float:
        """Seconds since the machine was started."""
        return time.clock_gettime(self._CLOCK)

    def now(self) -> datetime:
        """The system's wall clock, in UTC."""
        return datetime.now(UTC)
