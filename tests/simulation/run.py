"""One run: a workload under chaos, then calm until nothing moves, and what must hold in the end."""

import asyncio
import contextlib
import gc
import logging
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NoReturn, TypeVar

import structlog

from marie_operator.builders import association
from marie_operator.testing import virtual
from marie_operator.testing.api import ApiStatus
from marie_operator.testing.apiserver.embedded import EmbeddedApiServer
from marie_operator.testing.apiserver.store import Bucket, Key
from marie_operator.testing.gateway import SimulatedMarie
from marie_operator.testing.kubelet import Behaviour, NodeSpec
from marie_operator.testing.workloads.deployment import Deployments
from marie_operator.testing.workloads.eviction import TaintEviction
from marie_operator.testing.workloads.garbage import GarbageCollector
from marie_operator.testing.workloads.job import Jobs
from marie_operator.testing.workloads.nodes import NodeLifecycle
from marie_operator.testing.workloads.replicaset import ReplicaSets
from marie_operator.testing.workloads.scheduler import Scheduler
from tests.simulation import chaos, workload
from tests.simulation.chaos import WEATHERS, Chaos, Hit
from tests.simulation.ending import COMPARED, Ending, differences
from tests.simulation.invariants import CLUSTERS, JOBS, LEASES, PODS, Invariants, condition
from tests.simulation.replica import LEASE, NAMESPACE, Replica
from tests.simulation.trace import Trace
from tests.simulation.wires import Port
from tests.simulation.workload import KEYS, TOLERANCE, Workload
from tests.simulation.world import World, confined, installed

T = TypeVar("T")

SHARED = 32
"""Seeds that share a workload, and with it the run without faults that their ends are compared with."""
USUAL = (0.0005, 0.005)
TERMS = ((15.0, 10.0, 3.0), (45.0, 30.0, 9.0), (45.0, 30.0, 9.0), (45.0, 30.0, 9.0))
PATIENCE = 1800.0
"""Seconds of calm within which everything comes to its end."""
BREATH = 4.0
"""Seconds of calm without a write after which a run is over that has come to the end of the one without faults."""
QUIET = 75.0
"""Seconds of calm without a write after which any run is over: longer than a lease outlives a holder that died, and
longer than a pod counts as busy after its last work."""
RESTING = 1 / 8
"""Of runs, those that stay at their end for that long and longer."""
GLANCE = 1.0
"""Seconds between two looks at what stands in statuses."""
SEARCHES = 3
"""Halves of an operator's messages until a submitter dies: it has searched with fifty by the time that it submits."""
IDLE = 75.0
"""Seconds for which nobody writes after that: whoever writes every two and a half minutes, or more often, is seen."""
REPAIR = 60.0
"""Seconds between two looks for work that Marie has lost to the death of its gateway, which a person has to repair."""
MARIE = "/apis/marie.ai/v1alpha1/namespaces/default"
NODES = (NodeSpec("node-1"), NodeSpec("node-2"))
CONTROLLERS = (ReplicaSets, Deployments, Jobs, GarbageCollector, NodeLifecycle, Scheduler)
"""Those that have something to do in a run."""
LEASE_PERIOD = 5.0
"""Seconds between the renewals of a node's lease where a node is lost; elsewhere there are none, which cost."""
LOST = 6 * LEASE_PERIOD + TOLERANCE
"""Seconds of a node's silence after which its pods have been evicted: a grace of four periods, looks, and a margin."""
KINDS: frozenset[Bucket] = frozenset(
    {
        *COMPARED,
        PODS,
        *(("", each) for each in ("events", "namespaces", "nodes", "serviceaccounts")),
        ("apps", "replicasets"),
        ("apiextensions.k8s.io", "customresourcedefinitions"),
        ("coordination.k8s.io", "leases"),
        ("events.k8s.io", "events"),
        *(
            ("rbac.authorization.k8s.io", f"{scope}role{what}")
            for scope in ("", "cluster")
            for what in ("s", "bindings")
        ),
    }
)
"""What has objects in a run, or is looked for there."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a run.

    Attributes:
        seed: Of the run.
        digest: Of everything that happened.
        problems: What must not be, and was.
        seconds: Of virtual time.
        writes: Of all replicas.
        spent: Seconds of processor time, with the run without faults where it was made for this one.
    """

    seed: int
    digest: str
    problems: tuple[str, ...]
    seconds: float
    writes: int
    spent: float = field(compare=False)


