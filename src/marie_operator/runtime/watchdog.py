"""Ends a process that does not end itself: no code of its own has to run for that."""

import ctypes
import os
import signal
import sys
import threading
import time
import traceback
from typing import Protocol

import structlog

LAST_RESORT = 1.0
"""Seconds after which the kernel ends a process that could not tell where it stands."""

log = structlog.get_logger(__name__)


class Watchdog(Protocol):
    """Ends the process, unless it is heard from in time."""

    def arm(self, seconds: float) -> None:
        """End the process in so many seconds, and no longer when it was told before."""
        ...

    def disarm(self) -> None:
        """Let the process be."""
        ...


class ProcessWatchdog:
    """Ends this process with exit code 14, and logs where the thread stood that was last heard from.

    A thread of its own tells that, and ends the process. It needs the interpreter's lock, and somebody who reads the
    log. Where it lacks either, a timer of the kernel's ends the process ``LAST_RESORT`` seconds later by SIGALRM, which
    a C function answers: nothing that Python code does, or calls, can hold that up, and in a process that was stopped
    it comes first when the process goes on. A process has one, and uses neither SIGALRM nor the interval timer in real
    time for anything else.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._due: float | None = None
        self._heard_from = 0
        self._thread: threading.Thread | None = None

    def arm(self, seconds: float) -> None:
        """End the process in so many seconds, and no longer when it was told before."""
        if self._thread is None:
            _end_on_alarm()
            self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
            self._thread.start()
        with self._changed:
            self._due, self._heard_from = time.monotonic() + seconds, threading.get_ident()
            signal.setitimer(signal.ITIMER_REAL, max(seconds, 0.0) + LAST_RESORT)
            self._changed.notify()

    def disarm(self) -> None:
        """Let the process be."""
        if self._thread is None:
            return
        with self._changed:
            self._due = None
            signal.setitimer(signal.ITIMER_REAL, 0)

    def _watch(self) -> None:
        # Who is heard from while the end is told waits for it.
        with self._changed:
            while (left := self._left()) is None or left > 0:
                self._changed.wait(left)
            stack = traceback.format_stack(sys._current_frames().get(self._heard_from))
            log.critical("the process stands still and is ended by its watchdog", stack="".join(stack))
            os.kill(os.getpid(), signal.SIGALRM)

    def _left(self) -> float | None:
        return None if self._due is None else self._due - time.monotonic()


def _end_on_alarm() -> None:
    """Have SIGALRM end the process.

    Its default ends none that is the first of a container. ``_exit`` does, and takes the signal's number for its code.
    """
    c = ctypes.CDLL(None)
    c.signal.restype = ctypes.c_void_p
    c.signal(int(signal.SIGALRM), c._exit)
