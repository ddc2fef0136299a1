"""A sample of the random scale-downs on a real control plane: the real ReplicaSet controller chooses whom it deletes.

Pods end as soon as they are deleted, so that work in them is lost, and Marie tells: a task whose worker died is given a
second time, or stays active for ever. What is given to a worker in the moment of its withdrawal stays so too, and the
operator tells of each (docs/executor-groups.md). Nothing is concluded from how long anything takes. Latencies are the
real ones; pods that cease to be ready are left to the scenarios in virtual time.
"""

import asyncio
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count, islice
from typing import Any

import pytest

from marie_operator.api.conditions import EventReason
from marie_operator.builders import association
from marie_operator.testing.gateway import Dag, Document, Outcome, SimulatedMarie, etcd_application, serving
from marie_operator.testing.pod_status import is_ready
from marie_operator.testing.workloads.ranking import DELETION_COST
from tests.controllers.mariecluster.scaledowns import Demand, Scenario, cost
from tests.controlplane.clusters import cluster, group
from tests.controlplane.conftest import SPEED
from tests.controlplane.processes import ServedWorld
from tests.controlplane.world import World

SAMPLE = 12
EXECUTOR = "extract_executor"
REPLICA_SETS = "system:serviceaccount:kube-system:replicaset-controller"
PACE = 2.0
"""How much faster people change their minds than in virtual time."""
LONGEST = 8.0
"""Seconds that a piece of work takes at most."""
GOES_ON = 3.0
"""Seconds for which more work comes after the last change."""
PATIENCE = 240.0
"""Seconds that anything may take; on a machine that is not busy it takes a few."""


def chosen() -> Iterator[int]:
    """Seeds of scenarios with pods and with work to lose."""
    for seed in count():
        scenario = Scenario.drawn(random.Random(seed))
        if scenario.size > 2 and scenario.load >= 0.5:
            yield seed


