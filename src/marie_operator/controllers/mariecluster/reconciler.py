"""The MarieCluster reconciler: see, compare, write what differs, say how it is."""

import contextlib
from collections.abc import Callable, Sequence

from marie_operator.api import validation
from marie_operator.api.conditions import ClusterCondition, ClusterReason, EventReason
from marie_operator.api.mariecluster import MarieCluster, MarieClusterStatus
from marie_operator.api.meta import Condition
from marie_operator.builders import association, chain, endpoints
from marie_operator.controllers import kinds
from marie_operator.controllers.mariecluster import status
from marie_operator.controllers.mariecluster.plan import Children, Create, Remove, Step, steps
from marie_operator.controllers.mariecluster.status import Observation, Refusal
from marie_operator.controllers.status import write_status
from marie_operator.marie.gateways import Gateways
from marie_operator.runtime import (
    ApplyConflict,
    Cache,
    Clock,
    EventRecorder,
    Forbidden,
    Invalid,
    NotFound,
    ObjectReference,
    Result,
    Typed,
    Unparsable,
    Writer,
    with_condition,
)
from marie_operator.runtime.resource import PODS, ObjectKey, Resource

RETRY_REFUSED = 15.0
"""Seconds after which a child that was refused is tried again: what stood in the way may be gone without an event."""

OWNER_INDEX = "owner"
CLUSTER_INDEX = "cluster"


class NotOursError(Exception):
    """A child's name is taken by an object that the cluster does not control."""

    def __init__(self, resource: Resource, key: ObjectKey) -> None:
        super().__init__(
            f"{resource.kind} {key.name} exists and does not belong to this cluster;"
            " delete or rename it, or give the cluster another name."
        )


class MarieClusterReconciler:
    """Makes a MarieCluster's children what its spec says, and its status what they are.

    Args:
        clusters: The MarieClusters.
        cache: Informers of every kind in the chain and of pods.
        client: Writes; what it writes is in ``cache`` at once.
        gateways: What is known of each cluster's gateway.
        gateway_url: Where a cluster's gateway is reached, from its key and its Service's URL.
        events: Where events go.
        clock: For the times in status.
    """

    def __init__(
        self,
        *,
        clusters: Typed[MarieCluster],
        cache: Cache,
        client: Writer,
        gateways: Gateways,
        gateway_url: Callable[[ObjectKey, str], str],
        events: EventRecorder,
        clock: Clock,
    ) -> None:
        self._clusters = clusters
        self._cache = cache
        self._client = client
        self._gateways = gateways
        self._gateway_url = gateway_url
        self._events = events
        self._clock = clock

    async def reconcile(self, key: ObjectKey) -> Result:
        """Bring one cluster closer to its spec."""
        cluster = self._clusters.get(key)
        if cluster is None:
            self._gateways.forget(key)
            return Result()
        if isinstance(cluster, Unparsable):
            return await self._report_unreadable(cluster)
        if cluster.metadata.deletion_timestamp is not None:
            # Owner references remove the children; only the watch on the gateway is ours to end.
            self._gateways.forget(key)
            return await self._report(self._observe(cluster, ()), ())
        if problems := validation.problems(cluster):
            refusal = Refusal(ClusterReason.INVALID_SPEC, " ".join(problem.message for problem in problems))
            return await self._report(self._observe(cluster, (refusal,)), ())
        changes, refusals = await self._converge(cluster)
        self._watch_gateway(cluster)
        return await self._report(self._observe(cluster, refusals), changes)

    async def _converge(self, cluster: MarieCluster) -> tuple[Sequence[str], Sequence[Refusal]]:
        """Write what differs; a child that is refused does not keep the others from being written."""
        changes: list[str] = []
        refusals: list[Refusal] = []
        for step in steps(chain.desired(cluster), self._children(cluster)):
            try:
                changes.append(await self._take(cluster, step))
            except (Invalid, Forbidden, ApplyConflict, NotOursError) as error:
                refusals.append(_refusal(step, error))
        return changes, refusals

    async def _take(self, cluster: MarieCluster, step: Step) -> str:
        """Carry out one step and tell the user; returns what was done."""
        kind, name = step.resource.kind, _name(step)
        if isinstance(step, Remove):
            with contextlib.suppress(NotFound):
                await self._client.delete(step.resource, ObjectKey.of(step.live), uid=step.live["metadata"]["uid"])
            reason, done = EventReason.DELETED, f"Deleted {kind} {name}"
        elif isinstance(step, Create):
            await self._refuse_to_adopt(cluster, step.resource, ObjectKey.of(step.desired))
            await self._client.apply(step.resource, step.desired, field_manager=association.FIELD_MANAGER)
            reason, done = EventReason.CREATED, f"Created {kind} {name}"
        else:
            await self._client.apply(step.resource, step.desired, field_manager=association.FIELD_MANAGER)
            reason, done = EventReason.CHANGED, f"Changed {kind} {name}: {_listed(step.paths)}"
        self._events.record(_reference(cluster), type="Normal", reason=reason, action="Reconcile", note=done)
        return done

    async def _refuse_to_adopt(self, cluster: MarieCluster, resource: Resource, key: ObjectKey) -> None:
        """Make sure that a child's name is free.

        Server-side apply would quietly merge into an object that someone else made, and the owner
        reference would have it deleted with the cluster. The informers select by label, so only
        the API server knows.

        Raises:
            NotOursError: an object of this name exists that the cluster does not control.
        """
        with contextlib.suppress(NotFound):
            live = await self._client.get(resource, key)
            if association.owner_uid(live) != cluster.metadata.uid:
                raise NotOursError(resource, key)

    def _children(self, cluster: MarieCluster) -> Children:
        return {
            (link.resource, live["metadata"]["name"]): live
            for link in chain.CHAIN
            for live in self._cache[link.resource].indexed(OWNER_INDEX, cluster.metadata.uid)
        }

    def _observe(self, cluster: MarieCluster, refusals: Sequence[Refusal]) -> Observation:
        return Observation(
            cluster=cluster,
            children=self._children(cluster),
            pods=self._cache[PODS].indexed(CLUSTER_INDEX, str(_key(cluster))),
            gateway=self._gateways.view(_key(cluster)),
            now=self._clock.now(),
            refusals=refusals,
        )

    def _watch_gateway(self, cluster: MarieCluster) -> None:
        """Ask the gateway how it is while the cluster is meant to run."""
        key = _key(cluster)
        if cluster.spec.suspend:
            self._gateways.forget(key)
        else:
            self._gateways.ensure(key, self._gateway_url(key, endpoints.of(cluster)["http"]))

    async def _report(self, seen: Observation, changes: Sequence[str]) -> Result:
        """Write the status when it says something new, and tell the turns of the cluster's life as events."""
        old, live = seen.cluster.status, self._cache[kinds.MARIE_CLUSTERS].get(_key(seen.cluster))
        new = status.of(seen)
        write, wait = status.due(new, old, seen.now)
        if write is not None and live is not None:
            content = write.model_dump(mode="json", by_alias=True, exclude_none=True)
            await write_status(self._client, kinds.MARIE_CLUSTERS, live, content)
            self._announce(seen.cluster, old, write)
        if wait is not None:
            return Result(requeue_after=wait.total_seconds(), changes=tuple(changes))
        return Result(requeue_after=RETRY_REFUSED if seen.refusals else None, changes=tuple(changes))

    async def _report_unreadable(self, cluster: Unparsable) -> Result:
        """Say on the object what keeps it from being read; its children stay as they are."""
        live = cluster.object
        before = live.get("status") or {}
        conditions = with_condition(
            before.get("conditions") or (),
            type=ClusterCondition.READY,
            status="False",
            reason=ClusterReason.UNREADABLE,
            message=cluster.error,
            generation=live["metadata"].get("generation", 0),
            now=self._clock.now(),
        )
        await write_status(self._client, kinds.MARIE_CLUSTERS, live, {**before, "conditions": conditions})
        return Result()

    def _announce(self, cluster: MarieCluster, old: MarieClusterStatus, new: MarieClusterStatus) -> None:
        """Events for what has turned: readiness, and advice on a spec that is new."""
        before, after = (_condition(item, ClusterCondition.READY) for item in (old, new))
        if after is not None and (before is None or (before.status, before.reason) != (after.status, after.reason)):
            self._events.record(
                _reference(cluster),
                type="Warning" if after.reason in _ALARMING else "Normal",
                reason=after.reason,
                action="Reconcile",
                note=after.message,
            )
        if old.observed_generation != new.observed_generation:
            for advice in chain.warnings(cluster):
                self._events.record(
                    _reference(cluster),
                    type="Warning",
                    reason=EventReason.SEVERAL_SCHEDULERS,
                    action="Reconcile",
                    note=advice,
                )


