"""What to write so that a cluster's children are as wanted: a pure comparison of two sets of objects."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from marie_operator.builders import drift
from marie_operator.builders.chain import KEPT
from marie_operator.runtime.resource import Object, Resource

Children: TypeAlias = Mapping[tuple[Resource, str], Object]
"""Live objects the cluster controls, by kind and name."""


@dataclass(frozen=True, slots=True)
class Create:
    """A child that is missing."""

    resource: Resource
    desired: Object


@dataclass(frozen=True, slots=True)
class Change:
    """A child that differs from what is wanted, and where."""

    resource: Resource
    desired: Object
    paths: Sequence[str]


@dataclass(frozen=True, slots=True)
class Remove:
    """A child that is no longer wanted."""

    resource: Resource
    live: Object


Step: TypeAlias = Create | Change | Remove


def steps(desired: Iterable[tuple[Resource, Object]], children: Children) -> list[Step]:
    """The writes that make ``children`` what is ``desired``: in the chain's order, removals last.

    A child that is being deleted is left alone: it is created again once it is gone. What holds data is not removed.
    """
    wanted: set[tuple[Resource, str]] = set()
    result: list[Step] = []
    for resource, manifest in desired:
        identity = (resource, manifest["metadata"]["name"])
        wanted.add(identity)
        live = children.get(identity)
        if live is None:
            result.append(Create(resource, manifest))
        elif "deletionTimestamp" not in live["metadata"] and (paths := drift.differs(manifest, live)):
            result.append(Change(resource, manifest, paths))
    result.extend(
        Remove(resource, live)
        for (resource, name), live in children.items()
        if (resource, name) not in wanted and resource not in KEPT and "deletionTimestamp" not in live["metadata"]
    )
    return result
