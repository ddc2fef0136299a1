"""Sizes of executor groups that others have set, such as ``kubectl scale`` and autoscalers: left to them, and told."""

from marie_operator.api.conditions import ClusterReason
from marie_operator.builders import association, deployment
from marie_operator.controllers.mariecluster.refusals import Refusal
from marie_operator.runtime import ApplyConflict
from marie_operator.runtime.children import Change, Step
from marie_operator.runtime.resource import DEPLOYMENTS, Object

_FIELD = ".spec.replicas"


def is_others(live: Object) -> bool:
    """Whether a group's Deployment has another size than the operator has asked for."""
    return deployment.asked(live) not in {None, int(live["spec"].get("replicas", 1))}


def told(group: str, live: Object, wanted: int) -> Refusal:
    """What is told of a size that is another's.

    Args:
        group: The group's name.
        live: Its Deployment.
        wanted: How many pods the spec asks for.
    """
    name, size = live["metadata"]["name"], live["spec"].get("replicas", 1)
    return Refusal(
        ClusterReason.FIELD_CONFLICT,
        f"Group {group} has the size {size} and not {wanted}, because somebody else has set spec.replicas of "
        f"{DEPLOYMENTS.kind} {name}: set replicas of the group to {size}, or scale {name} to {wanted} and let nothing "
        "else scale it.",
    )


def alone_conflicts(step: Step, error: Exception) -> bool:
    """Whether a group's change is refused for its size alone: he who set it meant the size that was asked for then."""
    if not (isinstance(error, ApplyConflict) and isinstance(step, Change) and step.resource == DEPLOYMENTS):
        return False
    grouped = association.GROUP_LABEL in step.desired["metadata"]["labels"]
    return grouped and {conflict.field for conflict in error.conflicts} == {_FIELD}
