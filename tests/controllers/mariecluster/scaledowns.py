"""Random scale-downs of one executor group in virtual time: work comes and goes, and nobody sees the present.

The operator decides on pods and workers as they were a moment ago, the ReplicaSet's controller on pods and sizes of two
other moments, and the gateway gives work to whom it last knew. What deletes pods is the simulator's ReplicaSet, with an
order of its own. A sample of the same scenarios is played on a real one (tests/controlplane/test_scaledowns.py).
"""

import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from math import inf
from typing import Any, NamedTuple, Self

from marie_operator.controllers.mariecluster import scaling
from marie_operator.controllers.mariecluster.scaling import Doing, Group, Member
from marie_operator.testing.workloads import ranking
from marie_operator.testing.workloads.objects import is_ready

BEGINNING = datetime(2026, 1, 1, 12, tzinfo=UTC)
TICK = 0.25
GRACE = 300.0
LONGEST = 30.0
LENGTH = 45.0
PATIENCE = 180.0
"""Seconds without new work within which the size is reached: whoever was withdrawn and stays is replaced, and boots."""
NODES = ("n1", "n2", "n3")
BOOTS = (7.6, 15.0)
"""Seconds from the start of a container to its registration, at least and at most."""


@dataclass(frozen=True)
class Scenario:
    """What is decided before anything happens.

    Attributes:
        size: Pods at the beginning.
        load: Pieces of work a second.
        seconds: How long one takes on average.
        lags: Ages of the pods and of the sizes that the ReplicaSet's controller sees, and of the pods that the operator
            does; seconds.
        hearing: Seconds after which the gateway hears of a withdrawal.
        skew: Between the controller's clock and the operator's.
        unready: How often a second a pod ceases to be ready, or is again.
        changes: When people change their minds.
        costs: Whether pods have deletion costs of the users' own.
    """

    size: int
    load: float
    seconds: float
    lags: tuple[float, float, float]
    hearing: float
    skew: timedelta
    unready: float
    changes: tuple[float, ...]
    costs: bool

    @classmethod
    def drawn(cls, source: random.Random) -> Self:
        """One of many."""
        return cls(
            size=source.randint(1, 8),
            load=source.choice((0.0, 0.1, 0.5, 2.0, 5.0)),
            seconds=source.choice((0.5, 2.0, 8.0)),
            lags=(_lag(source), _lag(source), _lag(source)),
            hearing=source.choice((0.0, 0.2, 0.9)),
            skew=timedelta(seconds=source.uniform(-1, 1)),
            unready=source.choice((0.0, 0.0, 0.01)),
            changes=tuple(sorted(source.uniform(3, 25) for _ in range(source.choice((1, 1, 2, 3))))),
            costs=source.random() < 0.2,
        )


def _lag(source: random.Random) -> float:
    return source.choice((0.0, 0.3, 1.0, 2.0))


class Demand(NamedTuple):
    """A change of people's minds: pods that are to go first, and a size; None where it is as it was."""

    named: frozenset[str] | None
    size: int | None

    @classmethod
    def drawn(cls, source: random.Random, names: Sequence[str]) -> Self:
        """One of many, about the pods that there are."""
        named = None
        if source.random() < 0.3:
            named = frozenset(source.sample(names, min(len(names), source.choice((1, 2)))))
        return cls(named, source.randint(0, 8) if source.random() < 0.8 else None)


def cost(source: random.Random) -> str:
    """A deletion cost of the users' own."""
    return str(source.choice((-100, 0, 50)))


@dataclass
class Executor:
    """What is in a pod.

    Attributes:
        pod: As the API server has it; replaced, never changed.
        starts: When its container does; until then its pod is pending.
        boots: When it registers.
        registered: Whether etcd has its address.
        known: Until when the gateway may believe that it is registered; 0 before it has been.
        job: When its work ends; None while it has none.
        doomed: When it was deleted.
        withdrawn: When it was withdrawn.
        ends: When its containers do, grace or not.
    """

    pod: dict[str, Any]
    starts: float
    boots: float
    registered: bool = False
    known: float = 0.0
    job: float | None = None
    doomed: float | None = None
    withdrawn: float | None = None
    ends: float = inf


