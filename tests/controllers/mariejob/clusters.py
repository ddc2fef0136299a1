"""The cached clusters, as a list."""

from marie_operator.api.mariecluster import MarieCluster
from marie_operator.runtime import Unparsable
from marie_operator.runtime.resource import ObjectKey


class Clusters:
    """Answers as the cache would; what cannot be parsed goes by the name ``c``."""

    def __init__(self, *clusters: MarieCluster | Unparsable) -> None:
        self._clusters = clusters

    def get(self, key: ObjectKey) -> MarieCluster | Unparsable | None:
        for cluster in self._clusters:
            name = "c" if isinstance(cluster, Unparsable) else cluster.metadata.name
            if key == ("docs", name):
                return cluster
        return None

    def list(self, namespace: str = "") -> list[MarieCluster]:
        return [cluster for cluster in self._clusters if isinstance(cluster, MarieCluster) and namespace == "docs"]