_ALARMING = frozenset(
    {
        ClusterReason.SERVER_FAILING,
        ClusterReason.EXECUTORS_FAILING,
        ClusterReason.INVALID_SPEC,
        ClusterReason.NAME_TAKEN,
        ClusterReason.CHILD_REFUSED,
        ClusterReason.FIELD_CONFLICT,
        ClusterReason.PERMISSION_DENIED,
    }
)


def _refusal(step: Step, error: Invalid | Forbidden | ApplyConflict | NotOursError) -> Refusal:
    child = f"{step.resource.kind} {_name(step)}"
    match error:
        case NotOursError():
            return Refusal(ClusterReason.NAME_TAKEN, str(error))
        case ApplyConflict(conflicts=conflicts):
            fields = "; ".join(f"{conflict.field} by {conflict.manager}" for conflict in conflicts)
            return Refusal(
                ClusterReason.FIELD_CONFLICT,
                f"{child} is not changed, because others own fields that the spec sets: {fields}."
                " Remove them from one of the two.",
            )
        case Forbidden():
            return Refusal(ClusterReason.PERMISSION_DENIED, f"{child}: {error.message}.")
        case _:
            return Refusal(ClusterReason.CHILD_REFUSED, f"The API server refuses {child}: {error.message}.")


def _condition(status: MarieClusterStatus, kind: ClusterCondition) -> Condition | None:
    return next((item for item in status.conditions if item.type == kind), None)


def _name(step: Step) -> str:
    manifest = step.live if isinstance(step, Remove) else step.desired
    return str(manifest["metadata"]["name"])


def _listed(paths: Sequence[str], limit: int = 3) -> str:
    more = f" and {len(paths) - limit} more" if len(paths) > limit else ""
    return ", ".join(paths[:limit]) + more


def _key(cluster: MarieCluster) -> ObjectKey:
    return ObjectKey(cluster.metadata.namespace, cluster.metadata.name)


def _reference(cluster: MarieCluster) -> ObjectReference:
    return ObjectReference(
        api_version=cluster.api_version,
        kind=cluster.kind,
        namespace=cluster.metadata.namespace,
        name=cluster.metadata.name,
        uid=cluster.metadata.uid,
    )