@dataclass
class Scene:
    """One scenario.

    Attributes:
        killed: Pods that had work in hand when their containers ended.
        surprised: Pods that were deleted with work in hand, and had their grace period to do it.
        cut: Work that was given to a worker in the moment between its withdrawal and the gateway's hearing of it.
        deleted: Pods that went.
    """

    seed: int
    killed: list[str] = field(default_factory=list)
    surprised: int = 0
    cut: int = 0
    deleted: list[str] = field(default_factory=list)
    now: float = 0.0
    history: list[tuple[float, tuple[dict[str, Any], ...], int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        source = self.source = random.Random(self.seed)
        self.executors: list[Executor] = []
        self.scenario = Scenario.drawn(source)
        self.numbers = self.told = 0
        self.live = self.wanted = self.scenario.size
        self.named: frozenset[str] = frozenset()
        self.load, self.unready = self.scenario.load, self.scenario.unready
        self.changes = list(self.scenario.changes)
        for _ in range(self.live):
            self.make(ready=True)
            self.executors[-1].pod = self.with_age(self.executors[-1].pod)

    # Pods.

    def make(self, *, ready: bool) -> None:
        source, self.numbers = self.source, self.numbers + 1
        name = f"g-{self.numbers}"
        notes = {ranking.DELETION_COST: cost(source)} if self.scenario.costs else {}
        owner = {"uid": "rs", "controller": True}
        metadata = {
            "name": name,
            "uid": f"{source.getrandbits(32):08x}",
            "creationTimestamp": self.stamp(),
            "annotations": notes,
            "ownerReferences": [owner],
        }
        pod = {"metadata": metadata, "spec": {}, "status": {"phase": "Pending"}}
        starts = self.now if ready else self.now + source.choice((1.0, 3.0, 12.0))
        executor = Executor(pod, starts, starts if ready else starts + source.choice(BOOTS))
        self.executors.append(executor)
        if ready:
            self.boot(executor)

    def with_age(self, pod: dict[str, Any]) -> dict[str, Any]:
        age = timedelta(seconds=self.source.choice((5, 60, 3000, 90000)) * self.source.uniform(0.5, 1.5))
        since = (BEGINNING - age).strftime("%Y-%m-%dT%H:%M:%SZ")
        conditions = [{"type": "Ready", "status": "True", "lastTransitionTime": since}]
        return {
            **pod,
            "metadata": {**pod["metadata"], "creationTimestamp": since},
            "status": {**pod["status"], "conditions": conditions},
        }

    def start(self, executor: Executor) -> None:
        restarts = self.source.choice((0, 0, 0, 2))
        status = {
            "phase": "Running",
            "podIP": executor.pod["metadata"]["name"],
            "containerStatuses": [{"name": "marie", "restartCount": restarts}],
        }
        executor.pod = {**executor.pod, "spec": {"nodeName": self.source.choice(NODES)}, "status": status}

    def boot(self, executor: Executor) -> None:
        if not executor.pod["spec"]:
            self.start(executor)
        executor.registered, executor.known = True, inf
        self.report(executor, "True")

    def report(self, executor: Executor, ready: str) -> None:
        conditions = [{"type": "Ready", "status": ready, "lastTransitionTime": self.stamp()}]
        executor.pod = {**executor.pod, "status": {**executor.pod["status"], "conditions": conditions}}

    def stamp(self) -> str:
        return (BEGINNING + timedelta(seconds=self.now)).strftime("%Y-%m-%dT%H:%M:%SZ")

    # What happens.

    def run(self) -> None:
        """Play it, and then let the work end until the group is as wanted."""
        look = 0.0
        while self.now < LENGTH + PATIENCE:
            self.now += TICK
            if self.now > LENGTH:
                self.load, self.unready = 0.0, 0.0
                if self.size == self.wanted and all(e.job is None for e in self.executors if e.doomed is not None):
                    break
            self.history.append((self.now, tuple(e.pod for e in self.executors if e.doomed is None), self.live))
            self.users()
            self.cluster()
            self.gateway()
            self.replica_set()
            if self.now >= look:
                self.operator()
                look = self.now + self.source.choice((0.5, 1.0, 1.0, 2.5))

    def users(self) -> None:
        if self.changes and self.now >= self.changes[0]:
            self.changes.pop(0)
            names = [e.pod["metadata"]["name"] for e in self.executors if e.doomed is None]
            demand = Demand.drawn(self.source, names)
            self.named = self.named if demand.named is None else demand.named
            self.wanted = self.wanted if demand.size is None else demand.size

    def cluster(self) -> None:
        for executor in self.executors:
            if executor.ends <= self.now or (executor.doomed is not None and executor.doomed <= executor.starts):
                if executor.job is not None and executor.known > self.now:
                    self.killed.append(f"{executor.pod['metadata']['name']} had work in hand")
                executor.registered, executor.known = False, min(executor.known, self.now)
                continue
            if not executor.pod["spec"] and executor.starts <= self.now:
                self.start(executor)
            if executor.known == 0.0 and executor.boots <= self.now:
                self.boot(executor)
            elif executor.doomed is None and executor.known and self.source.random() < self.unready * TICK:
                self.report(executor, "False" if is_ready(executor.pod) else "True")

    def gateway(self) -> None:
        for executor in self.executors:
            if executor.job is None:
                continue
            if executor.known <= self.now:
                # Its connection is dropped, and what it was given in the last moment with it.
                self.cut += 1
                executor.job = None
            elif executor.job <= self.now:
                executor.job = None
        if self.source.random() >= self.load * TICK:
            return
        free = [e for e in self.executors if e.job is None and self.now < e.known]
        if free:
            chosen = self.source.choice(free)
            chosen.job = self.now + min(self.source.expovariate(1 / self.scenario.seconds), LONGEST)

    def replica_set(self) -> None:
        pods, _ = self.past(self.scenario.lags[0])
        _, size = self.past(self.scenario.lags[1])
        self.told = size
        alive = {e.pod["metadata"]["uid"]: e for e in self.executors if e.doomed is None}
        if {pod["metadata"]["uid"] for pod in pods} != alive.keys():
            # Its controller waits until it has seen what it did itself.
            return
        if len(pods) < size:
            for _ in range(size - len(pods)):
                self.make(ready=False)
        elif len(pods) > size:
            moment = BEGINNING + timedelta(seconds=self.now) + self.scenario.skew
            for pod in ranking.victims(pods, len(pods) - size, moment):
                self.delete(alive[pod["metadata"]["uid"]])

    def delete(self, executor: Executor) -> None:
        executor.doomed = self.now
        self.deleted.append(executor.pod["metadata"]["name"])
        executor.ends = self.now + GRACE
        self.surprised += executor.job is not None

    def past(self, lag: float) -> tuple[tuple[dict[str, Any], ...], int]:
        for moment, pods, size in reversed(self.history):
            if moment <= self.now - lag:
                return pods, size
        return self.history[0][1:]

    # The operator.

    def operator(self) -> None:
        now = BEGINNING + timedelta(seconds=self.now)
        old, _ = self.past(self.scenario.lags[2])
        present = {e.pod["metadata"]["uid"]: e for e in self.executors if e.doomed is None}
        # Its own writes it knows at once; of others' it hears late.
        seen = []
        for pod in old:
            executor = present.get(pod["metadata"]["uid"])
            if executor is not None:
                notes = executor.pod["metadata"]["annotations"]
                seen.append({**pod, "metadata": {**pod["metadata"], "annotations": notes}})
        rank = {e.pod["metadata"]["uid"]: e for e in self.executors}
        members = [self.member(rank[pod["metadata"]["uid"]], pod) for pod in seen]
        settled = len(seen) == len(old) == len(present) and self.told == self.live
        plan = scaling.decide(Group(self.wanted, self.live, settled, members, self.named), now)
        for member, price in plan.mark:
            self.annotate(rank[member.uid], scaling.marked(member.pod, price, now))
        for member in plan.restore:
            self.annotate(rank[member.uid], scaling.restored(member.pod))
        dying = [e for e in self.executors if e.doomed is not None]
        ends = scaling.ending([self.member(executor, executor.pod) for executor in dying])
        withdraw = plan.withdraw | ends.withdraw
        for executor in self.executors:
            # A transaction of etcd: only who has no work, and was given none since, is withdrawn.
            if executor.pod["metadata"]["name"] in withdraw and executor.registered and executor.job is None:
                executor.registered, executor.withdrawn = False, self.now
                executor.known = self.now + self.scenario.hearing
        for member in plan.delete:
            self.delete(rank[member.uid])
        for member in ends.end:
            rank[member.uid].ends = min(rank[member.uid].ends, self.now + 1.0)
        self.live = plan.replicas

    def member(self, executor: Executor, pod: dict[str, Any]) -> Member:
        name = pod["metadata"]["name"]
        if not executor.known:
            return Member(pod, Doing.BOOTING if executor.pod["spec"] else Doing.IDLE)
        doing = Doing.BUSY if executor.job is not None else Doing.IDLE
        registered = frozenset([name]) if executor.registered else frozenset[str]()
        return Member(pod, doing, registered, None if executor.withdrawn is None else self.now - executor.withdrawn)

    def annotate(self, executor: Executor, changes: dict[str, str | None]) -> None:
        notes = {**executor.pod["metadata"]["annotations"], **changes}
        kept = {key: value for key, value in notes.items() if value is not None}
        executor.pod = {**executor.pod, "metadata": {**executor.pod["metadata"], "annotations": kept}}

    @property
    def size(self) -> int:
        """Pods that are there."""
        return sum(executor.doomed is None for executor in self.executors)


def main(first: int, count: int) -> int:
    """Play so many scenarios; the number of those in which a busy pod was killed, or the size was never reached."""
    failed, cut, surprised, deleted = 0, 0, 0, 0
    for seed in range(first, first + count):
        scene = Scene(seed)
        scene.run()
        cut, surprised, deleted = cut + scene.cut, surprised + scene.surprised, deleted + len(scene.deleted)
        wrong = scene.killed + ([] if scene.size == scene.wanted else [f"{scene.size} pods, {scene.wanted} wanted"])
        for each in wrong:
            print(f"seed {seed}: {each}")
        failed += bool(wrong)
    print(
        f"{count} scenarios, {deleted} pods deleted, {failed} scenarios in which a busy pod was killed or a size missed"
    )
    print(f"pods deleted with work in hand, which they ended: {surprised}; work cut off at a withdrawal: {cut}")
    return failed


if __name__ == "__main__":
    sys.exit(main(0, int(sys.argv[1])) > 0)
