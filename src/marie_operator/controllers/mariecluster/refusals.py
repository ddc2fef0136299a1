"""What the API server does not take, or what belongs to somebody else, in words."""

import re
from typing import NamedTuple, TypeAlias

from marie_operator.api.conditions import ClusterReason
from marie_operator.runtime import ApplyConflict, BadRequest, Forbidden, Invalid, WebhookFailed
from marie_operator.runtime.children import NameTaken, Step, identity

DENIED = Invalid, BadRequest, Forbidden, WebhookFailed
"""How the API server says no to what is written, whoever has it."""
REFUSED = *DENIED, ApplyConflict, NameTaken
"""What another try at once does not overcome: it takes somebody's change, or a webhook that answers again."""
Refused: TypeAlias = Invalid | BadRequest | Forbidden | WebhookFailed | ApplyConflict | NameTaken

_NO_RIGHT = re.compile(r"""User "[^"]*" cannot |you can't set finalizers on""")
"""How the API server says that who asks lacks a right; quotas and webhooks answer with the same code."""


class Refusal(NamedTuple):
    """Why a child is not what the cluster wants."""

    reason: ClusterReason
    message: str


def of(step: Step, error: Refused) -> Refusal:
    """What a step that was refused is told as."""
    return worded(f"{step.resource.kind} {name(step)}", error)


def worded(child: str, error: Refused) -> Refusal:
    """What is told of a child that was refused.

    Args:
        child: Its kind and name.
        error: How it was refused.
    """
    match error:
        case NameTaken(ends=True):
            return Refusal(
                ClusterReason.NAME_TAKEN, f"{child} is of another of the same name, and about to go: it is waited for."
            )
        case NameTaken():
            return Refusal(
                ClusterReason.NAME_TAKEN,
                f"{child} exists and does not belong to this cluster;"
                " delete or rename it, or give the cluster another name.",
            )
        case ApplyConflict(conflicts=conflicts):
            fields = "; ".join(f"{conflict.field} by {conflict.manager}" for conflict in conflicts)
            return Refusal(
                ClusterReason.FIELD_CONFLICT,
                f"{child} is not changed, because others own fields that the spec sets: {fields}."
                " Remove them from one of the two.",
            )
        case Forbidden() if _NO_RIGHT.search(error.message):
            return Refusal(ClusterReason.PERMISSION_DENIED, f"{child}: {error.message}.")
        case _:
            # What follows the first line is a difference of structures, for logs.
            why = error.message.partition("\n")[0].rstrip(" .")
            return Refusal(ClusterReason.CHILD_REFUSED, f"The API server refuses {child}: {why}.")


def name(step: Step) -> str:
    """The name of a step's child."""
    return identity(step)[1]
