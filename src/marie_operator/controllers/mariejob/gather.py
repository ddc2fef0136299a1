"""Everything a decision about a job depends on, read from caches, from the monitor, and from Secrets by name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from marie_operator.api.conditions import JobReason
from marie_operator.api.mariecluster import MarieCluster
from marie_operator.api.mariejob import JobDocuments, MarieJob
from marie_operator.builders import own_cluster as building
from marie_operator.controllers import kinds
from marie_operator.controllers.mariejob import batch, choice, obstacles, own_cluster, refs, rerun, routes
from marie_operator.controllers.mariejob import submitter as submitting
from marie_operator.controllers.mariejob.buckets import Folder
from marie_operator.controllers.mariejob.choice import Clusters
from marie_operator.controllers.mariejob.credentials import AnyCredentials, Scheme
from marie_operator.controllers.mariejob.deliveries import Deliveries
from marie_operator.controllers.mariejob.imports import Imports
from marie_operator.controllers.mariejob.listing import Listings
from marie_operator.controllers.mariejob.observation import Observation, Obstacle
from marie_operator.controllers.mariejob.own_cluster import OwnCluster
from marie_operator.controllers.mariejob.owned import Owned
from marie_operator.controllers.mariejob.plan import inline_of
from marie_operator.controllers.mariejob.secrets import Secrets
from marie_operator.controllers.mariejob.source import FailedOf, staged
from marie_operator.controllers.mariejob.staging import Clearances
from marie_operator.controllers.mariejob.submitter import SubmitterJob
from marie_operator.controllers.mariejob.turns import Turns
from marie_operator.marie.gateways import DatabaseView, DocumentView, GatewayView, Ticket
from marie_operator.runtime import Clock, Forbidden, Typed
from marie_operator.runtime.resource import JOBS, ObjectKey


class Monitors(Protocol):
    """What reconciling a job asks of the gateways' monitors; see ``Gateways``."""

    def view(self, cluster: ObjectKey) -> GatewayView | None:
        """What is known of a cluster's gateway."""
        ...

    def database(self, cluster: ObjectKey) -> DatabaseView | None:
        """What is known of a cluster's database."""
        ...

    def documents(self, cluster: ObjectKey, job: ObjectKey) -> Mapping[str, DocumentView]:
        """What is known of a job's documents."""
        ...

    def follow(self, cluster: ObjectKey, job: ObjectKey, tickets: Sequence[Ticket], *, api_key: str) -> None:
        """Have exactly these documents brought to Marie and followed to their end."""
        ...

    def abandon(self, job: ObjectKey) -> None:
        """Follow nothing of a job any more."""
        ...


class Submitters(Protocol):
    """The Jobs that submit in the operator's place.

    Attributes:
        image: Of those that name none of their own; empty when it is not known.
    """

    image: str

    def of(self, job: MarieJob) -> SubmitterJob:
        """The one of the present attempt at a job's document."""
        ...


