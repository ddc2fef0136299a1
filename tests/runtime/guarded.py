"""A process that a watchdog guards, for tests that have it stand still in many ways.

    python -m tests.runtime.guarded SECONDS WAY

It prints a line before it stands still, and one if it goes on.
"""

import ctypes
import os
import sys
import time
from collections.abc import Callable, Mapping

from marie_operator.runtime import ProcessWatchdog, configure_logs
from marie_operator.runtime.watchdog import LAST_RESORT


def loop() -> None:
    """Run code for ever."""
    while True:
        pass


def sleep() -> None:
    """Wait in a call that lets other threads run."""
    time.sleep(3600)


def hold() -> None:
    """Wait in a call that keeps the interpreter's lock."""
    ctypes.PyDLL(None).sleep(3600)


def complain() -> None:
    """Write to a standard error that nobody reads."""
    while True:
        os.write(2, b"." * 4096)


WAYS: Mapping[str, Callable[[], None]] = {each.__name__: each for each in (loop, sleep, hold, complain)}


def main(seconds: float, way: str) -> None:
    """Be guarded, and stand still in this way; or be heard from again, or be let be, and go on."""
    watchdog = ProcessWatchdog()
    watchdog.arm(seconds)
    match way:
        case "heard_from":
            watchdog.arm(3600)
        case "let_be":
            watchdog.disarm()
        case _:
            print("stands still", flush=True)
            WAYS[way]()
    time.sleep(seconds + LAST_RESORT + 0.5)
    print("goes on", flush=True)


if __name__ == "__main__":
    configure_logs()
    main(float(sys.argv[1]), sys.argv[2])
