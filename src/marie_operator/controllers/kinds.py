"""The operator's own kinds, as the API server serves them."""

from marie_operator.api.mariecluster import MarieCluster
from marie_operator.api.mariejob import MarieJob
from marie_operator.api.meta import GROUP, VERSION
from marie_operator.runtime.events import ObjectReference
from marie_operator.runtime.resource import ObjectKey, Resource

MARIE_CLUSTERS = Resource(GROUP, VERSION, "MarieCluster", "marieclusters")
MARIE_JOBS = Resource(GROUP, VERSION, "MarieJob", "mariejobs")


def key_of(found: MarieCluster | MarieJob) -> ObjectKey:
    """The key of an object of one of them."""
    return ObjectKey(found.metadata.namespace, found.metadata.name)


def reference_to(found: MarieCluster | MarieJob) -> ObjectReference:
    """What an event says that it is about."""
    meta = found.metadata
    return ObjectReference(found.api_version, found.kind, meta.namespace, meta.name, meta.uid)