@dataclass(frozen=True, slots=True)
class Sources:
    """Where observations come from.

    Attributes:
        clusters: the cached clusters.
        jobs: the cached jobs.
        secrets: API keys and S3 credentials.
        gateways: what Marie knows.
        listings: pages of keys.
        deliveries: results on their way.
        imports: documents of other clouds on their way to where Marie reads from.
        clearances: documents that were put where Marie reads from, and go.
        turns: whose turn it is.
        submitters: the Jobs that submit in the operator's place.
        owned: what could not be written of what jobs own.
        clock: for deadlines.
    """

    clusters: Clusters
    jobs: Typed[MarieJob]
    secrets: Secrets
    gateways: Monitors
    listings: Listings
    deliveries: Deliveries
    imports: Imports
    clearances: Clearances
    turns: Turns
    submitters: Submitters
    owned: Owned
    clock: Clock

    async def observe(self, job: MarieJob) -> Observation:
        """What is known now.

        Raises:
            ApiError: a Secret could not be read, for a reason other than lacking permission.
            Unreachable: the API server did not answer.
        """
        cluster = choice.choose(job, self.clusters)
        key = kinds.key_of(job)
        if isinstance(cluster, Obstacle) and job.spec.cluster_spec is not None:
            cluster = self.owned.refusal(key, kinds.MARIE_CLUSTERS) or cluster
        if isinstance(cluster, Obstacle):
            return Observation(
                now=self.clock.now(),
                cluster=cluster,
                own=self.own_cluster(job),
                submitter=self.submitter(job),
                listing=self.listings.outcome(key),
            )
        api_key = await self._api_key(cluster)
        scheme = rerun.scheme(job, self.jobs)
        credentials = await self._credentials(job, scheme)
        cluster_key = kinds.key_of(cluster)
        gateway, own = self.gateways.view(cluster_key), self.own_cluster(job)
        workers = sum(gateway.executors.values()) if gateway is not None else 0
        return Observation(
            now=self.clock.now(),
            cluster=cluster,
            own=own,
            rivals=choice.rivals(job, self.clusters, cluster),
            gateway=gateway,
            # What a cluster of the job's own has goes with it.
            database=self.gateways.database(cluster_key) if own is None else None,
            api_key=api_key,
            documents=self.gateways.documents(cluster_key, key),
            scheme=scheme,
            credentials=credentials,
            listing=self.listings.outcome(key),
            failed=self._failed(job),
            staged=await self._staged(job, cluster, scheme),
            imported=self.imports.outcome(key),
            cleared=self.clearances.outcome(key),
            route=await routes.find(job, cluster, self.secrets, has_own=self.deliveries.has_own, scheme=scheme),
            delivery=self.deliveries.outcome(key),
            submitter=self.submitter(job),
            submitter_image=self.submitters.image,
            refused=self.owned.refusal(key, JOBS),
            line=self.turns.line(cluster, workers),
        )

    def own_cluster(self, job: MarieJob) -> OwnCluster | None:
        """The cluster of a job's own; None for a job that has none."""
        if job.spec.cluster_spec is None:
            return None
        return own_cluster.of(job, self.clusters.get(ObjectKey(job.metadata.namespace, building.name(job))))

    def submitter(self, job: MarieJob) -> SubmitterJob | None:
        """The submitter Job of the present attempt; None where the operator submits itself."""
        return self.submitters.of(job) if job.spec.submission_mode == submitting.MODE else None

    def _failed(self, job: MarieJob) -> FailedOf | Obstacle | None:
        """Where the job's documents are recorded as another's failures; not looked up any more once all are taken."""
        documents, name = job.status.documents or JobDocuments(), job.spec.input.failed_of
        if not name or batch.is_listed(documents):
            return None
        return rerun.find(FailedOf(job.metadata.namespace, name), self.jobs, documents.cursor)

    async def _staged(self, job: MarieJob, cluster: MarieCluster, scheme: Scheme) -> Folder | Obstacle | None:
        """Where documents are put for Marie that it cannot read where they are."""
        if scheme == "s3" and inline_of(job) is None:
            return None
        store = await routes.store(job, cluster, self.secrets, has_own=self.deliveries.has_own, scheme=scheme)
        if store is None:
            return Obstacle(JobReason.OBJECT_STORE_UNKNOWN, routes.unknown(cluster, "reads documents from", scheme))
        if isinstance(store, Obstacle):
            return store
        return staged(store, refs.stem(job.metadata.name, job.metadata.uid))

    async def _api_key(self, cluster: MarieCluster) -> str | Obstacle:
        namespace, name = cluster.metadata.namespace, cluster.metadata.name
        reference = obstacles.reference(cluster)
        try:
            data = await self.secrets.get(ObjectKey(namespace, reference.name))
        except Forbidden as error:
            return routes.forbidden(reference.name, namespace, error)
        if data is not None and data.get(reference.key):
            return data[reference.key]
        what = (
            f"There is no Secret {reference.name} in namespace {namespace}"
            if data is None
            else f"Secret {reference.name} in namespace {namespace} has no text under the key {reference.key}"
        )
        return Obstacle(
            JobReason.API_KEY_MISSING,
            f"{what}. Put a key of the gateway's configuration there (kubectl create secret generic {reference.name} "
            f"-n {namespace} --from-literal={reference.key}=...), or name another Secret in "
            f"spec.auth.apiKeySecretRef of MarieCluster {name}.",
        )

    async def _credentials(self, job: MarieJob, scheme: Scheme) -> AnyCredentials | Obstacle | None:
        """How to reach the job's documents; not looked up any more once the operator has no more need to."""
        reference, documents = job.spec.input.credentials_secret_ref, job.status.documents or JobDocuments()
        is_over = batch.is_listed(documents) if scheme == "s3" else batch.is_done(documents)
        if reference is None or is_over:
            return None
        return await routes.credentials(self.secrets, job, reference.name, "spec.input.credentialsSecretRef", scheme)