def simulate(seed: int, show: Callable[[str], None] | None = None) -> Outcome:
    """Run a seed, and its workload without faults, and compare the two.

    Args:
        seed: Decides everything.
        show: Where the lines of the trace go.
    """
    began, chance = time.process_time(), random.getstate()
    users = workload.drawn(seed // SHARED)
    calm = without_faults(seed // SHARED)
    source = random.Random(f"faults {seed}")
    ill, terms = chaos.drawn(source, users.size), source.choice(TERMS)
    replicas, rests = source.choice((1, 2)), source.random() < RESTING
    run = _Run(users, ill, source, Trace(show), replicas=replicas, terms=terms, model=None if rests else calm.ending)
    problems = run.carried_out()
    if run.ending is not None and calm.ending is not None:
        problems += differences(calm.ending, run.ending)
    problems = [f"without faults: {problem}" for problem in calm.problems] + problems
    if random.getstate() != chance:
        problems.append("the seed does not decide everything: somebody drew numbers that are nobody's")
    spent = time.process_time() - began
    return Outcome(seed, run.trace.digest, tuple(problems), run.seconds, run.writes, spent)


@dataclass(frozen=True, slots=True)
class Reference:
    """What becomes of a workload without faults."""

    ending: Ending | None
    problems: tuple[str, ...]


@lru_cache(maxsize=4)
def without_faults(seed: int) -> Reference:
    """The end of a workload of this seed, with one replica that nothing disturbs."""
    return undisturbed(workload.drawn(seed), f"calm {seed}")


def undisturbed(users: Workload, seed: str) -> Reference:
    """The end of a workload, with one replica that nothing disturbs."""
    run = _Run(users, Chaos(), random.Random(seed), Trace())
    problems = run.carried_out()
    return Reference(run.ending, tuple(problems))


@lru_cache(maxsize=1)
def prepare() -> EmbeddedApiServer:
    """Make what every run begins with, once, and leave it out of the collector's sight."""
    origin = confined(installed(), KINDS)
    gc.collect()
    gc.freeze()
    return origin


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """Look for garbage at the end, all at once; not at all where nobody does."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.collect()


class _Run:
    """A run.

    Args:
        users: What they do.
        ill: What goes wrong.
        source: Decides what is left.
        trace: What happened.
        replicas: Of the operator.
        terms: Of the election; None for a replica that leads as it starts.
        model: What it is over with at once; None for one that stays at its end, and is seen to be at rest.
    """

    def __init__(
        self,
        users: Workload,
        ill: Chaos,
        source: random.Random,
        trace: Trace,
        *,
        replicas: int = 1,
        terms: tuple[float, float, float] | None = None,
        model: Ending | None = None,
    ) -> None:
        self.users, self.ill, self.source, self.trace = users, ill, source, trace
        self.replicas, self.terms, self.model = replicas, terms, model
        self.ending: Ending | None = None
        self.seconds = 0.0
        self.writes = 0
        self._problems: list[str] = []
        self._ended: list[Port] = []
        self._over = False

    def carried_out(self) -> list[str]:
        """Run it to its end; what must not be, and was."""
        self._origin = prepare()
        with _uncollected():
            try:
                with _errors(self._problems):
                    virtual.run(self._main)
            except Exception as error:  # noqa: BLE001 - whatever it is, it belongs to the seed
                self._problems.append(f"{type(error).__name__}: {error}")
        return self._problems

    async def _main(self) -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: self._problems.append(f"unhandled: {context}"))
        behaviours = [Behaviour(start=self.source.choice((0.1, 1.0, 4.0)), stop=self.source.choice((0.0, 1.0)))]
        self.world = World(
            self._origin,
            self.source,
            usual=USUAL,
            replicas=self.replicas,
            terms=self.terms,
            nodes=NODES,
            behaviours=behaviours,
            lease_period=LEASE_PERIOD if self.ill.loses_nodes else 3600.0,
            outcome=self.users.outcome,
            keys=KEYS,
            trace=self.trace,
            controllers=(*CONTROLLERS, TaintEviction) if self.ill.loses_nodes else CONTROLLERS,
        )
        self.invariants = Invariants(self.world, self.users, self.ill, elected=self.terms is not None)
        async with self.world as world:
            world.network.weather = self.ill.weather
            for replica in world.replicas:
                replica.ended = self._on_end
                replica.start()
            looking = asyncio.create_task(self._look())
            async with asyncio.TaskGroup() as group:
                group.create_task(self._use())
                for hit in self.ill.hits:
                    group.create_task(self._strike(hit))
            await self._calm()
            if await self._settled():
                if self.model is None:
                    await self._idle()
                self.ending = Ending.of(world, self.invariants)
            self.invariants.check_documents()
            looking.cancel()
            await self._stop()
        self._problems += self.invariants.found
        self.seconds, self.writes = loop.time(), self.invariants.written

    async def _look(self) -> None:
        """Look every now and then at what nobody writes."""
        while True:
            await asyncio.sleep(GLANCE)
            self.invariants.look(led=self._led())

    # Users.

    async def _use(self) -> None:
        api = self.world.api
        for name in sorted({step.name for step in self.users.steps if step.name.startswith("c")}):
            secret = workload.key_secret(name)
            await api.apply(f"/api/v1/namespaces/default/secrets/{secret['metadata']['name']}", secret, manager="user")
        for step in self.users.steps:
            await asyncio.sleep(max(0.0, step.at - asyncio.get_running_loop().time()))
            path = f"{MARIE}/{'marieclusters' if step.name.startswith('c') else 'mariejobs'}/{step.name}"
            self.trace.note("user", f"wants {step.name}: {step.wish}")
            if step.wish is None:
                with contextlib.suppress(ApiStatus):
                    await api.delete(path)
            else:
                await api.apply(path, workload.manifest(step.name, step.wish), manager="user")

    # What goes wrong.

    async def _strike(self, hit: Hit) -> None:
        await asyncio.sleep(hit.at)
        self.trace.note("chaos", f"{hit.blow}, {hit.whom} for {hit.seconds:g} s, {hit.count}")
        world, replica = self.world, self.world.replicas[hit.whom % len(self.world.replicas)]
        match hit.blow:
            case "crash" if replica.running:
                await replica.crash()
            case "crash on message" if self._submits and hit.whom % 2:
                world.submitters.kill(hit.count * SEARCHES // 2)
            case "crash on message":
                replica.port.fuse = hit.count
            case "stand still":
                process = replica.process
                process.stop()
                world.network.troubles.last(hit.seconds)
                await asyncio.sleep(hit.seconds)
                process.resume()
            case "loop stalled" if replica.running:
                world.network.troubles.last(hit.holds_up)
                await replica.stall(hit.holds_up)
            case "restart" if replica.running:
                await replica.stop()
            case "api server down":
                world.network.down.add("apiserver")
                world.server.server.end_watches()
                await asyncio.sleep(hit.seconds)
                world.network.down.discard("apiserver")
            case "older cache":
                world.network.fall_behind(max(1, world.server.server.store.revision - hit.count))
                world.server.server.end_watches()
                await asyncio.sleep(hit.seconds)
                world.network.catch_up()
            case "compaction":
                world.server.server.store.compact()
            case "weather":
                world.network.weather = WEATHERS[hit.whom % len(WEATHERS)]
            case _:
                await self._strike_marie(hit)

    async def _strike_marie(self, hit: Hit) -> None:
        world = self.world
        match hit.blow:
            case "gateway killed":
                _, marie = self._chosen(list(self._gateways()), hit)
                marie.kill()
                await asyncio.sleep(hit.seconds)
                self._revive_gateways()
            case "pod deleted":
                if pods := self._pods():
                    name = self._chosen(pods, hit)
                    self.invariants.sacrificed.add(name)
                    with contextlib.suppress(ApiStatus):
                        await world.api.delete(f"/api/v1/namespaces/default/pods/{name}")
            case "container crash":
                if pods := self._pods():
                    world.kubelet.crash("default", self._chosen(pods, hit))
            case "node dead" | "node lost":
                node = self._chosen(list(NODES), hit).name
                world.kubelet.kill_node(node)
                await asyncio.sleep(hit.seconds + (LOST if hit.blow == "node lost" else 0.0))
                await world.kubelet.revive_node(node)
            case _:
                pass

    @staticmethod
    def _chosen(among: list[T], hit: Hit) -> T:
        return among[hit.whom % len(among)]

    def _on_end(self, replica: Replica, error: BaseException | None) -> None:
        if error is not None and type(error).__name__ != "LeadershipLost":
            self._problems.append(f"{replica.identity} ended with {error!r}")
        self._ended.append(replica.port)
        self.world.network.troubles.end(replica.port.name)
        if not replica.process.dead:
            # Whoever ends by itself, asked or not, has ended all that it began; what ends in this turn has its say.
            asyncio.get_running_loop().call_soon(self._look_behind, replica.port)
        if not self._over:
            asyncio.get_running_loop().call_later(self.source.uniform(0.5, 5.0), self._start, replica)

    @property
    def _submits(self) -> bool:
        """Whether pods submit documents."""
        return any(isinstance(step.wish, workload.Job) and step.wish.by_pod for step in self.users.steps)

    def _look_behind(self, port: Port) -> None:
        if tasks := port.process.tasks:
            self._problems.append(f"{port.name} has left tasks: {tasks}")
        if port.streams:
            self._problems.append(f"{port.name} has left {port.streams} watches open")

    def _start(self, replica: Replica) -> None:
        if not replica.running and not self._over:
            replica.start()

    # The end.

    async def _calm(self) -> None:
        """Nothing goes wrong any more."""
        self.trace.note("chaos", "ends")
        self.world.network.heal()
        for replica in self.world.replicas:
            replica.port.fuse = None
        self.world.submitters.spare()
        self._repair()

    async def _settled(self) -> bool:
        """Whether everything comes to its end, and stays there for a while."""
        loop = asyncio.get_running_loop()
        begin = repaired = ended = loop.time()
        look = BREATH
        while loop.time() < begin + PATIENCE:
            await asyncio.sleep(2.0)
            # Whoever leads next has not looked yet at what the one before left.
            if self._unfinished() or not self._led():
                ended = loop.time()
            calm = loop.time() - max(ended, self.invariants.last_write)
            if calm > QUIET:
                return True
            if calm < BREATH:
                look = BREATH
            elif calm > look and self.model is not None:
                # What goes on although all is done goes on in the runs that rest: to look twice as late is enough.
                look *= 2
                if not differences(self.model, Ending.of(self.world, self.invariants)):
                    return True
            if loop.time() - repaired > REPAIR:
                repaired = loop.time()
                self._repair()
        self._problems.append(f"not at its end after {PATIENCE:g} s: {'; '.join(self._unfinished()) or 'never quiet'}")
        return False

    def _unfinished(self) -> list[str]:
        """What has not come to its end yet."""
        found = []
        for cluster in self._objects(CLUSTERS):
            observed = (cluster.get("status") or {}).get("observedGeneration")
            if condition(cluster, "Ready") != "True" or observed != cluster["metadata"]["generation"]:
                found.append(f"{cluster['metadata']['name']} is not ready")
        found += [
            f"{job['metadata']['name']}: {(job.get('status') or {}).get('message')}"
            for job in self._objects(JOBS)
            if "True" not in {condition(job, "Complete"), condition(job, "Failed")}
        ]
        for name, wish in self.users.wanted.items():
            bucket = CLUSTERS if isinstance(wish, workload.Cluster) else JOBS
            if name not in {each["metadata"]["name"] for each in self._objects(bucket)}:
                found.append(f"{name} is not there")
        # Work goes on in Marie after its job was deleted, and pods count as busy until it ends.
        found += [f"{name} works" for name, marie in self._gateways() if marie.serving and marie.engine.nodes("active")]
        if any(pod["metadata"].get("deletionTimestamp") for pod in self._objects(PODS)):
            found.append("pods are ending")
        return found

    def _led(self) -> bool:
        """Whether a replica that lives has the lease, and nothing waits for another's to lapse."""
        if self.terms is None:
            return True
        lease = self.world.server.server.store.get(LEASES, Key(NAMESPACE, LEASE))
        holder = lease.object["spec"].get("holderIdentity") if lease is not None else None
        return any(replica.running and replica.identity == holder for replica in self.world.replicas)

    async def _idle(self) -> None:
        """Nobody writes at rest, nor when the operator starts anew."""
        await self._writes_nothing("rest")
        for replica in self.world.replicas:
            if replica.running:
                await replica.stop()
        await self._writes_nothing("rest since the operator started anew")
        if not (self._led() and all(replica.running for replica in self.world.replicas)):
            self._problems.append("not every replica has started anew, or nobody leads")

    async def _writes_nothing(self, what: str) -> None:
        before = self.invariants.written
        await asyncio.sleep(IDLE)
        if more := self.invariants.written - before:
            told = ", ".join(list(self.invariants.sent)[-more:])
            self._problems.append(f"{more} writes in {IDLE:g} s of {what}: {told}")

    async def _stop(self) -> None:
        """Every process ends cleanly, and nothing goes on of any that has ended, however it did."""
        self._over = True
        for replica in self.world.replicas:
            if replica.running:
                await replica.stop()
        await asyncio.sleep(0)
        for port in self._ended:
            self._look_behind(port)

    # Marie, as people look after it.

    def _repair(self) -> None:
        """Give back what was under way in a gateway that died, as people do by SQL: nothing else ever would.

        What nobody waits for any more they cancel: the operator gives it up after a while.
        """
        jobs = [job.get("status") or {} for job in self._objects(JOBS)]
        awaited = {each["refId"] for job in jobs for each in (job.get("documents") or {}).get("inFlight") or ()}
        for name, marie in self._gateways():
            engine = marie.engine
            workers = [worker.address for worker in engine.pool.workers() if worker.alive]
            in_hand = {node for address in workers for node in engine.in_hand(address)}
            active = engine.nodes("active")
            if marie.serving and any(node.id not in in_hand for node in active):
                self.trace.note("people", f"repair {name}")
                marie.kill()
                for node in active:
                    node.state = "retry"
                for dag in dict.fromkeys(node.dag_id for node in active):
                    if engine.dags[dag].ref_id not in awaited:
                        engine.cancel(dag)
        self._revive_gateways()

    def _revive_gateways(self) -> None:
        for name, marie in self._gateways():
            ready = any(
                condition(pod, "Ready") == "True" and "deletionTimestamp" not in pod["metadata"]
                for pod in self._objects(PODS)
                if pod["metadata"]["labels"].get(association.CLUSTER_LABEL) == name
                and pod["metadata"]["labels"].get(association.NODE_TYPE_LABEL) == association.SERVER
            )
            if ready and not marie.serving:
                marie.start()

    def _gateways(self) -> Iterator[tuple[str, SimulatedMarie]]:
        for name in sorted({step.name for step in self.users.steps if step.name.startswith("c")}):
            yield name, self.world.gateways.cluster("default", name)

    def _objects(self, bucket: Bucket) -> list[dict[str, Any]]:
        return [entry.object for entry in self.world.server.server.store.range(bucket, "default")]

    def _pods(self) -> list[str]:
        return [pod["metadata"]["name"] for pod in self._objects(PODS)]


@contextlib.contextmanager
def _errors(found: list[str]) -> Iterator[None]:
    """Take what the operator logs as an error for a problem; the rest is not even put together."""

    def take(_: Any, __: str, event: Any) -> NoReturn:
        problem = event.get("exc_info")
        found.append(f"logged: {event.get('event')} {event.get('problem', '')} {problem!r}")
        raise structlog.DropEvent

    before = structlog.get_config()
    structlog.configure(
        processors=[take],
        wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR),
        cache_logger_on_first_use=False,
    )
    try:
        yield
    finally:
        structlog.configure(**before)
