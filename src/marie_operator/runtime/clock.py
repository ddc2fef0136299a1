"""Time as a collaborator, so that a test or a simulation can supply its own."""

import asyncio
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
