"""Which clusters have been found to be as they are meant, so that none is built and compared again without a reason."""

from collections.abc import Hashable, Mapping
from typing import Any, TypeAlias

from marie_operator.api.mariecluster import MarieCluster
from marie_operator.controllers import kinds
from marie_operator.runtime.children import LiveChildren
from marie_operator.runtime.resource import Object, ObjectKey

_Sight: TypeAlias = tuple[Any, Mapping[Hashable, Any]]


class Settled:
    """Remembers of each cluster what it was when its children were as wanted.

    Nearly every event is about status, which neither decides what is wanted nor differs from it: the generation, the
    labels and the annotations of a cluster and of its children say whether anything else can have changed.
    """

    def __init__(self) -> None:
        self._seen: dict[ObjectKey, _Sight] = {}

    def holds(self, cluster: MarieCluster, children: LiveChildren, replicas: Mapping[str, int]) -> bool:
        """Whether cluster, children and numbers of pods are what they were when they were last found to be settled."""
        known = self._seen.get(kinds.key_of(cluster))
        return known is not None and known == _sight(cluster, children, replicas)

    def note(self, cluster: MarieCluster, children: LiveChildren, replicas: Mapping[str, int]) -> None:
        """These children are as this cluster wants them, with these numbers of pods on its way to what it wants."""
        self._seen[kinds.key_of(cluster)] = _sight(cluster, children, replicas)

    def forget(self, cluster: ObjectKey) -> None:
        """The cluster is gone."""
        self._seen.pop(cluster, None)


def _sight(cluster: MarieCluster, children: LiveChildren, replicas: Mapping[str, int]) -> _Sight:
    meta = cluster.metadata
    return (meta.uid, meta.generation, meta.labels, meta.annotations, dict(replicas)), {
        identity: _of_child(live) for identity, live in children.items()
    }


def _of_child(live: Object) -> Any:
    meta = live["metadata"]
    return (
        meta["uid"],
        # Kinds without a status have no generation; their version moves when they do.
        meta.get("generation") or meta["resourceVersion"],
        "deletionTimestamp" in meta,
        meta.get("labels"),
        meta.get("annotations"),
        meta.get("ownerReferences"),
    )
