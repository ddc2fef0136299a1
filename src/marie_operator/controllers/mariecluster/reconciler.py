"""The MarieCluster reconciler: see, compare, write what differs, say how it is."""

from collections.abc import Callable, Collection, Sequence

from marie_operator.api import validation
from marie_operator.api.conditions import ClusterReason, EventReason
from marie_operator.api.mariecluster import MarieCluster
from marie_operator.builders import association, backing, chain, endpoints, mounted
from marie_operator.controllers import custody, kinds
from marie_operator.controllers.mariecluster import (
    executors,
    ledger,
    pause,
    refusals,
    reloads,
    report,
    sharing,
    sizes,
    status,
    stranded,
    tending,
    upgrade,
)
from marie_operator.controllers.mariecluster.admission import Admission
from marie_operator.controllers.mariecluster.executors import Outlook
from marie_operator.controllers.mariecluster.news import News, Told
from marie_operator.controllers.mariecluster.pause import Pause
from marie_operator.controllers.mariecluster.refusals import Refusal
from marie_operator.controllers.mariecluster.routes import Routes, RouteView
from marie_operator.controllers.mariecluster.settled import Settled
from marie_operator.controllers.mariecluster.status import Observation
from marie_operator.controllers.mariecluster.supplies import Problem, Supplies
from marie_operator.controllers.mariecluster.upgrade import Upgrade
from marie_operator.controllers.mariecluster.vetting import Vetting
from marie_operator.controllers.named import NamedObjects
from marie_operator.marie.gateways import Gateways
from marie_operator.runtime import (
    Cache,
    Clock,
    EventRecorder,
    Result,
    Typed,
    Unparsable,
    Writer,
)
from marie_operator.runtime.children import Create, LiveChildren, Remove, Step, identity, steps
from marie_operator.runtime.ownership import Owners
from marie_operator.runtime.resource import (
    DEPLOYMENTS,
    PERSISTENT_VOLUME_CLAIMS,
    PODS,
    STATEFUL_SETS,
    Object,
    ObjectKey,
)

OWNER_INDEX = "owner"
CLUSTER_INDEX = "cluster"


