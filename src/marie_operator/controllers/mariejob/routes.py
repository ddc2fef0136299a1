"""Which way a job's results go, and with whose credentials: from Marie's object store to ``spec.output.uri``."""

from marie_operator.api.conditions import JobReason
from marie_operator.api.mariecluster import MarieCluster
from marie_operator.api.mariejob import MarieJob
from marie_operator.builders import backing
from marie_operator.controllers.mariejob import delivery, refs
from marie_operator.controllers.mariejob.buckets import Bucket
from marie_operator.controllers.mariejob.credentials import (
    USUAL,
    AnyCredentials,
    Credentials,
    CredentialsError,
    Scheme,
    check_lines,
    from_secret,
)
from marie_operator.controllers.mariejob.delivery import Output, Route
from marie_operator.controllers.mariejob.observation import Obstacle
from marie_operator.controllers.mariejob.secrets import Secrets
from marie_operator.controllers.mariejob.source import SourceError
from marie_operator.runtime import Forbidden
from marie_operator.runtime.resource import ObjectKey

_ENDINGS = {"json": "", "xml": ".xml"}
"""Of the results that are copied, by format. Marie writes XML beside the JSON that it makes it from."""
_INPUT, _OUTPUT = "spec.input.credentialsSecretRef", "spec.output.credentialsSecretRef"


async def find(
    job: MarieJob, cluster: MarieCluster, secrets: Secrets, *, has_own: bool, scheme: Scheme
) -> Route | Obstacle | None:
    """The way of a job's results; ``None`` when it wants none, or when nothing says where Marie keeps them.

    Marie has one object store, so a cluster that does not say which keeps results where the documents are.

    Args:
        job: The job.
        cluster: The cluster that it runs on.
        secrets: Reads credentials.
        has_own: Whether the operator was given credentials of its own for S3.
        scheme: Which kind of store the job's documents are in.

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
    source = await store(job, cluster, secrets, has_own=has_own, scheme=scheme)
    target = await _of_output(job, output, secrets, source, has_own=has_own, scheme=scheme)
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
        ending=_ENDINGS[job.spec.output.format],
    )


async def store(
    job: MarieJob, cluster: MarieCluster, secrets: Secrets, *, has_own: bool, scheme: Scheme
) -> Bucket | Obstacle | None:
    """The bucket that Marie works in; ``None`` when nothing says which.

    Args:
        job: The job.
        cluster: The cluster that it runs on.
        secrets: Reads credentials.
        has_own: Whether the operator was given credentials of its own for S3.
        scheme: Which kind of store the job's documents are in.
    """
    return await _of_cluster(job, cluster, secrets) or await _of_input(job, cluster, secrets, has_own, scheme)


def unknown(cluster: MarieCluster, what: str, scheme: Scheme) -> str:
    """What to do where nothing says which object store Marie works in."""
    or_else = ", or spec.input.credentialsSecretRef of a job" if scheme == "s3" else ""
    return (
        f"The operator does not know the object store that MarieCluster {cluster.metadata.name} {what}, nor has it "
        f"credentials for one. Set spec.backingServices.s3 of the cluster{or_else}."
    )


async def credentials(
    secrets: Secrets, job: MarieJob, name: str, field: str, scheme: Scheme
) -> AnyCredentials | Obstacle:
    """What a Secret that a job names says of an object store.

    Args:
        secrets: Reads it.
        job: The job.
        name: Of the Secret.
        field: What of the job names it.
        scheme: Which kind of store it is for.
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
            f"names. Create it with the keys {USUAL[scheme]}.",
        )
    try:
        return from_secret(scheme, name, data, field)
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
    try:
        check_lines(f"Secret {reference.name}", {key: data[key] for key in keys})
    except CredentialsError as error:
        return Obstacle(JobReason.CREDENTIALS_MISSING, f"{error}.")
    own = Credentials(
        access_key_id=data[reference.access_key_id_key],
        secret_access_key=data[reference.secret_access_key_key],
        endpoint_url=store.endpoint,
        region=store.region,
    )
    return Bucket(store.bucket, own, f"the credentials of {field}", field)


async def _of_input(
    job: MarieJob, cluster: MarieCluster, secrets: Secrets, has_own: bool, scheme: Scheme
) -> Bucket | Obstacle | None:
    """Marie's usual bucket where the documents are, if they are in S3."""
    named_by = f"spec.backingServices.s3 of MarieCluster {cluster.metadata.name}"
    if scheme == "s3" and (reference := job.spec.input.credentials_secret_ref) is not None:
        found = await credentials(secrets, job, reference.name, _INPUT, scheme)
        return found if isinstance(found, Obstacle) else Bucket(backing.RESULTS_BUCKET, found, _whose(_INPUT), named_by)
    return Bucket(backing.RESULTS_BUCKET, named_by=named_by) if has_own else None


async def _of_output(
    job: MarieJob,
    output: Output,
    secrets: Secrets,
    source: Bucket | Obstacle | None,
    *,
    has_own: bool,
    scheme: Scheme,
) -> Bucket | Obstacle | None:
    """The bucket that results go to, with the first credentials that there are."""
    named_by, bucket, kind = "spec.output.uri", output.bucket, output.scheme
    of_input = job.spec.input.credentials_secret_ref if kind == scheme else None
    for reference, field in (
        (job.spec.output.credentials_secret_ref, _OUTPUT),
        (of_input, _INPUT),
    ):
        if reference is not None:
            found = await credentials(secrets, job, reference.name, field, kind)
            return found if isinstance(found, Obstacle) else Bucket(bucket, found, _whose(field), named_by, kind)
    if has_own or kind != "s3":
        return Bucket(bucket, named_by=named_by, scheme=kind)
    return Bucket(bucket, source.credentials, source.whose, named_by) if isinstance(source, Bucket) else None


def _whose(field: str) -> str:
    return f"the credentials of {field}"
