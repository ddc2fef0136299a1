"""What keeps a job's documents from being submitted: checks in the order in which they matter."""

from marie_operator.api.conditions import ClusterCondition, ClusterReason, JobReason
from marie_operator.api.mariecluster import MarieCluster
from marie_operator.api.mariejob import JobDocuments, MarieJob
from marie_operator.api.meta import Condition, SecretKeyReference
from marie_operator.builders import submitter as building
from marie_operator.controllers.conditions import condition, is_true
from marie_operator.controllers.custody import is_ours
from marie_operator.controllers.mariejob import submission
from marie_operator.controllers.mariejob.line import Turn
from marie_operator.controllers.mariejob.listing import ListingFailure
from marie_operator.controllers.mariejob.observation import Observation, Obstacle
from marie_operator.controllers.mariejob.plan import FlawError
from marie_operator.controllers.mariejob.source import FailedOf
from marie_operator.marie.gateways import DocumentState, GatewayView


def of_flaw(flaw: FlawError) -> Obstacle:
    """Why nothing more is submitted of a job whose spec was changed to what cannot be carried out."""
    told = f"{flaw} Nothing more is submitted until that is corrected; the job then goes on by itself."
    return Obstacle(JobReason.INVALID_SPEC, told)


def of_cluster(seen: Observation) -> Obstacle | None:
    """Why Marie cannot be asked anything at the moment."""
    cluster = seen.cluster
    if isinstance(cluster, Obstacle):
        return cluster
    name = cluster.metadata.name
    if not is_ours(cluster):
        return Obstacle(
            JobReason.CLUSTER_NOT_READY,
            f"MarieCluster {name} is looked after by {cluster.spec.managed_by}, as its spec.managedBy says, and this "
            "operator does not ask its gateway. Name another cluster, or have the job looked after by the same.",
        )
    if cluster.spec.suspend:
        field = "its spec.suspend" if seen.own is None else "spec.clusterSpec.suspend of the job"
        return Obstacle(
            JobReason.CLUSTER_SUSPENDED,
            f"MarieCluster {name} is suspended. Set {field} to false; the job then goes on by itself.",
        )
    if seen.gateway is not None and seen.gateway.running:
        return None
    return _of_gateway(cluster, seen.gateway)


def _of_gateway(cluster: MarieCluster, gateway: GatewayView | None) -> Obstacle:
    """Why a gateway that should run does not."""
    name, server = cluster.metadata.name, _server(cluster)
    if server is not None and server.status != "True" and server.reason != ClusterReason.GATEWAY_UNREACHABLE:
        return Obstacle(JobReason.CLUSTER_NOT_READY, f"MarieCluster {name} is not ready: {server.message}")
    if gateway is None or not gateway.problem:
        return Obstacle(
            JobReason.CLUSTER_NOT_READY, f"MarieCluster {name} is starting. The job goes on when its scheduler runs."
        )
    reason = JobReason.CLUSTER_NOT_READY if gateway.reachable else JobReason.GATEWAY_UNREACHABLE
    return Obstacle(reason, f"MarieCluster {name}: {gateway.problem} The operator goes on asking.")


def of_submission(job: MarieJob, seen: Observation) -> Obstacle | None:
    """Why nothing can be submitted, although Marie can be asked."""
    if isinstance(seen.api_key, Obstacle):
        return seen.api_key
    if (pending := _pending(seen)) is not None:
        return pending
    if seen.submitter is not None and (found := _of_submitter(job, seen)) is not None:
        return found
    planners = seen.gateway.planners if seen.gateway is not None else None
    planner = submission.planner(job.spec)
    if planners is not None and planner not in planners:
        known = ", ".join(sorted(planners)) or "none"
        return Obstacle(
            JobReason.UNKNOWN_PLANNER,
            f"The gateway has no planner {planner!r}; it has: {known}. "
            "Set spec.planner to one of these, or register the planner; the job then goes on by itself.",
        )
    return _of_key(job, seen)


def _pending(seen: Observation) -> Obstacle | None:
    """A change of the cluster that waits until Marie has nothing in hand."""
    if not isinstance(seen.cluster, MarieCluster) or not is_true(seen.cluster.status, ClusterCondition.UPGRADE_PENDING):
        return None
    return Obstacle(
        JobReason.CLUSTER_CHANGING,
        f"MarieCluster {seen.cluster.metadata.name} is about to be changed, once Marie is done with the documents it "
        "has; no more are submitted until then. The job then goes on by itself.",
    )


