"""How a job ended and where its results are, in the ConfigMap that ``spec.output.configMapRef`` names.

Each fact has a key of its own, so that a container can take all of them as its environment. How many documents the job
had makes no difference to its size: they are in the manifest, and those that failed in the record of failures.
"""

from marie_operator.api.conditions import JobReason
from marie_operator.api.mariejob import JobDocuments, JobResult, MarieJob, MarieJobStatus
from marie_operator.builders import association
from marie_operator.controllers.mariejob.decision import Occurrence
from marie_operator.controllers.mariejob.failures import ApiClient, RecordTakenError
from marie_operator.runtime.errors import Forbidden, Invalid, NotFound
from marie_operator.runtime.ownership import controller_of
from marie_operator.runtime.resource import CONFIG_MAPS, Object, ObjectKey


def wanted(job: MarieJob) -> str:
    """The name of the ConfigMap; empty when the job wants none."""
    reference = job.spec.output.config_map_ref
    return reference.name if reference is not None else ""


async def write(client: ApiClient, job: MarieJob, status: MarieJobStatus) -> None:
    """Write what became of a job. Writing it again changes nothing.

    A ConfigMap that is there and belongs to nothing stays its maker's, with what else is in it; one that is made here
    goes with the job.

    Args:
        client: Reads and writes ConfigMaps.
        job: The job.
        status: The one that it ends with.

    Raises:
        RecordTakenError: the ConfigMap belongs to another object.
        Forbidden: the operator's role does not allow it.
        Invalid: the API server refuses it, above all where its maker made it immutable.
    """
    key = ObjectKey(job.metadata.namespace, wanted(job))
    metadata: Object = {"name": key.name, "namespace": key.namespace}
    try:
        owner = controller_of(await client.get(CONFIG_MAPS, key))
    except NotFound:
        metadata = association.of_job(job, key.name)
    else:
        if owner is not None and owner["uid"] != job.metadata.uid:
            raise RecordTakenError(
                f"ConfigMap {key.name} belongs to {owner['kind']} {owner['name']}: how the job ended is not written "
                "there. Name another one in spec.output.configMapRef of the next job."
            )
        if owner is not None:
            metadata = association.of_job(job, key.name)
    manifest = {
        "apiVersion": CONFIG_MAPS.api_version,
        "kind": CONFIG_MAPS.kind,
        "metadata": metadata,
        "data": facts(job, status),
    }
    await client.apply(CONFIG_MAPS, manifest, field_manager=association.FIELD_MANAGER, force=True)


def refused(job: MarieJob, error: RecordTakenError | Forbidden | Invalid) -> Occurrence:
    """That it could not be written, and what to do."""
    if isinstance(error, RecordTakenError):
        return Occurrence("Warning", JobReason.NAME_TAKEN, str(error))
    reason, advice = (
        (JobReason.PERMISSION_DENIED, "Apply config/rbac of the operator's version again.")
        if isinstance(error, Forbidden)
        else (JobReason.CHILD_REFUSED, "Name another one in spec.output.configMapRef of the next job.")
    )
    why = error.message.rstrip(".")
    return Occurrence(
        "Warning", reason, f"How the job ended is not written to ConfigMap {wanted(job)}: {why}. {advice}"
    )


def facts(job: MarieJob, status: MarieJobStatus) -> dict[str, str]:
    """What is told, by key; what is not known has none."""
    documents, result = status.documents or JobDocuments(), status.result or JobResult()
    told = {
        "job": job.metadata.name,
        "phase": status.phase,
        "message": status.message,
        "outputUri": result.output_uri,
        "manifestUri": result.manifest_uri,
        "documents": str(documents.listed),
        "succeeded": str(documents.succeeded),
        "failed": str(documents.failed),
        "results": result.summary.get("results", ""),
    }
    return {key: value for key, value in told.items() if value}