class MarieClusterReconciler:
    """Makes a MarieCluster's children what its spec says, and its status what they are.

    Args:
        clusters: The MarieClusters.
        cache: Informers of every kind in the chain and of pods.
        client: Writes; what it writes is in ``cache`` at once.
        named: Reads Secrets and ConfigMaps.
        supplies: Sees to the clusters' own Secrets.
        routes: Sees to their HTTPRoutes.
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
        named: NamedObjects,
        supplies: Supplies,
        routes: Routes,
        gateways: Gateways,
        gateway_url: Callable[[ObjectKey, str], str],
        events: EventRecorder,
        clock: Clock,
    ) -> None:
        self._clusters = clusters
        self._cache = cache
        self._client = client
        self._named = named
        self._supplies = supplies
        self._routes = routes
        self._gateways = gateways
        self._gateway_url = gateway_url
        self._events = events
        self._clock = clock
        self._settled = Settled()
        self._admission = Admission()
        self._vetting = Vetting(client, self._admission)
        self._told: dict[ObjectKey, set[str]] = {}
        self._owners = Owners(cache[kinds.MARIE_CLUSTERS], [cache[resource] for resource in chain.KINDS], client)

    async def reconcile(self, key: ObjectKey) -> Result:
        """Bring one cluster closer to its spec."""
        await self._owners.current(key)
        cluster = self._clusters.get(key)
        if cluster is None:
            self._gateways.forget(key)
            self._settled.forget(key)
            self._admission.forget(key)
            self._vetting.forget(key)
            self._routes.forget(key)
            self._told.pop(key, None)
            return Result()
        if not custody.is_ours(cluster):
            self._gateways.forget(key)
            return Result()
        if isinstance(cluster, Unparsable):
            return await report.unreadable(self._client, cluster, self._clock.now())
        if cluster.metadata.deletion_timestamp is not None:
            # Owner references remove the children; only the watch on the gateway is ours to end.
            self._gateways.forget(key)
            refused = await tending.tend(
                executors.going(cluster, self._pods(cluster), self._clock.now()), self._client, News()
            )
            return await self._report(self._observe(cluster, refused), News())
        news = News()
        try:
            return await self._run(cluster, news)
        finally:
            for event in news.events():
                self._events.record(
                    kinds.reference_to(cluster),
                    type=event.type,
                    reason=event.reason,
                    action="Reconcile",
                    note=event.note,
                )

    async def _run(self, cluster: MarieCluster, news: News) -> Result:
        """Bring a cluster that is to stay closer to its spec."""
        if broken := validation.problems(cluster):
            pausing = self._go_on(cluster)
            refusal = Refusal(ClusterReason.INVALID_SPEC, " ".join(rule.message for rule in broken))
            return await self._report(self._observe(cluster, (refusal,), pausing=pausing), news)
        if custody.is_paused(cluster):
            await self._watch_gateway(cluster)
            pausing = self._go_on(cluster)
            outlook = self._look_at_executors(cluster, news)
            return await self._report(self._observe(cluster, (), outlook=outlook, pausing=pausing), news)
        problems = await self._supply(cluster, news)
        await self._watch_gateway(cluster)
        outlook = self._look_at_executors(cluster, news)
        children = self._children(cluster)
        is_configured = _is_configured(cluster, children)
        anew = stranded.pods(children, self._pods(cluster))
        refused = [*outlook.refusals, *await tending.tend(outlook, self._client, news, stranded=anew)]
        withhold = bool(problems) and not cluster.spec.suspend
        todo = await self._todo(cluster, outlook, withhold=withhold)
        if todo is not None and any(each.service is backing.Service.POSTGRES for each in problems):
            todo = [step for step in todo if not _makes_database(cluster, step)]
        pending, todo, vetoed = await self._decide(cluster, todo)
        refused += vetoed
        # Marked first: whoever finds a worker withdrawn knows that its pod is to go.
        self._gateways.ask(kinds.key_of(cluster), pending.asks(outlook.question))
        self._gateways.withhold(kinds.key_of(cluster), on=pending.withholds)
        pausing = self._pause(cluster, wanted=pending.pauses)
        if todo is not None:
            incomplete = withhold or bool(vetoed)
            refused += await self._converge(cluster, todo, outlook, pending, news, incomplete=incomplete)
        # While a change waits, pods are made from templates that mount the configuration.
        if is_configured and not (refused or withhold or pending.held or outlook.kept):
            await self._supplies.retire(cluster, news.done)
        route = await self._routes.provide(cluster, news.done)
        refused += () if route is None else route.refusals
        return await self._report(self._observe(cluster, refused, problems, outlook, pending, route, pausing), news)

    async def _decide(
        self, cluster: MarieCluster, todo: Sequence[Step] | None
    ) -> tuple[Upgrade, Sequence[Step] | None, Sequence[Refusal]]:
        """What becomes of changes that replace pods, what is left to be written, and what of it would be refused."""
        key, children, known = kinds.key_of(cluster), self._children(cluster), self._known(cluster)
        waiting = upgrade.waiting(cluster, todo or (), children, known)
        vetoed = await self._vetting.refused(key, waiting, children)
        if todo is not None and waiting:
            todo = [step for step in todo if identity(step) not in vetoed]
            todo = self._admission.left(key, todo, children)
        return upgrade.decide(cluster, todo or (), children, known), todo, [*vetoed.values()]

    def _go_on(self, cluster: MarieCluster) -> Pause:
        """Have documents submitted and begun: no change waits, or can be made."""
        self._gateways.withhold(kinds.key_of(cluster), on=False)
        return self._pause(cluster, wanted=False)

    def _pause(self, cluster: MarieCluster, *, wanted: bool | None) -> Pause:
        """Have Marie's scheduler paused as wanted, once it is in the status that it is the operator who pauses it."""
        key = kinds.key_of(cluster)
        self._gateways.pause(key, on=pause.order(cluster.status, wanted))
        server = any(
            each["metadata"]["labels"].get(association.NODE_TYPE_LABEL) == association.SERVER
            for each in self._pods(cluster)
        )
        return pause.told(cluster.status, wanted, self._gateways.view(key), server=server)

    def _known(self, cluster: MarieCluster) -> upgrade.Known:
        """What is known of a cluster's work."""
        key = kinds.key_of(cluster)
        return upgrade.Known(
            gateway=self._gateways.view(key),
            occupancy=self._gateways.occupancy(key),
            hold=self._gateways.hold(key),
            now=self._clock.now(),
            monotonic=self._clock.monotonic(),
        )

    def _look_at_executors(self, cluster: MarieCluster, news: News) -> Outlook:
        """What is to become of the executors' pods; with the cluster suspended all go at once, and the server too."""
        if cluster.spec.suspend:
            return executors.going(cluster, self._pods(cluster), self._clock.now())
        occupancy = self._gateways.occupancy(kinds.key_of(cluster))
        if occupancy is not None:
            news.more += [
                Told("Warning", EventReason.WORK_LOST, executors.lost(address, task))
                for address, task in occupancy.lost.items()
                if not self._is_told(cluster, f"{address} {task}")
            ]
        return executors.outlook(
            cluster,
            children=self._children(cluster),
            pods=self._pods(cluster),
            occupancy=occupancy,
            age=0.0 if occupancy is None else self._clock.monotonic() - occupancy.at,
            now=self._clock.now(),
        )

    async def _supply(self, cluster: MarieCluster, news: News) -> Sequence[Problem]:
        """See to what the pods' configuration is made of; returns what is wrong with it."""
        if backing.of(cluster) is None:
            return ()
        children = self._children(cluster)
        has_data = (PERSISTENT_VOLUME_CLAIMS, association.postgres_name(cluster.metadata.name)) in children
        problems = await self._supplies.provide(cluster, news.done, has_data=has_data)
        return [*problems, *self._shared(cluster)]

    def _shared(self, cluster: MarieCluster) -> Sequence[Problem]:
        clusters = self._cache[kinds.MARIE_CLUSTERS]
        live = clusters.get(kinds.key_of(cluster))
        if live is None:
            return ()
        others = {store: clusters.indexed(sharing.STORE_INDEX, store) for store in sharing.stores(live)}
        return sharing.problems(live, others)

    async def _todo(self, cluster: MarieCluster, outlook: Outlook, *, withhold: bool) -> Sequence[Step] | None:
        """What is to be written; None where it is known, without a look, that nothing is.

        Args:
            cluster: The cluster.
            outlook: Which Deployments cannot be as small yet as they are wanted, or cannot go yet.
            withhold: Whether Marie's pods are to be left as they are, because they could not work as wanted.
        """
        children = self._children(cluster)
        by_itself = not _reads_by_name(cluster)
        if by_itself and self._settled.holds(cluster, children, outlook.replicas) and not outlook.kept:
            return None
        desired = sizes.sized(chain.desired(cluster), outlook.replicas, outlook.taken)
        if not by_itself:
            desired = await reloads.stamped(cluster, desired, children, self._named)
        todo = self._admission.left(kinds.key_of(cluster), steps(desired, children, kept=chain.KEPT), children)
        return [
            step
            for step in todo
            if step.resource != DEPLOYMENTS
            or (refusals.name(step) not in outlook.kept if isinstance(step, Remove) else not withhold)
        ]

    async def _converge(
        self,
        cluster: MarieCluster,
        todo: Sequence[Step],
        outlook: Outlook,
        pending: Upgrade,
        news: News,
        *,
        incomplete: bool,
    ) -> list[Refusal]:
        """Write what differs; a child that is refused does not keep the others from being written.

        Args:
            cluster: The cluster.
            todo: What is to be written.
            outlook: Which Deployments cannot go yet.
            pending: Which changes wait.
            news: Takes what was written.
            incomplete: Whether more is to be written later.
        """
        found: list[Refusal] = []
        # As compared, and as answered: what others have changed since is not among it.
        known = dict(self._children(cluster))
        volumeless: set[str] = set()
        for step in todo:
            if identity(step) in pending.held or _starts_store(step, volumeless):
                continue
            live = known.get(identity(step))
            try:
                done = await sizes.carry_out(step, live, self._client, owner_uid=cluster.metadata.uid)
            except refusals.REFUSED as error:
                refusal = refusals.of(step, error)
                self._vetting.note(kinds.key_of(cluster), step, live, refusal)
                found.append(refusal)
                if isinstance(step, Create) and step.resource == PERSISTENT_VOLUME_CLAIMS:
                    volumeless.add(refusals.name(step))
                continue
            news.done.append(done)
            if done.answer is None:
                del known[identity(step)]
            else:
                known[identity(step)] = done.answer
                self._admission.note(kinds.key_of(cluster), step, done.answer)
        if pending.forced and not found:
            news.more.append(Told("Warning", EventReason.UPGRADE_FORCED, pending.forced))
        if not found and not (incomplete or outlook.kept or pending.held or _reads_by_name(cluster)):
            self._settled.note(cluster, known, outlook.replicas)
        return found

    def _is_told(self, cluster: MarieCluster, what: str) -> bool:
        """Whether something was told already; from now on it is."""
        told = self._told.setdefault(kinds.key_of(cluster), set())
        known = what in told
        told.add(what)
        return known

    def _children(self, cluster: MarieCluster) -> LiveChildren:
        return {
            (kind, live["metadata"]["name"]): live
            for kind in chain.KINDS
            for live in self._cache[kind].indexed(OWNER_INDEX, cluster.metadata.uid)
        }

    def _pods(self, cluster: MarieCluster) -> Sequence[Object]:
        return self._cache[PODS].indexed(CLUSTER_INDEX, str(kinds.key_of(cluster)))

    def _observe(
        self,
        cluster: MarieCluster,
        refused: Sequence[Refusal],
        problems: Sequence[Problem] = (),
        outlook: Outlook | None = None,
        pending: Upgrade | None = None,
        route: RouteView | None = None,
        pausing: Pause | None = None,
    ) -> Observation:
        return Observation(
            cluster=cluster,
            children=self._children(cluster),
            pods=self._pods(cluster),
            gateway=self._gateways.view(kinds.key_of(cluster)),
            now=self._clock.now(),
            refusals=refused,
            problems=problems,
            groups={} if outlook is None else outlook.views,
            upgrade=pending or Upgrade(),
            pause=pausing or Pause(),
            route=route,
        )

    async def _watch_gateway(self, cluster: MarieCluster) -> None:
        """Ask the gateway how it is from the time its pod is first ready, while the cluster is meant to run."""
        key = kinds.key_of(cluster)
        if cluster.spec.suspend:
            self._gateways.forget(key)
        elif self._gateways.watches(key) or self._server_is_ready(cluster):
            etcd = backing.addresses(cluster).get(backing.Service.ETCD)
            url = self._gateway_url(key, endpoints.of(cluster)["http"])
            database = await ledger.place(cluster, self._named)
            self._gateways.ensure(key, url, etcd="" if etcd is None else f"http://{etcd}", database=database)

    def _server_is_ready(self, cluster: MarieCluster) -> bool:
        name = association.server_deployment_name(cluster.metadata.name)
        live = self._cache[DEPLOYMENTS].get(ObjectKey(cluster.metadata.namespace, name))
        return live is not None and bool(live.get("status", {}).get("readyReplicas"))

    async def _report(self, seen: Observation, news: News) -> Result:
        """Say how the cluster is, and when to look at it again."""
        live = self._cache[kinds.MARIE_CLUSTERS].get(kinds.key_of(seen.cluster))
        return await report.write(self._client, live, seen, news, rereads=_reads_by_name(seen.cluster))


