"""Writes what a job owns, and remembers what was refused."""

from dataclasses import dataclass

from marie_operator.api.conditions import EventReason, JobReason
from marie_operator.api.mariejob import MarieJob
from marie_operator.builders import association
from marie_operator.controllers import kinds
from marie_operator.controllers.mariejob.decision import Occurrence
from marie_operator.controllers.mariejob.observation import Obstacle
from marie_operator.controllers.mariejob.own_cluster import Keep, OwnCluster, Remove
from marie_operator.controllers.mariejob.submitter import Dismiss, Launch
from marie_operator.runtime import ApplyConflict, BadRequest, Clock, Conflict, Forbidden, Invalid, NotFound, Writer
from marie_operator.runtime.children import Change, Create, NameTaken, carry_out
from marie_operator.runtime.resource import JOBS, Object, ObjectKey, Resource

AGAIN = 15.0
"""Seconds after which what was refused is tried again, unless it has changed before."""


@dataclass(frozen=True, slots=True)
class _Refusal:
    obstacle: Obstacle
    digest: str
    at: float


class Owned:
    """What jobs own.

    Args:
        writer: Writes; what it writes is in the cache at once.
        clock: Says when what was refused is tried again.
    """

    def __init__(self, writer: Writer, *, clock: Clock) -> None:
        self._writer = writer
        self._clock = clock
        self._refusals: dict[tuple[ObjectKey, Resource], _Refusal] = {}

    def refusal(self, job: ObjectKey, resource: Resource) -> Obstacle | None:
        """Why what a job is to own of a kind was not written."""
        found = self._refusals.get((job, resource))
        return None if found is None else found.obstacle

    def forget(self, job: ObjectKey) -> None:
        """A job is over, or gone."""
        for resource in (kinds.MARIE_CLUSTERS, JOBS):
            self._refusals.pop((job, resource), None)

    async def keep(self, job: MarieJob, step: Keep, own: OwnCluster) -> list[Occurrence]:
        """Have a job's own cluster be there, as its manifest says; returns what to tell.

        What somebody else has changed of it since it was last written stays.

        Raises:
            ApiError: the API server refuses, for a reason that is not told of the job.
            Unreachable: it does not answer.
        """
        if own.deleting or own.digest == association.spec_hash(step.manifest):
            self._refusals.pop((kinds.key_of(job), kinds.MARIE_CLUSTERS), None)
            return []
        return await self._write(job, kinds.MARIE_CLUSTERS, step.manifest, exists=bool(own.uid))

    async def remove(self, job: MarieJob, step: Remove, own: OwnCluster) -> list[Occurrence]:
        """Have a job's own cluster go, and stay visible until all that it had is gone; returns what to tell.

        Raises:
            ApiError: the API server refuses, for a reason that is not told of the job.
            Unreachable: it does not answer.
        """
        try:
            await self._writer.delete(
                kinds.MARIE_CLUSTERS,
                ObjectKey(job.metadata.namespace, own.name),
                uid=own.uid,
                propagation="Foreground",
            )
        except (NotFound, Conflict):
            return []
        note = f"Deleted MarieCluster {own.name}: {step.why}."
        if step.unforeseen:
            return [Occurrence("Warning", EventReason.NO_DELETION_RULE, note)]
        return [Occurrence("Normal", EventReason.DELETED, note)]

    async def launch(self, job: MarieJob, step: Launch) -> list[Occurrence]:
        """Make a job's submitter Job; returns what to tell.

        Raises:
            ApiError: the API server refuses, for a reason that is not told of the job.
            Unreachable: it does not answer.
        """
        return await self._write(job, JOBS, step.manifest, exists=False)

    async def dismiss(self, job: MarieJob, step: Dismiss) -> list[Occurrence]:
        """Have a job's submitter Job go, with its pods; returns what to tell.

        Raises:
            ApiError: the API server refuses, for a reason that is not told of the job.
            Unreachable: it does not answer.
        """
        try:
            await self._writer.delete(JOBS, ObjectKey(job.metadata.namespace, step.job.name), uid=step.job.uid)
        except (NotFound, Conflict):
            return []
        return [Occurrence("Normal", EventReason.DELETED, f"Deleted Job {step.job.name}: {step.why}.")]

    async def _write(self, job: MarieJob, resource: Resource, manifest: Object, *, exists: bool) -> list[Occurrence]:
        key, digest = (kinds.key_of(job), resource), association.spec_hash(manifest)
        before = self._refusals.get(key)
        if before is not None and before.digest == digest and self._clock.monotonic() < before.at + AGAIN:
            return []
        step = Change(resource, manifest, ["spec"]) if exists else Create(resource, manifest)
        what = f"{resource.kind} {manifest['metadata']['name']}"
        try:
            done = await carry_out(
                step, self._writer, owner_uid=job.metadata.uid, field_manager=association.FIELD_MANAGER
            )
        except NameTaken as error:
            advice = (
                "It is about to go, and waited for" if error.ends else "Delete it, or make the job under another name"
            )
            refused = Obstacle(JobReason.NAME_TAKEN, f"{what} exists and is not the job's. {advice}.")
        except ApplyConflict as error:
            fields = ", ".join(f"{each.field} is set by {each.manager}" for each in error.conflicts)
            refused = Obstacle(
                JobReason.FIELD_CONFLICT,
                f"{what} stays as it is, since another manager owns what the job would change: {fields}. "
                "Remove these fields from the one or the other.",
            )
        except (Invalid, BadRequest, Forbidden) as error:
            refused = Obstacle(
                JobReason.CHILD_REFUSED,
                f"{what} cannot be written: {error.message.rstrip('.')}. Correct the job; it then goes on by itself.",
            )
        else:
            self._refusals.pop(key, None)
            return [Occurrence("Normal", EventReason.CHANGED if exists else EventReason.CREATED, f"{done}.")]
        self._refusals[key] = _Refusal(refused, digest, self._clock.monotonic())
        told = before is not None and before.obstacle == refused
        return [] if told or not exists else [Occurrence("Warning", refused.reason, refused.message)]
