"""The operator's own kinds, as the API server serves them."""

from marie_operator.api.meta import GROUP, VERSION
from marie_operator.runtime.resource import Resource

MARIE_CLUSTERS = Resource(GROUP, VERSION, "MarieCluster", "marieclusters")
MARIE_JOBS = Resource(GROUP, VERSION, "MarieJob", "mariejobs")
