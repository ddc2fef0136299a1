"""A rule about objects, written once: as CEL for the CRD, and as Python for what was stored before it."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

from marie_operator.api.mariecluster import MarieCluster
from marie_operator.api.mariejob import MarieJob

Kind = TypeVar("Kind", MarieCluster, MarieJob)


@dataclass(frozen=True, slots=True)
class Rule(Generic[Kind]):
    """One rule.

    Attributes:
        at: the schema the CEL rule is attached to: property names with dots, ``[]`` for the items of a list;
            empty for the root.
        cel: true when the rule holds; only what CEL of Kubernetes 1.25 has.
        message: a sentence that says what to do.
        broken: the fields of an object that break the rule.
    """

    at: str
    cel: str
    message: str
    broken: Callable[[Kind], Iterable[str]]


class Transition(NamedTuple):
    """A rule about a change, which the API server alone can judge: nobody else sees what was before.

    Attributes:
        at: the schema the rule is attached to, as for ``Rule``.
        cel: true when the change is allowed; ``oldSelf`` is what was before.
        message: a sentence that says what to do.
    """

    at: str
    cel: str
    message: str


TRANSITIONS = (
    Transition(
        at="spec",
        cel="has(self.managedBy) == has(oldSelf.managedBy) && "
        "(!has(self.managedBy) || self.managedBy == oldSelf.managedBy)",
        message="managedBy cannot be changed: delete the object and make it anew",
    ),
)
"""The rules about changes of either kind."""


def field_if(breaks: bool, field: str) -> Iterable[str]:
    """The field that breaks a rule, if it does."""
    return (field,) if breaks else ()


def no_container(template: Mapping[str, Any]) -> bool:
    """Whether a pod template lacks what every pod needs."""
    return not template.get("spec", {}).get("containers")
