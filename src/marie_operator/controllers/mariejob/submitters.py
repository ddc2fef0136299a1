"""The submitter Jobs and their pods, from the cache."""

from collections.abc import Iterable, Mapping

from marie_operator.api.mariejob import MarieJob
from marie_operator.builders import association
from marie_operator.builders import submitter as building
from marie_operator.controllers import kinds
from marie_operator.controllers.mariejob import submitter
from marie_operator.controllers.mariejob.submitter import SubmitterJob
from marie_operator.runtime import Cache, Event
from marie_operator.runtime.informer import IndexFunction
from marie_operator.runtime.ownership import controller_of
from marie_operator.runtime.resource import JOBS, PODS, Object, ObjectKey

POD_INDEX = "submitter"
"""Pods by the Job that they belong to, where that submits."""


def _by_submitter(pod: Object) -> Iterable[str]:
    """The values of ``POD_INDEX`` for a pod."""
    return [str(key)] if (key := _job(pod)) is not None else []


POD_INDEXES: Mapping[str, IndexFunction] = {POD_INDEX: _by_submitter}
"""What the cache of pods needs to have."""


def _job(pod: Object) -> ObjectKey | None:
    metadata = pod["metadata"]
    reference = controller_of(pod)
    if metadata["labels"].get(association.NODE_TYPE_LABEL) != association.SUBMITTER or reference is None:
        return None
    return ObjectKey(metadata["namespace"], reference["name"]) if reference["kind"] == JOBS.kind else None


def owner_of_pod(cache: Cache, event: Event) -> Iterable[ObjectKey]:
    """The MarieJob whose submitter a pod is."""
    key = _job(event.object)
    live = cache[JOBS].get(key) if key is not None else None
    reference = controller_of(live) if live is not None else None
    if key is None or reference is None or reference["kind"] != kinds.MARIE_JOBS.kind:
        return ()
    return (ObjectKey(key.namespace, reference["name"]),)


class CachedSubmitters:
    """The Jobs that submit in the operator's place.

    Args:
        cache: Keeps Jobs, and pods with ``POD_INDEX``.
        image: Of those that name none of their own; empty when it is not known.
    """

    def __init__(self, cache: Cache, *, image: str) -> None:
        self._jobs = cache[JOBS]
        self._pods = cache[PODS]
        self.image = image

    def of(self, job: MarieJob) -> SubmitterJob:
        """The one of the present attempt at a job's document."""
        key = ObjectKey(job.metadata.namespace, building.name(job, submitter.attempt(job)))
        return submitter.of(job, self._jobs.get(key), self._pods.indexed(POD_INDEX, str(key)))


def add_informer(cache: Cache) -> None:
    """Have the cache keep the Jobs that belong to MarieJobs."""
    cache.add(JOBS, label_selector=association.JOB_LABEL)
