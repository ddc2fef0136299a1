"""The cluster of a job's own: how it is seen, and what is to become of it while the job is not at its end."""

from dataclasses import dataclass
from typing import TypeAlias

from marie_operator.api.conditions import JobCondition, JobReason
from marie_operator.api.mariecluster import MarieCluster
from marie_operator.api.mariejob import JobDocuments, MarieJob
from marie_operator.api.meta import ObjectMeta
from marie_operator.builders import association, own_cluster
from marie_operator.controllers.conditions import condition
from marie_operator.runtime import Unparsable
from marie_operator.runtime.resource import Object


@dataclass(frozen=True, slots=True)
class OwnCluster:
    """The cluster of a job with ``spec.clusterSpec``.

    Attributes:
        name: What it is called.
        uid: Empty while it does not exist.
        deleting: Whether it exists and is on its way out.
        digest: What it was last written as.
    """

    name: str
    uid: str = ""
    deleting: bool = False
    digest: str = ""

    @property
    def stays(self) -> bool:
        """Whether it exists and is not on its way out."""
        return bool(self.uid) and not self.deleting


@dataclass(frozen=True, slots=True)
class Keep:
    """The cluster is to be there, as its manifest says."""

    manifest: Object


@dataclass(frozen=True, slots=True)
class Remove:
    """The cluster is to go.

    Attributes:
        why: What says so.
        unforeseen: Whether no rule of the job's does.
    """

    why: str
    unforeseen: bool = False


Step: TypeAlias = Keep | Remove


def of(job: MarieJob, found: MarieCluster | Unparsable | None) -> OwnCluster:
    """A job's own cluster, from what there is under its name."""
    name = own_cluster.name(job)
    if found is None or not is_owned(found, job):
        return OwnCluster(name)
    metadata = _metadata(found)
    digest = metadata.annotations.get(association.SPEC_HASH, "")
    return OwnCluster(name, metadata.uid, metadata.deletion_timestamp is not None, digest)


def is_owned(cluster: MarieCluster | Unparsable, job: MarieJob) -> bool:
    """Whether a cluster is a job's own."""
    owners = _metadata(cluster).owner_references
    return any(owner.controller and owner.uid == job.metadata.uid for owner in owners)


def _metadata(cluster: MarieCluster | Unparsable) -> ObjectMeta:
    return (
        ObjectMeta.model_validate(cluster.object["metadata"]) if isinstance(cluster, Unparsable) else cluster.metadata
    )


def is_halted(job: MarieJob, own: OwnCluster | None) -> bool:
    """Whether a job is as good as suspended although it is not to be: a suspension that began is carried through.

    Its cluster goes first, and a new one is made then; half a suspension would leave it with neither.
    """
    suspended = condition(job.status, JobCondition.SUSPENDED)
    begun = suspended is not None and suspended.status == "True" and suspended.reason == JobReason.SUSPENDING
    return own is not None and bool(own.uid) and begun


def step(job: MarieJob, own: OwnCluster | None) -> Step | None:
    """What is to become of the cluster of a job that is not at its end."""
    if own is None:
        return None
    if not job.spec.suspend:
        return Keep(own_cluster.manifest(job))
    return Remove("spec.suspend of the job") if own.stays else None


def begun_anew(documents: JobDocuments) -> JobDocuments:
    """The documents of a job whose cluster is gone, and with it what was done for those that had not ended."""
    in_flight = tuple(document.model_copy(update={"dag_id": ""}) for document in documents.in_flight)
    return documents.model_copy(update={"in_flight": in_flight})
