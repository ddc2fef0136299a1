"""How long a recovery may take, and why: made of the runtime's own periods."""

from dataclasses import dataclass

from marie_operator.runtime.calls import CONNECTION_RETRIES
from marie_operator.runtime.controller import OUTAGE_BACKOFF
from marie_operator.runtime.reflector import FIRST_BACKOFF, MAX_BACKOFF

SLACK = 60.0
"""Seconds that two shared cores may take for the work itself: connections, lists, two dozen writes, their checks.

Six times ``UNDISTURBED``: how slow a machine is, is measured once, and it may be given more to do later.
"""
UNDISTURBED = 10.0
"""Seconds in which such a machine starts an operator that makes the clusters of a trial; who takes longer has more."""


@dataclass(frozen=True)
class Patience:
    """Seconds after which silence is told; each is a constant of the runtime."""

    connect: float
    read: float
    call: float
    watch: float


HASTY = Patience(connect=5.0, read=5.0, call=10.0, watch=8.0)
"""The patience of ``hasty``: the operator's own, shortened."""


def after_outage(seconds: float) -> float:
    """Seconds until everything is as it would be without an outage, counted from its end.

    Delays double, so that the one that runs at the end is no longer than the outage and one more step; up to twice of
    it by its jitter. A watch has ``MAX_BACKOFF`` as its longest, a reconcile ``OUTAGE_BACKOFF``; the list comes first.
    """
    watch = 2 * min(max(seconds, FIRST_BACKOFF) * 2, MAX_BACKOFF)
    reconcile = min(max(seconds, FIRST_BACKOFF) * 2, OUTAGE_BACKOFF)
    return watch + reconcile + SLACK


def after_silence(patience: Patience) -> float:
    """Seconds until a network that swallows bytes is noticed, and what it swallowed has been made up for.

    A watch is silent, and a call on a connection of before is given up and sent again.
    """
    noticed = max(patience.watch, patience.connect) + (1 + CONNECTION_RETRIES) * max(patience.read, patience.call)
    return noticed + after_outage(patience.read)
