"""Which way a job's results go, and with whose credentials: from Marie's object store to ``spec.output.uri``."""

from marie_operator.api.conditions import JobReason
from marie_operator.api.mariecluster import MarieCluster
from marie_operator.api.mariejob import MarieJob
from marie_operator.builders import backing
from marie_operator.controllers.mariejob import delivery, refs
from marie_operator.controllers.mariejob.buckets import Bucket
from marie_operator.controllers.mariejob.credentials import Credentials, CredentialsError
from marie_operator.controllers.mariejob.delivery import Route
from marie_operator.controllers.mariejob.observation import Obstacle
from marie_operator.controllers.mariejob.secrets import Secrets
from marie_operator.controllers.mariejob.source import SourceError
from marie_operator.runtime import Forbidden
from marie_operator.runtime.resource import ObjectKey

_INPUT, _OUTPUT = "spec.input.credentialsSecretRef", "spec.output.credentialsSecretRef"


async def find(job: MarieJob, cluster: MarieCluster, secrets: Secrets, *, has_own: bool) -> Route | Obstacle | None:
    """The way of a job's results; ``None`` when it wants none, or when nothing says where Marie keeps them.

    Marie has one object store, so a cluster that does not say which keeps results where the documents are.

    Args:
        job: The job.
        cluster: The cluster that it runs on.
        secrets: Reads credentials.
        has_own: Whether the operator was given credentials of its own.

    Raises:
        ApiError: a Secret could not be read, for a reason other than lacking permission.
        Unreachable: the API server did not answer.
    """
    try:
        output = delivery.parse(job.spec.output.uri) if job.spec.output.uri else None
    except SourceError:
        return None
    if output is None:
        return None
    services = backing.of(cluster)
    configured = services is not None and services.s3 is not None
    source = await store(job, cluster, secrets, has_own=has_own)
    target = await _of_output(job, output.bucket, secrets, source, has_own=has_own)
    if not isinstance(source, Bucket):
        return source
    if not isinstance(target, Bucket):
        return target
    return Route(
        source=source,
        shelf=job.spec.job_type.lower(),
        target=target,
        prefix=output.prefix,
        job=refs.stem(job.metadata.name, job.metadata.uid),
        is_assumed=not configured,
    )


async def store(job: MarieJob, cluster: MarieCluster, secrets: Secrets, *, has_own: bool) -> Bucket | Obstacle | None:
    """The bucket that Marie works in; ``None`` when nothing says which.

    Args:
        job: The job.
        cluster: The cluster that it runs on.
        secrets: Reads credentials.
        has_own: Whether the operator was given credentials of its own.
    """
    return await _of_cluster(job, cluster, secrets) or await _of_input(job, cluster, secrets, has_own)


def unknown(cluster: MarieCluster, what: str) -> str:
    """What to do where nothing says which object store Marie works in."""
    return (
        f"The operator does not know the object store that MarieCluster {cluster.metadata.name} {what}, nor has it "
        "credentials for one. Set spec.backingServices.s3 of the cluster, or spec.input.credentialsSecretRef of a job."
    )


async def credentials(secrets: Secrets, job: MarieJob, name: str, field: str) -> Credentials | Obstacle:
    """What a Secret that a job names says of an object store.

    Args:
        secrets: Reads it.
        job: The job.
        name: Of the Secret.
        field: What of the job names it.
    """
    namespace = job.metadata.namespace
    try:
        data = await secrets.get(ObjectKey(namespace, name))
    except Forbidden as error:
        return forbidden(name, namespace, error)
    if data is None:
        return Obstacle(
            JobReason.CREDENTIALS_MISSING,
            f"There is no Secret {name} in namespace {namespace}, which {field} "
            "names. Create it with the keys AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.",
        )
    try:
        return Credentials.from_secret(name, data, field)
    except CredentialsError as error:
        return Obstacle(JobReason.CREDENTIALS_MISSING, f"{error}.")


def forbidden(secret: str, namespace: str, error: Forbidden) -> Obstacle:
    """What to do about a Secret that the operator may not read."""
    return Obstacle(
        JobReason.PERMISSION_DENIED,
        f"The operator may not get Secret {secret} in namespace {namespace}: {error.message.rstrip('.')}. "
        "Apply config/rbac of the operator's version again, or bind its role in this namespace.",
    )


async def _of_cluster(job: MarieJob, cluster: MarieCluster, secrets: Secrets) -> Bucket | Obstacle | None:
    """Where a cluster says that it keeps results."""
    services = backing.of(cluster)
    if services is None or services.s3 is None:
        return None
    store, name = services.s3, cluster.metadata.name
    reference, namespace = store.credentials_secret_ref, job.metadata.namespace
    field = f"spec.backingServices.s3 of MarieCluster {name}"
    try:
        data = await secrets.get(ObjectKey(namespace, reference.name)) or {}
    except Forbidden as error:
        return forbidden(reference.name, namespace, error)
    keys = (reference.access_key_id_key, reference.secret_access_key_key)
    if missing := [key for key in keys if not data.get(key)]:
        return Obstacle(
            JobReason.CREDENTIALS_MISSING,
            f"Secret {reference.name} in namespace {namespace}, which {field} names, has no "
            f"{' and no '.join(missing)}. Create it with these keys.",
        )
    own = Credentials(
        access_key_id=data[reference.access_key_id_key],
        secret_access_key=data[reference.secret_access_key_key],
        endpoint_url=store.endpoint,
        region=store.region,
    )
    return Bucket(store.bucket, own, f"the credentials of {field}", field)


async def _of_input(job: MarieJob, cluster: MarieCluster, secrets: Secrets, has_own: bool) -> Bucket | Obstacle | None:
    """Marie's usual bucket where the documents are."""
    named_by = f"spec.backingServices.s3 of MarieCluster {cluster.metadata.name}"
    if (reference := job.spec.input.credentials_secret_ref) is not None:
        found = await credentials(secrets, job, reference.name, _INPUT)
        return found if isinstance(found, Obstacle) else Bucket(backing.RESULTS_BUCKET, found, _whose(_INPUT), named_by)
    return Bucket(backing.RESULTS_BUCKET, named_by=named_by) if has_own else None


async def _of_output(
    job: MarieJob, bucket: str, secrets: Secrets, source: Bucket | Obstacle | None, *, has_own: bool
) -> Bucket | Obstacle | None:
    """The bucket that results go to, with the first credentials that there are."""
    named_by = "spec.output.uri"
    for reference, field in (
        (job.spec.output.credentials_secret_ref, _OUTPUT),
        (job.spec.input.credentials_secret_ref, _INPUT),
    ):
        if reference is not None:
            found = await credentials(secrets, job, reference.name, field)
            return found if isinstance(found, Obstacle) else Bucket(bucket, found, _whose(field), named_by)
    if has_own:
        return Bucket(bucket, named_by=named_by)
    return Bucket(bucket, source.credentials, source.whose, named_by) if isinstance(source, Bucket) else None


def _whose(field: str) -> str:
    return f"the credentials of {field}"
