"""The HTTPRoutes of clusters: written where the API server has such a kind, be it installed later than the cluster.

They are read by name and not watched: a watch on a kind that may not be there would keep the operator from starting.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from marie_operator.api.conditions import ClusterCondition, ClusterReason
from marie_operator.api.mariecluster import MarieCluster
from marie_operator.builders import association, http_route
from marie_operator.controllers.conditions import condition
from marie_operator.controllers.mariecluster import refusals
from marie_operator.controllers.mariecluster.refusals import Refusal
from marie_operator.runtime import Clock, Forbidden, NotFound, Writer
from marie_operator.runtime.children import Done, LiveChildren, carry_out, identity, steps
from marie_operator.runtime.ownership import controller_uid
from marie_operator.runtime.resource import HTTP_ROUTES, Object, ObjectKey

UNSETTLED, SETTLED = 15.0, 60.0
"""Seconds between two looks at a route, before Gateways have taken it and afterwards: no event tells of it."""

INSTALLATION = "https://gateway-api.sigs.k8s.io/guides/"


class RouteVerdict(NamedTuple):
    """What is told of a route; the status is None where nothing is known."""

    status: bool | None
    reason: ClusterReason
    message: str


@dataclass(frozen=True, slots=True)
class RouteView:
    """A route, as far as it has come.

    Attributes:
        verdict: What is told; None where it was refused.
        refusals: Why it is not what the cluster wants.
    """

    verdict: RouteVerdict | None = None
    refusals: tuple[Refusal, ...] = ()

    @property
    def again(self) -> float:
        """Seconds until another look."""
        return SETTLED if self.verdict is not None and self.verdict.status else UNSETTLED


@dataclass(frozen=True, slots=True)
class _Seen:
    uid: str
    generation: int
    at: float
    view: RouteView


class Routes:
    """Sees to the HTTPRoutes of clusters.

    Args:
        client: Reads and writes them.
        clock: Says when a route is to be looked at again.
    """

    def __init__(self, client: Writer, *, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._seen: dict[ObjectKey, _Seen] = {}

    async def provide(self, cluster: MarieCluster, changes: list[Done]) -> RouteView | None:
        """Write a cluster's route, or delete it, where that is due; None for a cluster that wants none.

        Args:
            cluster: A valid cluster.
            changes: Takes what was written.
        """
        meta, now = cluster.metadata, self._clock.monotonic()
        key = ObjectKey(meta.namespace, meta.name)
        if cluster.spec.http_route is None and not tells_of_route(cluster):
            return None
        known = self._seen.get(key)
        same = known is not None and (known.uid, known.generation) == (meta.uid, meta.generation)
        if known is not None and same and now - known.at < known.view.again:
            return known.view
        view = await self._converge(cluster, changes)
        if cluster.spec.http_route is None and not view.refusals:
            self._seen.pop(key, None)
            return None
        self._seen[key] = _Seen(meta.uid, meta.generation, now, view)
        return view

    def forget(self, cluster: ObjectKey) -> None:
        """The cluster is gone."""
        self._seen.pop(cluster, None)

    async def _converge(self, cluster: MarieCluster, changes: list[Done]) -> RouteView:
        options = cluster.spec.http_route
        desired = [] if options is None else [(HTTP_ROUTES, http_route.server(cluster, options))]
        try:
            live = await self._live(cluster)
        except NotFound:
            return RouteView(_kind_missing(cluster))
        except Forbidden as error:
            route = f"{HTTP_ROUTES.kind} {association.route_name(cluster.metadata.name)}"
            return RouteView(refusals=(refusals.worded(route, error),))
        for step in steps(desired, live):
            try:
                done = await carry_out(
                    step, self._client, owner_uid=cluster.metadata.uid, field_manager=association.FIELD_MANAGER
                )
            except refusals.REFUSED as error:
                return RouteView(refusals=(refusals.of(step, error),))
            changes.append(done)
            if done.answer is not None:
                live = {identity(step): done.answer}
        return RouteView(_verdict(cluster, next(iter(live.values()), {})))

    async def _live(self, cluster: MarieCluster) -> LiveChildren:
        """The cluster's own route, if there is one.

        Raises:
            NotFound: the API server has no such kind.
        """
        name = association.route_name(cluster.metadata.name)
        found = await self._client.find(HTTP_ROUTES, ObjectKey(cluster.metadata.namespace, name))
        ours = found is not None and controller_uid(found) == cluster.metadata.uid
        return {(HTTP_ROUTES, name): found} if found is not None and ours else {}


def tells_of_route(cluster: MarieCluster) -> bool:
    """Whether the cluster has had a route when its status was written."""
    return condition(cluster.status, ClusterCondition.HTTP_ROUTE_ACCEPTED) is not None


def _kind_missing(cluster: MarieCluster) -> RouteVerdict | None:
    if cluster.spec.http_route is None:
        return None
    return RouteVerdict(
        False,
        ClusterReason.ROUTE_KIND_MISSING,
        f"The API server has no {HTTP_ROUTES.kind} of {HTTP_ROUTES.api_version}: install the Gateway API's CRDs "
        f"({INSTALLATION}) and a controller of Gateways; the route then comes by itself. Or use spec.enableIngress.",
    )


def _verdict(cluster: MarieCluster, route: Object) -> RouteVerdict:
    """What the Gateways' controllers say of a route."""
    options = cluster.spec.http_route
    wanted = [] if options is None else [parent.name for parent in options.parent_refs]
    told = list(_told(route))
    for gateway, refusal, taken in told:
        if refusal:
            return RouteVerdict(
                False, ClusterReason.ROUTE_NOT_ACCEPTED, f"Gateway {gateway} does not take the route: {refusal}."
            )
        if not taken:
            wanted.append(gateway)
    taken_by = {gateway for gateway, _, taken in told if taken}
    missing = [gateway for gateway in dict.fromkeys(wanted) if gateway not in taken_by]
    if missing:
        return RouteVerdict(
            None,
            ClusterReason.ROUTE_PENDING,
            f"No controller has taken the route for Gateway {', '.join(missing)} yet; it needs to exist, of a "
            "GatewayClass whose controller runs.",
        )
    return RouteVerdict(
        True, ClusterReason.ROUTE_ACCEPTED, f"Gateway {', '.join(sorted(taken_by))} leads to the server."
    )


def _told(route: Object) -> Iterator[tuple[str, str, bool]]:
    """Each Gateway that was said something of the present route, with why it does not take it, and whether it does."""
    generation = route.get("metadata", {}).get("generation")
    for parent in route.get("status", {}).get("parents") or ():
        current = {
            each["type"]: each
            for each in parent.get("conditions") or ()
            if each.get("observedGeneration", generation) == generation
        }
        refused = next(
            (
                each.get("message") or each.get("reason") or "no reason given"
                for kind in ("Accepted", "ResolvedRefs")
                if (each := current.get(kind)) is not None and each["status"] == "False"
            ),
            "",
        )
        taken = current.get("Accepted", {}).get("status") == "True"
        yield str(parent["parentRef"]["name"]), str(refused).rstrip("."), taken
