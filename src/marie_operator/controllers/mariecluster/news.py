"""What a reconcile has to tell of a cluster: one event for all it did, since each event is a write of its own."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from marie_operator.api.conditions import ClusterReason, EventReason
from marie_operator.api.meta import Condition
from marie_operator.runtime.children import Done

ENOUGH = 700
"""Characters after which a list of children is cut short: an event holds 1,024."""

_ALARMING = frozenset(
    {
        ClusterReason.SERVER_FAILING,
        ClusterReason.EXECUTORS_FAILING,
        ClusterReason.INVALID_SPEC,
        ClusterReason.NAME_TAKEN,
        ClusterReason.CHILD_REFUSED,
        ClusterReason.FIELD_CONFLICT,
        ClusterReason.PERMISSION_DENIED,
        ClusterReason.SERVICE_FAILING,
        ClusterReason.SERVICE_SHARED,
        ClusterReason.SERVICE_UNREACHABLE,
        ClusterReason.SECRET_MISSING,
        ClusterReason.SECRET_KEY_MISSING,
        ClusterReason.SECRET_UNUSABLE,
    }
)


class Told(NamedTuple):
    """An event."""

    type: Literal["Normal", "Warning"]
    reason: str
    note: str


@dataclass
class News:
    """Gathered while a cluster is reconciled, and told at its end, however that comes.

    Attributes:
        done: What was written, in order.
        turn: The Ready condition, where it has turned.
        advice: Warnings on a spec that is new.
        more: Further events.
    """

    done: list[Done] = field(default_factory=list)
    turn: Condition | None = None
    advice: Sequence[tuple[EventReason, str]] = ()
    more: list[Told] = field(default_factory=list)

    def events(self) -> list[Told]:
        """At most one event for what was done and how the cluster then is, unless that is good news or an alarm."""
        told, turn = [], self.turn
        alarm = turn is not None and turn.reason in _ALARMING
        if self.done:
            verbs = {each.verb for each in self.done}
            reason = verbs.pop() if len(verbs) == 1 else EventReason.CHANGED
            note = _sentences(self.done)
            if turn is not None and not alarm and turn.status != "True":
                note, turn = f"{note} {turn.message}", None
            told.append(Told("Normal", reason, note))
        if turn is not None:
            told.append(Told("Warning" if alarm else "Normal", turn.reason, turn.message))
        return [*told, *(Told("Warning", reason, advice) for reason, advice in self.advice), *self.more]


def _sentences(done: Sequence[Done]) -> str:
    """What was done, by its kind: "Created Service a, Deployment b. Deleted Ingress c."."""
    grouped: dict[str, list[str]] = {}
    for each in done:
        grouped.setdefault(each.verb, []).append(each.what)
    return " ".join(f"{verb} {_listed(what, ENOUGH // len(grouped))}." for verb, what in grouped.items())


def _listed(items: Sequence[str], enough: int) -> str:
    shown, length = 1, len(items[0])
    while shown < len(items) and (length := length + 2 + len(items[shown])) <= enough:
        shown += 1
    more = f" and {len(items) - shown} more" if shown < len(items) else ""
    return ", ".join(items[:shown]) + more
