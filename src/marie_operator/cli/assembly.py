"""The operator, put together from what it is given: a process gives it sockets, a simulation gives it itself."""

import hashlib
import random
import secrets
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

from marie_operator.api.mariecluster import MarieCluster
from marie_operator.api.mariejob import MarieJob
from marie_operator.controllers import kinds, mariecluster, mariejob, states
from marie_operator.controllers.named import NamedObjects
from marie_operator.marie.database import Connect
from marie_operator.marie.gateways import Gateways
from marie_operator.marie.metrics import GatewayMetrics
from marie_operator.marie.tracing import TracedTransport
from marie_operator.marie.transport import Transport
from marie_operator.runtime import (
    Cache,
    Client,
    Clock,
    Controller,
    Elector,
    EventRecorder,
    Manager,
    Metrics,
    ObjectKey,
    Tracer,
    Typed,
    Writer,
)

CONTROLLER = "marie.ai/operator"


class Operator:
    """Both controllers with their cache, gateways and events.

    Args:
        client: Reads and writes.
        elector: Says who may write; None for whoever runs.
        transport: Carries requests to gateways.
        lister: Reads pages of keys from object stores.
        objects: Copies, reads and writes what is in them.
        gateway_url: Where a cluster's gateway is reached, from its key and its Service's URL.
        namespaces: Which to watch; empty for all.
        concurrency: Reconciles of each kind at the same time.
        instance: Names this process in events.
        clock: For every wait and age.
        metrics: Where it counts.
        submitter_image: Of submitter Jobs that name none of their own; empty when it is not known.
        entropy: That many bytes that nobody can guess, for keys and passwords.
        jitter: Yields numbers in [0, 1); spreads what many processes would do together.
        connect: Makes connections to the databases of clusters; None for using none.
        tracer: Has spans of reconciles and of requests to gateways; None for none.

    Attributes:
        cache: Its informers.
    """

    def __init__(
        self,
        client: Client,
        *,
        elector: Elector | None,
        transport: Transport,
        lister: mariejob.Lister,
        objects: mariejob.Objects,
        gateway_url: Callable[[ObjectKey, str], str],
        namespaces: Sequence[str],
        concurrency: int,
        instance: str,
        clock: Clock,
        metrics: Metrics,
        submitter_image: str = "",
        entropy: Callable[[int], bytes] = secrets.token_bytes,
        jitter: Callable[[], float] = random.random,
        connect: Connect | None = None,
        tracer: Tracer | None = None,
    ) -> None:
        self._elector = elector
        self.cache = cache = Cache(client, namespaces=namespaces, clock=clock, metrics=metrics, jitter=jitter)
        cache.add(kinds.MARIE_CLUSTERS, indexes={**states.INDEXES, mariecluster.STORE_INDEX: mariecluster.stores})
        cache.add(kinds.MARIE_JOBS, indexes={**states.INDEXES, **mariejob.INDEXES})
        mariecluster.add_informers(cache, pods=mariejob.POD_INDEXES)
        mariejob.add_informer(cache)
        fence = _unfenced if elector is None else elector.check
        fenced = client.fenced(fence)
        writer, objects = Writer(fenced, cache), mariejob.FencedObjects(objects, fence)
        self._events = EventRecorder(
            fenced, controller=CONTROLLER, instance=instance, clock=clock, metrics=metrics, random=entropy
        )
        self._states = states.StateMetrics(metrics.registry)
        self._gateways = Gateways(
            transport if tracer is None else TracedTransport(transport, tracer),
            clock=clock,
            metrics=GatewayMetrics(metrics.registry),
            on_cluster=self._on_cluster,
            on_job=self._on_job,
            on_occupancy=self._on_occupancy,
            fence=fence,
            jitter=jitter,
            connect=connect,
        )
        on_defect = metrics.panics.labels("mariejob").inc
        self._listings = mariejob.Listings(
            mariejob.Origins(lister, client, objects), on_change=self._on_job, on_defect=on_defect
        )
        self._deliveries = mariejob.Deliveries(
            objects,
            on_change=self._on_job,
            clock=clock,
            writer=hashlib.sha256(instance.encode()).hexdigest()[:12],
            on_defect=on_defect,
        )
        self._imports = mariejob.Imports(objects, on_change=self._on_job, on_defect=on_defect)
        self._clearances = mariejob.Clearances(objects, on_change=self._on_job, on_defect=on_defect)
        jobs = Typed(cache[kinds.MARIE_JOBS], MarieJob.model_validate)
        turns = mariejob.Turns(jobs, clock=clock, on_turn=self._on_turn)
        cache[kinds.MARIE_JOBS].add_handler(turns.handle)
        named = NamedObjects(client, clock=clock)
        clusters = Typed(cache[kinds.MARIE_CLUSTERS], MarieCluster.model_validate)
        self._clusters = mariecluster.controller(
            mariecluster.MarieClusterReconciler(
                clusters=clusters,
                cache=cache,
                client=writer,
                named=named,
                supplies=mariecluster.Supplies(named, writer, random=entropy),
                routes=mariecluster.Routes(writer, clock=clock),
                gateways=self._gateways,
                gateway_url=gateway_url,
                events=self._events,
                clock=clock,
            ),
            cache,
            concurrency=concurrency,
            clock=clock,
            metrics=metrics,
            tracer=tracer,
        )
        self._jobs = mariejob.controller(
            mariejob.MarieJobReconciler(
                informer=cache[kinds.MARIE_JOBS],
                jobs=jobs,
                sources=mariejob.Sources(
                    clusters=clusters,
                    jobs=jobs,
                    secrets=mariejob.Secrets(named),
                    gateways=self._gateways,
                    listings=self._listings,
                    deliveries=self._deliveries,
                    imports=self._imports,
                    clearances=self._clearances,
                    turns=turns,
                    submitters=mariejob.CachedSubmitters(cache, image=submitter_image),
                    owned=mariejob.Owned(writer, clock=clock),
                    clock=clock,
                ),
                client=writer,
                events=self._events,
                outcomes=mariejob.Outcomes(metrics.registry),
            ),
            cache,
            concurrency=concurrency,
            clock=clock,
            metrics=metrics,
            tracer=tracer,
        )

    @property
    def controllers(self) -> Sequence[Controller]:
        """Of clusters, then of jobs."""
        return self._clusters, self._jobs

    def manager(
        self,
        *,
        standing: Sequence[Callable[[], Awaitable[None]]] = (),
        servers: Sequence[AbstractAsyncContextManager[Any]] = (),
    ) -> Manager:
        """What runs it.

        Args:
            standing: Background work beside it.
            servers: Endpoints beside it.
        """
        return Manager(
            cache=self.cache,
            controllers=self.controllers,
            standing=standing,
            leading=[
                self._gateways.run,
                self._listings.run,
                self._deliveries.run,
                self._imports.run,
                self._clearances.run,
                self._events.run,
            ],
            finishing=[self._events.flush],
            measures=[self._gateways.measure, self._measure_states],
            sections={"gateways": self._gateways.report},
            servers=servers,
            elector=self._elector,
        )

    def _measure_states(self) -> None:
        self._states.measure(self.cache[kinds.MARIE_CLUSTERS], self.cache[kinds.MARIE_JOBS])

    def _on_cluster(self, cluster: ObjectKey) -> None:
        self._clusters.enqueue(cluster, cause="gateway")
        for job in mariejob.of_cluster(self.cache[kinds.MARIE_JOBS], cluster):
            self._jobs.enqueue(job, cause="gateway")

    def _on_occupancy(self, cluster: ObjectKey) -> None:
        self._clusters.enqueue(cluster, cause="workers")

    def _on_job(self, job: ObjectKey) -> None:
        self._jobs.enqueue(job, cause="documents")

    def _on_turn(self, job: ObjectKey) -> None:
        self._jobs.enqueue(job, cause="turn")


def _unfenced() -> None:
    """Without leader election, whoever runs may write."""