def _reads_by_name(cluster: MarieCluster) -> bool:
    """Whether a cluster depends on objects whose changes no event tells of."""
    templates = (cluster.spec.server_spec.template, *(each.template for each in cluster.spec.executor_group_specs))
    return backing.of(cluster) is not None or any(mounted.references(each["spec"]) for each in templates)


def _makes_database(cluster: MarieCluster, step: Step) -> bool:
    """Whether a step makes the managed database, whose volume tells that there has been a password for its data."""
    kinds_of_it = {PERSISTENT_VOLUME_CLAIMS, STATEFUL_SETS}
    made = isinstance(step, Create) and step.resource in kinds_of_it
    return made and refusals.name(step) == association.postgres_name(cluster.metadata.name)


def _starts_store(step: Step, volumeless: Collection[str]) -> bool:
    """Whether a step has a managed service begin on a volume that is another's, and may be about to go."""
    return isinstance(step, Create) and step.resource == STATEFUL_SETS and refusals.name(step) in volumeless


def _is_configured(cluster: MarieCluster, children: LiveChildren) -> bool:
    """Whether there may be a rendered configuration."""
    if backing.of(cluster) is not None or status.tells_of_services(cluster.status):
        return True
    name = association.config_secret_name(cluster.metadata.name)
    return any(
        volume.get("secret", {}).get("secretName") == name
        for (kind, _), live in children.items()
        if kind == DEPLOYMENTS
        for volume in live["spec"]["template"]["spec"].get("volumes") or ()
    )