def _of_submitter(job: MarieJob, seen: Observation) -> Obstacle | None:
    """Why the submitter Job cannot be made."""
    if seen.submitter is not None and seen.submitter.uid:
        return None
    if not building.image(job, seen.submitter_image):
        return Obstacle(
            JobReason.SUBMITTER_IMAGE_UNKNOWN,
            "The operator does not know which image is to submit. Set MARIE_OPERATOR_IMAGE in its environment, or "
            "start it with --submitter-image; or name an image in spec.submitterPodTemplate. The job then goes on by "
            "itself.",
        )
    return seen.refused


def _of_key(job: MarieJob, seen: Observation) -> Obstacle | None:
    """Why the gateway does not accept the key; another one is tried as soon as the Secret has it."""
    documents = job.status.documents.in_flight if job.status.documents else ()
    views = (seen.documents.get(document.ref_id) for document in documents)
    refused = next((view for view in views if view and view.state is DocumentState.KEY_REFUSED), None)
    if refused is None or not isinstance(seen.cluster, MarieCluster):
        return None
    secret = reference(seen.cluster)
    return Obstacle(
        JobReason.API_KEY_REFUSED,
        f"The gateway of MarieCluster {seen.cluster.metadata.name} does not accept the key {secret.key} of Secret "
        f"{secret.name}: {refused.message.rstrip('.')}. Put a key of the gateway's configuration there; "
        "the job then goes on by itself.",
    )


def reference(cluster: MarieCluster) -> SecretKeyReference:
    """Where a cluster's API key is."""
    auth = cluster.spec.auth
    return (auth.api_key_secret_ref if auth else None) or SecretKeyReference(name=f"{cluster.metadata.name}-api-key")


def of_results(seen: Observation) -> Obstacle | None:
    """Why results would not get to where the job wants them, so that it had better not begin."""
    return seen.route if isinstance(seen.route, Obstacle) else None


def of_staging(seen: Observation) -> Obstacle | None:
    """Why documents that Marie cannot read where they are have no place to be put, so that none is taken up."""
    return seen.staged if isinstance(seen.staged, Obstacle) else None


def of_import(seen: Observation) -> Obstacle | None:
    """Why documents of another cloud do not get to where Marie reads from."""
    if isinstance(seen.credentials, Obstacle):
        return seen.credentials
    failure = seen.imported.failure
    return None if failure is None else Obstacle(_refused(answered=failure.answered), failure.message)


def of_turn(documents: JobDocuments, seen: Observation, turn: Turn) -> Obstacle | None:
    """Why a job with nothing at Marie may send nothing, although it could."""
    if documents.in_flight or turn.room or not isinstance(seen.cluster, MarieCluster):
        return None
    return Obstacle(
        JobReason.QUEUED,
        f"The job waits for its turn: MarieCluster {seen.cluster.metadata.name} is given {turn.window} documents "
        "at a time, and jobs of higher priority, with an earlier soft deadline, or that waited longer go first.",
    )


def of_listing(seen: Observation) -> Obstacle | None:
    """Why the documents under the prefix cannot be listed."""
    if isinstance(seen.credentials, Obstacle):
        return seen.credentials
    if isinstance(seen.failed, Obstacle):
        return seen.failed
    if isinstance(seen.listing, ListingFailure) and seen.listing.missing:
        return Obstacle(JobReason.INPUT_MISSING, seen.listing.message)
    if isinstance(seen.listing, ListingFailure) and isinstance(seen.failed, FailedOf):
        return Obstacle(JobReason.FAILURES_UNKNOWN, seen.listing.message)
    if isinstance(seen.listing, ListingFailure):
        return Obstacle(_refused(answered=seen.listing.answered), seen.listing.message)
    return None


def _refused(*, answered: bool) -> JobReason:
    return JobReason.STORAGE_REFUSED if answered else JobReason.STORAGE_UNREACHABLE


def _server(cluster: MarieCluster) -> Condition | None:
    return condition(cluster.status, ClusterCondition.SERVER_POD_READY)
