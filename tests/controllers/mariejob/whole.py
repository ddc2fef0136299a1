"""The controller of jobs with everything behind it, around an API server in memory and whatever carries requests."""

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, cast

from prometheus_client import CollectorRegistry

from marie_operator.api.mariecluster import MarieCluster
from marie_operator.api.mariejob import MarieJob
from marie_operator.controllers import kinds
from marie_operator.controllers.mariejob import (
    INDEXES,
    Clearances,
    Deliveries,
    Imports,
    Listings,
    MarieJobReconciler,
    Outcomes,
    Owned,
    Secrets,
    Sources,
    Turns,
)
from marie_operator.controllers.named import NamedObjects
from marie_operator.marie.database import connection
from marie_operator.marie.gateways import Gateways
from marie_operator.marie.metrics import GatewayMetrics
from marie_operator.marie.transport import Transport
from marie_operator.runtime import Clock, Controller, Metrics, Typed, Writer, asked_for
from marie_operator.runtime.resource import ObjectKey
from tests.controllers.mariejob.apiserver import ApiServer
from tests.controllers.mariejob.memory import MemoryObjects
from tests.controllers.mariejob.operator_process import KEY, Bucket, Events, NoSubmitters


@dataclass(frozen=True)
class Whole:
    """One process of the operator.

    Attributes:
        gateways: Whom it follows; a test says where they are.
        parts: What is to run at the same time.
    """

    gateways: Gateways
    parts: Sequence[Coroutine[Any, Any, None]]


def whole(
    api: ApiServer, transport: Transport, keys: Sequence[str], *, events: Events, clock: Clock, timers: Clock
) -> Whole:
    """Put a process together, which has seen what there is.

    Args:
        api: The API server.
        transport: Carries requests to gateways.
        keys: What is under every prefix.
        events: Takes what is recorded.
        clock: Decides when a doubt is settled.
        timers: The loop's own time, which the queue waits by.
    """
    jobs, clusters = api.inform(kinds.MARIE_JOBS, **INDEXES), api.inform(kinds.MARIE_CLUSTERS)
    for (resource, _), obj in list(api.objects.items()):
        if resource in api.informers:
            api.put(resource, obj)

    def enqueue(key: ObjectKey) -> None:
        controller.enqueue(key)

    gateways = Gateways(
        transport,
        clock=clock,
        metrics=GatewayMetrics(CollectorRegistry()),
        on_cluster=lambda _cluster: enqueue(KEY),
        on_job=enqueue,
        connect=connection,
    )
    listings = Listings(Bucket(keys), on_change=enqueue)
    typed = Typed(jobs, MarieJob.model_validate)
    turns = Turns(typed, clock=clock, on_turn=enqueue)
    jobs.add_handler(turns.handle)
    sources = Sources(
        clusters=Typed(clusters, MarieCluster.model_validate),
        jobs=typed,
        secrets=Secrets(NamedObjects(api, clock=clock)),
        gateways=gateways,
        listings=listings,
        deliveries=Deliveries(MemoryObjects(), on_change=enqueue, clock=clock, writer="test"),
        imports=Imports(MemoryObjects(), on_change=enqueue),
        clearances=Clearances(MemoryObjects(), on_change=enqueue),
        turns=turns,
        submitters=NoSubmitters(),
        owned=Owned(cast("Writer", api), clock=clock),
        clock=clock,
    )
    outcomes = Outcomes(CollectorRegistry())
    reconciler = MarieJobReconciler(
        informer=jobs, jobs=typed, sources=sources, client=api, events=events, outcomes=outcomes
    )
    controller = Controller("mariejob", reconciler.reconcile, clock=timers, metrics=Metrics(CollectorRegistry())).watch(
        jobs, when=asked_for
    )
    return Whole(gateways, (listings.run(), gateways.run(), controller.run(asyncio.Event())))
