"""The pause of Marie's scheduler around a change that waits, where it has one (Marie 5): no I/O.

A paused scheduler gives nothing new away, and executors end what they have. The pause is in the memory of the gateway's
process alone, and ends with it. It is written into the status before it is asked for, so that whoever looks after the
cluster next ends it; a pause that is not written there is somebody else's, and is left alone.
"""

from dataclasses import dataclass

from marie_operator.api.conditions import ClusterCondition, ClusterReason
from marie_operator.api.mariecluster import MarieClusterStatus
from marie_operator.controllers.conditions import condition
from marie_operator.marie.gateways import GatewayView


@dataclass(frozen=True, slots=True)
class Pause:
    """What is told of the operator's own pause.

    Attributes:
        reason: Why the scheduler is paused; None where the operator has nothing to do with it.
        message: The same as a sentence.
    """

    reason: ClusterReason | None = None
    message: str = ""


_WAITS = Pause(
    ClusterReason.PAUSED_FOR_CHANGE,
    "Marie's scheduler begins nothing new, so that the change that waits comes about; executors end what they have.",
)
_ENDS = Pause(
    ClusterReason.PAUSE_ENDS,
    "The operator tells Marie's scheduler to go on, and has not seen yet that it does.",
)


def order(status: MarieClusterStatus, wanted: bool | None) -> bool | None:
    """What the gateway is to be told: to pause, to go on, or, with None, nothing.

    Args:
        status: As the API server has it.
        wanted: Whether the scheduler is to be paused; None for as it is.
    """
    if condition(status, ClusterCondition.SCHEDULER_PAUSED) is None:
        return None
    return wanted is not False


def told(status: MarieClusterStatus, wanted: bool | None, gateway: GatewayView | None, *, server: bool) -> Pause:
    """What the status is to say from now on.

    Args:
        status: As the API server has it.
        wanted: Whether the scheduler is to be paused; None for as it is.
        gateway: What has been known since it was told ``order``; None before it was asked.
        server: Whether there is a pod whose gateway may be paused, be it ready or not.
    """
    if not server:
        return Pause()
    if condition(status, ClusterCondition.SCHEDULER_PAUSED) is not None:
        ended = wanted is False and gateway is not None and gateway.reachable and gateway.paused is False
        return Pause() if ended else (_ENDS if wanted is False else _WAITS)
    which = None if gateway is None else gateway.dialect
    able = which is not None and which.pauses and gateway is not None and gateway.running and gateway.paused is False
    return _WAITS if wanted and able else Pause()
