"""The documents of another job that failed, taken as a job's own: where they are, and what keeps them from it."""

from bisect import bisect_right
from dataclasses import replace
from typing import Protocol

from marie_operator.api.conditions import JobReason
from marie_operator.api.mariejob import JobDocuments, MarieJob
from marie_operator.controllers.mariejob import failures, staging
from marie_operator.controllers.mariejob.conditions import is_finished
from marie_operator.controllers.mariejob.credentials import Scheme
from marie_operator.controllers.mariejob.failures import ApiClient, RecordGoneError
from marie_operator.controllers.mariejob.objects import Objects
from marie_operator.controllers.mariejob.observation import Obstacle
from marie_operator.controllers.mariejob.source import FailedOf, Inline, scheme_of
from marie_operator.controllers.mariejob.store import Lister, ListingError, ListRequest, Page
from marie_operator.runtime import Forbidden, Unparsable
from marie_operator.runtime.errors import ApiError, Unreachable
from marie_operator.runtime.resource import ObjectKey


class Jobs(Protocol):
    """The cached jobs."""

    def get(self, key: ObjectKey) -> MarieJob | Unparsable | None:
        """A job by its key."""
        ...


def find(source: FailedOf, jobs: Jobs, cursor: str) -> FailedOf | Obstacle:
    """Where the failures of the named job are, or what the job that wants them waits for.

    Args:
        source: names the job.
        jobs: the cached jobs.
        cursor: how far its failures were taken; from there on it must be the same job.
    """
    name = source.job
    found = jobs.get(ObjectKey(source.namespace, name))
    if isinstance(found, Unparsable):
        return Obstacle(
            JobReason.FAILURES_UNKNOWN,
            f"MarieJob {name} of spec.input.failedOf cannot be read: {found.error}. Correct it; this job then begins.",
        )
    taken = cursor.partition("/")[0]
    if taken and (found is None or found.metadata.uid != taken):
        what = "is gone" if found is None else "was made anew"
        return Obstacle(
            JobReason.FAILURES_UNKNOWN,
            f"MarieJob {name} {what}, and with it the record of its failures, of which some are not taken yet. "
            "Delete this job, and make one that names the documents by spec.input.uri.",
        )
    if found is None:
        return Obstacle(
            JobReason.FAILURES_UNKNOWN,
            f"There is no MarieJob {name} in namespace {source.namespace}, whose failed documents spec.input.failedOf "
            "asks for. Correct the name, or create it; this job begins when it has ended.",
        )
    if not is_finished(found.status):
        return Obstacle(
            JobReason.FAILURES_UNKNOWN,
            f"MarieJob {name} of spec.input.failedOf has not ended: this job begins when its failures are all known.",
        )
    documents = found.status.documents or JobDocuments()
    if documents.failed > len(documents.failures) and not documents.failure_parts:
        return Obstacle(
            JobReason.FAILURES_UNKNOWN,
            f"The failures of MarieJob {name} were not recorded, as its events say. "
            "Delete this job, and make one that names the documents by spec.input.uri.",
        )
    return replace(source, uid=found.metadata.uid, parts=documents.failure_parts, shown=_shown(documents))


def scheme(job: MarieJob, jobs: Jobs) -> Scheme:
    """Which kind of store a job's documents are in; for failures of another job, the one that that took them from.

    Args:
        job: the job.
        jobs: the cached jobs.
    """
    asked: set[str] = set()
    while True:
        spec, documents = job.spec.input, job.status.documents or JobDocuments()
        if documents.in_flight or spec.uri or not spec.failed_of or spec.failed_of in asked:
            return scheme_of(documents.in_flight[0].uri if documents.in_flight else spec.uri)
        asked.add(spec.failed_of)
        found = jobs.get(ObjectKey(job.metadata.namespace, spec.failed_of))
        if not isinstance(found, MarieJob):
            return "s3"
        job = found


def _shown(documents: JobDocuments) -> tuple[str, ...]:
    """The failed documents of a job that needs no record: one of a single document."""
    return () if documents.failure_parts else tuple(failure.uri for failure in documents.failures)


class Origins:
    """Reads pages from where a job's documents are: an object store, another job's record of failures, or an object.

    Args:
        store: reads pages of object stores.
        client: reads ConfigMaps and Secrets.
        objects: puts documents where Marie reads from.
    """

    def __init__(self, store: Lister, client: ApiClient, objects: Objects) -> None:
        self._store = store
        self._client = client
        self._objects = objects

    async def page(self, request: ListRequest) -> Page:
        """Read one page; of a record, one of its parts.

        Raises:
            ListingError: it cannot be read.
        """
        source = request.source
        if isinstance(source, Inline):
            keys = await staging.stage(self._objects, self._client, source, request.after)
            return Page(request, keys, keys[-1] if keys else request.after, last=True)
        if not isinstance(source, FailedOf):
            return await self._store.page(request)
        part = source.part_after(request.after)
        keys = source.keys(part, await self._recorded(source, part))
        ahead = keys[bisect_right(keys, request.after) :]
        if not ahead and part < source.parts:
            part += 1
            ahead = source.keys(part, await self._recorded(source, part))
        return Page(request, ahead, ahead[-1] if ahead else request.after, last=part >= source.parts)

    async def _recorded(self, source: FailedOf, part: int) -> tuple[str, ...]:
        if not source.parts:
            return source.shown
        try:
            uris = await failures.recorded(self._client, source.namespace, source.job, source.uid, part)
        except RecordGoneError as error:
            raise ListingError(str(error)) from error
        except Forbidden as error:
            raise ListingError(
                f"The operator may not get ConfigMap {failures.name(source.job, part)}: {error.message.rstrip('.')}. "
                "Apply config/rbac of the operator's version again."
            ) from error
        except (ApiError, Unreachable) as error:
            raise ListingError(
                f"ConfigMap {failures.name(source.job, part)} cannot be read: {error}. The operator tries again.",
                answered=False,
            ) from error
        return tuple(uris)
