"""Conditions, as the Kubernetes API conventions define them: pure functions on plain lists."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from marie_operator.runtime.resource import Object

LONGEST_MESSAGE = 32_768
"""Characters that the API server takes in a condition's message (metav1.Condition)."""


def with_condition(
    conditions: Sequence[Mapping[str, Any]],
    *,
    type: str,  # noqa: A002 - the field's own name
    status: Literal["True", "False", "Unknown"],
    reason: str,
    message: str,
    generation: int,
    now: datetime,
) -> list[dict[str, Any]]:
    """``conditions`` with one of them set; its transition time moves only when its status does.

    Args:
        conditions: As they stand in ``status.conditions``.
        type: Which one.
        status: True, False or Unknown.
        reason: One CamelCase word.
        message: One sentence; of one beyond 32,768 characters the end is cut.
        generation: The ``metadata.generation`` that was looked at.
        now: The time of the transition, in UTC.
    """
    before = next((item for item in conditions if item["type"] == type), None)
    stands = before is not None and before["status"] == status
    moved = before["lastTransitionTime"] if before is not None and stands else _timestamp(now)
    new = {
        "type": str(type),
        "status": status,
        "reason": str(reason),
        "message": message if len(message) <= LONGEST_MESSAGE else f"{message[: LONGEST_MESSAGE - 1]}…",
        "observedGeneration": generation,
        "lastTransitionTime": moved,
    }
    if before is None:
        return [*map(dict, conditions), new]
    return [new if item["type"] == type else dict(item) for item in conditions]


def conditions_with(
    live: Object,
    type: str,  # noqa: A002 - the field's own name
    holds: bool | None,
    *,
    reason: str,
    message: str,
    now: datetime,
) -> list[dict[str, Any]]:
    """The conditions of an object with one of them set, for its present generation.

    Args:
        live: The object.
        type: Which condition.
        holds: Whether it is true; None for Unknown.
        reason: One CamelCase word.
        message: One sentence.
        now: The time of the transition, in UTC.
    """
    status: Literal["True", "False", "Unknown"] = "Unknown" if holds is None else "True" if holds else "False"
    before = (live.get("status") or {}).get("conditions") or []
    generation = live["metadata"].get("generation", 0)
    return with_condition(
        before, type=type, status=status, reason=reason, message=message, generation=generation, now=now
    )


def is_true(conditions: Sequence[Mapping[str, Any]], type: str) -> bool:  # noqa: A002 - the field's own name
    """Whether a condition is there and True."""
    return any(item["type"] == type and item["status"] == "True" for item in conditions)


def _timestamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