@dataclass
class Play:
    """One scenario.

    Attributes:
        busy: Pods that had work in hand when their group was to be smaller.
    """

    world: World
    seed: int
    busy: int = 0
    wanted: int = field(init=False)

    def __post_init__(self) -> None:
        self.source = random.Random(self.seed)
        self.scenario = Scenario.drawn(self.source)
        self.name = f"c{self.seed}"
        self.wanted = self.scenario.size

    async def run(self) -> None:
        """Play it, until all work has ended and the group is as wanted."""
        marie = self.marie
        lengths = random.Random(-self.seed)

        def outcome(_: Document) -> Outcome:
            return Outcome(SPEED * min(lengths.expovariate(1 / self.scenario.seconds), LONGEST))

        marie.outcome = outcome
        async with serving(etcd_application(marie)) as etcd:
            await self.world.create(self.manifest(int(etcd.rpartition(":")[2])))
            await self.world.until(f"{self.name} runs", self.runs, timeout=PATIENCE, every=1.0)
            if self.scenario.costs:
                for pod in await self.pods():
                    notes = {"metadata": {"annotations": {DELETION_COST: cost(self.source)}}}
                    await self.world.patch("pods", pod["metadata"]["name"], notes)
            work = asyncio.create_task(self.work())
            try:
                await self.changes()
                await asyncio.sleep(GOES_ON)
            finally:
                work.cancel()
            await self.world.until(f"{self.name} has {self.wanted} pods", self.ended, timeout=PATIENCE, every=1.0)

    async def work(self) -> None:
        """Give it work as long as somebody has none."""
        for number in count():
            await asyncio.sleep(self.source.expovariate(self.scenario.load))
            engine = self.marie.engine
            if len(self.unfinished) < len(self.marie.executors.get(EXECUTOR, ())):
                about = {"ref_id": f"{number}", "uri": "s3://b/d", "planner": "extract", "policy": "allow_all"}
                engine.submit({"name": "extract", "metadata": about})

    async def changes(self) -> None:
        """People change their minds, once all pods that they asked for before run."""
        demands, before = random.Random(self.seed + 1), 0.0
        for moment in self.scenario.changes:
            await asyncio.sleep((moment - before) / PACE)
            before = moment
            await self.world.until(f"pods of {self.name} run", self.runs, timeout=PATIENCE, every=1.0)
            demand = Demand.drawn(demands, sorted(each["metadata"]["name"] for each in await self.pods()))
            spec: dict[str, Any] = group(
                "extract", executorType="extract", replicas=self.wanted if demand.size is None else demand.size
            )
            if demand.named is not None:
                spec |= {"scaleStrategy": {"workersToDelete": sorted(demand.named)}}
            if spec["replicas"] < self.wanted:
                self.busy += sum(map(self.works, await self.pods()))
            self.wanted = spec["replicas"]
            await self.world.patch("marieclusters", self.name, {"spec": {"executorGroupSpecs": [spec]}})

    def manifest(self, port: int) -> dict[str, Any]:
        """A cluster on an etcd of its own."""
        postgres = {"host": "db.invalid", "database": self.name, "credentialsSecretRef": {"name": "database"}}
        services = {"etcd": {"host": "127.0.0.1", "port": port}, "postgres": postgres}
        return cluster(
            self.name, group("extract", executorType="extract", replicas=self.wanted), backingServices=services
        )

    # What is seen.

    @property
    def marie(self) -> SimulatedMarie:
        """Its gateway."""
        return self.world.marie(self.name)

    @property
    def unfinished(self) -> list[Dag]:
        """Documents that are not done."""
        return [dag for dag in self.marie.dags if any(each.state != "completed" for each in dag.nodes[:-1])]

    async def pods(self) -> list[dict[str, Any]]:
        """Its executors that were not deleted."""
        chosen = f"{association.CLUSTER_LABEL}%3D{self.name},{association.NODE_TYPE_LABEL}%3Dexecutor"
        found = (await self.world.api.get(f"{self.world.path('pods')}?labelSelector={chosen}"))["items"]
        return [each for each in found if "deletionTimestamp" not in each["metadata"]]

    def works(self, pod: dict[str, Any]) -> bool:
        """Whether a pod has work in hand."""
        return bool(self.marie.engine.in_hand(f"{pod['status'].get('podIP')}:52110"))

    async def runs(self) -> bool:
        """Whether every pod that there is has registered, and there are no fewer than wanted."""
        pods = await self.pods()
        ready = len(pods) >= self.wanted and all(map(is_ready, pods))
        return ready and bool(self.marie.engine.running)

    async def ended(self) -> bool:
        """Whether the group is as wanted, and nobody works any more."""
        left = {node.id for dag in self.marie.dags for node in dag.nodes if node.state in {"active", "retry"}}
        return len(await self.pods()) == self.wanted and (not left or left <= await self.cut_off())

    async def cut_off(self) -> set[str]:
        """Tasks of which it was told that they were given away in the moment of a withdrawal: they stay active."""
        events = (await self.world.api.get(f"/apis/events.k8s.io/v1/namespaces/{self.world.namespace}/events"))["items"]
        notes = [each["note"] for each in events if each["reason"] == EventReason.WORK_LOST]
        return {task for note in notes for task in re.findall(r"given task (\S+)", note)}

    @property
    def lost(self) -> list[str]:
        """Pieces of work that were lost with their pod: begun more than once, or failed."""
        return [
            f"{self.name}: {node.name} of {dag.ref_id} was given {node.attempts} times, and is {node.state}"
            for dag in self.marie.dags
            for node in dag.nodes
            if node.attempts > 1 or node.state == "failed"
        ]


@pytest.mark.real
@pytest.mark.kuberay("KU-03")
async def test_the_real_replica_set_controller_kills_no_busy_pod(real_world: ServedWorld) -> None:
    credentials = {"username": "marie", "password": "s3cret"}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "database"}, "stringData": credentials}
    await real_world.create(secret)
    since = real_world.stage.audit.mark()
    plays = [Play(real_world, seed) for seed in islice(chosen(), SAMPLE)]
    async with asyncio.TaskGroup() as group:
        for play in plays:
            group.create_task(play.run())
    assert [each for play in plays for each in play.lost] == []

    # There was something to choose, and who chose was the controller.
    assert sum(play.busy for play in plays) > 0
    deleted = real_world.stage.audit.requests(user=REPLICA_SETS, verbs={"delete"}, since=since)
    assert sum(each.resource == "pods" and each.namespace == real_world.namespace for each in deleted) > SAMPLE
