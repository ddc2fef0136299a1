"""Ends a process that does not end itself: no code of its own has to run for that."""

import faulthandler
import sys
from typing import Protocol


class Watchdog(Protocol):
    """Ends the process, unless it is heard from in time."""

    def arm(self, seconds: float) -> None:
        """End the process in so many seconds, and no longer when it was told before."""
        ...

    def disarm(self) -> None:
        """Let the process be."""
        ...


class ProcessWatchdog:
    """Ends this process with exit code 1, and tells on standard error where each of its threads stood.

    A thread of the interpreter's does that, written in C, which needs neither the event loop nor the interpreter's
    lock: nothing that Python code does, or calls, can hold it up. A process has one.
    """

    def arm(self, seconds: float) -> None:
        """End the process in so many seconds, and no longer when it was told before."""
        faulthandler.dump_traceback_later(max(seconds, 0.001), file=sys.stderr, exit=True)

    def disarm(self) -> None:
        """Let the process be."""
        faulthandler.cancel_dump_traceback_later()
