"""The elector against the embedded API server, in virtual time; every schedule of its decisions is in the model."""

import asyncio
import itertools
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from marie_operator.runtime import (
    ApiError,
    Client,
    Elector,
    LeadershipLost,
    LoopClock,
    Manager,
    Metrics,
    NotLeader,
    Resource,
    Unreachable,
)
from marie_operator.testing import virtual
from marie_operator.testing.api import Api
from marie_operator.testing.apiserver.embedded import EmbeddedApiServer
from marie_operator.testing.apiserver.faults import Fault, refuse
from tests.runtime.line import LOST_AFTER, Line, Way

LEASES = "/apis/coordination.k8s.io/v1/namespaces/default/leases"
CONFIG_MAPS = Resource("", "v1", "ConfigMap", "configmaps")
LATENCY = 0.01


def soon() -> float:
    return LATENCY


def never() -> None:
    return None


class Spy:
    """A watchdog that ends nothing."""

    def __init__(self) -> None:
        self.fires_at: float | None = None

    def arm(self, seconds: float) -> None:
        self.fires_at = asyncio.get_running_loop().time() + seconds

    def disarm(self) -> None:
        self.fires_at = None


@dataclass
class Replica:
    """One process's part of the election."""

    stage: "Stage"
    name: str
    line: Line
    elector: Elector
    dog: Spy
    registry: CollectorRegistry

    @property
    def gauge(self) -> float | None:
        return self.registry.get_sample_value("leader_election_master_status", {"name": "lease"})


@dataclass
class Stage:
    """A server, and candidates for one of its leases."""

    server: EmbeddedApiServer
    api: Api
    lines: list[Line] = field(default_factory=list)
    lease: str = "lease"

    def replica(self, name: str, way: Way = soon, **options: Any) -> Replica:
        line, dog, registry = Line(self.server, way), Spy(), CollectorRegistry()
        given: dict[str, Any] = {"namespace": "default", "jitter": lambda: 0.5} | options
        self.lines.append(line)
        elector = Elector(
            Client(line, clock=LoopClock(), jitter=lambda: 0.5),
            name=self.lease,
            identity=name,
            clock=LoopClock(),
            metrics=Metrics(registry),
            watchdog=dog,
            **given,
        )
        return Replica(self, name, line, elector, dog, registry)

    async def spec(self) -> dict[str, Any]:
        found: dict[str, Any] = (await self.api.get(f"{LEASES}/{self.lease}"))["spec"]
        return found

    async def patch(self, body: dict[str, Any]) -> None:
        await self.api.patch(f"{LEASES}/{self.lease}", body)

    def asked(self, since: int = 0) -> list[str]:
        return [f"{each.verb}" for each in self.server.audit.requests(since=since) if each.resource == "leases"]


def staged(scenario: Callable[[Stage], Awaitable[None]]) -> None:
    async def main() -> None:
        server = EmbeddedApiServer(seed=1)
        async with server.direct() as api:
            stage = Stage(server, api)
            await scenario(stage)
            for line in stage.lines:
                await line.close()
        assert len(asyncio.all_tasks()) == 1

    virtual.run(main)


def now() -> float:
    return asyncio.get_running_loop().time()


async def ended(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.semantics("L-02", "L-04", "L-12")
def test_a_lease_that_does_not_exist_is_taken_at_once() -> None:
    async def scenario(stage: Stage) -> None:
        first = stage.replica("one")
        with pytest.raises(NotLeader, match="lease default/lease is not held by this process"):
            first.elector.check()
        await first.elector.acquire()
        first.elector.check()
        assert now() < 5 * LATENCY
        spec = await stage.spec()
        assert (spec["holderIdentity"], spec["leaseDurationSeconds"], spec["leaseTransitions"]) == ("one", 15, 0)
        assert first.gauge == 1

    staged(scenario)


@pytest.mark.semantics("L-05", "L-08")
def test_a_clean_stop_hands_over_at_once() -> None:
    async def scenario(stage: Stage) -> None:
        first, second = stage.replica("one"), stage.replica("two")
        await first.elector.acquire()
        holding, waiting = asyncio.create_task(first.elector.hold()), asyncio.create_task(second.elector.acquire())
        await asyncio.sleep(100)
        before = await stage.spec()
        assert before["acquireTime"] < before["renewTime"]
        assert not waiting.done()
        await ended(holding)
        began = now()
        await first.elector.release()
        with pytest.raises(NotLeader):
            first.elector.check()
        await waiting
        assert now() - began < 10 * LATENCY
        after = await stage.spec()
        assert (after["holderIdentity"], after["leaseTransitions"]) == ("two", 1)
        assert after["acquireTime"] == after["renewTime"] > before["renewTime"]
        assert (first.gauge, second.gauge) == (0, 1)

    staged(scenario)


@pytest.mark.semantics("L-03")
@pytest.mark.parametrize("after", [0.1, 1.9, 3.0, 7.7])
def test_a_crash_is_answered_as_soon_as_the_lease_lapses(after: float) -> None:
    async def scenario(stage: Stage) -> None:
        first, second = stage.replica("one"), stage.replica("two")
        await first.elector.acquire()
        holding, waiting = asyncio.create_task(first.elector.hold()), asyncio.create_task(second.elector.acquire())
        await asyncio.sleep(after)
        await ended(holding)
        crashed = now()
        renewed = max((began for began, _, request in first.line.sent if request.method in {"POST", "PUT"}), default=0)
        await waiting
        assert now() - renewed >= 15
        assert now() - crashed <= 15 + 6 * LATENCY

    staged(scenario)


@pytest.mark.semantics("L-06")
def test_who_holds_and_who_waits_do_not_read() -> None:
    async def scenario(stage: Stage) -> None:
        first, second = stage.replica("one"), stage.replica("two")
        await first.elector.acquire()
        holding, waiting = asyncio.create_task(first.elector.hold()), asyncio.create_task(second.elector.acquire())
        await asyncio.sleep(1)
        since = stage.server.audit.mark()
        await asyncio.sleep(200)
        assert set(stage.asked(since)) == {"update"}
        assert len(stage.asked(since)) == pytest.approx(100, abs=2)
        await ended(holding, waiting)

    staged(scenario)


@pytest.mark.semantics("L-02", "L-04")
@pytest.mark.parametrize("clean", [True, False])
def test_without_the_right_to_watch_the_lease_is_read_again_and_again(clean: bool) -> None:
    async def scenario(stage: Stage) -> None:
        fault = Fault(refuse(403), verbs={"watch"}, resources={"leases"})
        stage.server.server.faults.append(fault)
        first, second = stage.replica("one"), stage.replica("two")
        await first.elector.acquire()
        holding, waiting = asyncio.create_task(first.elector.hold()), asyncio.create_task(second.elector.acquire())
        await asyncio.sleep(60)
        assert len(fault.met) == 1
        reads = [began for began, _, request in second.line.sent if request.method == "GET" and not request.query]
        # A period, and a random part of 1.2 periods more, which is half of it here.
        gaps = [after - before for before, after in itertools.pairwise(reads[1:])]
        assert gaps == pytest.approx([2 * (1 + 1.2 * 0.5)] * len(gaps), abs=0.1)
        assert len(gaps) > 10
        await ended(holding)
        began = now()
        if clean:
            await first.elector.release()
        await waiting
        assert now() - began <= (0 if clean else 15) + 2 * 2.2 + 0.2

    staged(scenario)


@pytest.mark.semantics("L-03")
def test_a_watch_that_has_fallen_silent_takes_nothing_from_a_living_leader() -> None:
    async def scenario(stage: Stage) -> None:
        first, second = stage.replica("one"), stage.replica("two")
        await first.elector.acquire()
        holding = asyncio.create_task(first.elector.hold())
        # The request for the watch gets through, nothing after it does.
        answers = iter([LATENCY] * 3)
        second.line.way = lambda: next(answers, None)
        waiting = asyncio.create_task(second.elector.acquire())
        await asyncio.sleep(5)
        second.line.way = soon
        await asyncio.sleep(300)
        assert not waiting.done()
        assert first.elector.leading
        await ended(holding, waiting)

    staged(scenario)


@pytest.mark.semantics("L-07", "W-18")
@pytest.mark.parametrize("way", [never, lambda: LOST_AFTER / 2])
def test_a_leader_that_cannot_renew_ends_when_its_lease_does(way: Way) -> None:
    async def scenario(stage: Stage) -> None:
        first = stage.replica("one")
        await first.elector.acquire()
        holding = asyncio.create_task(first.elector.hold())
        await asyncio.sleep(9)
        *_, renewed = (began for began, _, request in first.line.sent if request.method == "PUT")
        first.line.way = way
        with pytest.raises(LeadershipLost, match="lease default/lease was not renewed within 10 s: no answer in time"):
            await holding
        assert now() == pytest.approx(renewed + 10, abs=0.001)
        assert first.gauge == 0
        # Two attempts at least, each with its own time for an answer.
        assert sum(began > renewed for began, _, _ in first.line.sent) >= 2

    staged(scenario)


@pytest.mark.semantics("W-17", "L-08")
def test_another_holder_ends_leadership_and_is_not_blanked() -> None:
    async def scenario(stage: Stage) -> None:
        first = stage.replica("one")
        await first.elector.acquire()
        await stage.patch({"spec": {"holderIdentity": "thief"}})
        with pytest.raises(LeadershipLost, match="was taken by thief"):
            await first.elector.hold()
        assert now() < 3
        await first.elector.release()
        assert (await stage.spec())["holderIdentity"] == "thief"

    staged(scenario)


@pytest.mark.semantics("L-12")
def test_what_others_wrote_on_the_lease_stays() -> None:
    async def scenario(stage: Stage) -> None:
        first = stage.replica("one", lease_duration=13.0)
        await first.elector.acquire()
        holding = asyncio.create_task(first.elector.hold())
        await stage.patch({"metadata": {"labels": {"team": "a"}}, "spec": {"preferredHolder": "x", "strategy": "s"}})
        await asyncio.sleep(10)
        lease = await stage.api.get(f"{LEASES}/lease")
        assert lease["metadata"]["labels"] == {"team": "a"}
        assert lease["spec"]["leaseDurationSeconds"] == 13
        assert lease["spec"]["leaseTransitions"] == 0
        assert first.elector.leading
        await ended(holding)

    staged(scenario)


@pytest.mark.semantics("W-17")
def test_a_renewal_that_is_answered_late_counts_from_when_it_was_sent() -> None:
    async def scenario(stage: Stage) -> None:
        first = stage.replica("one")
        first.line.way = lambda: 1.9
        # Read and Create, one after the other, each there and back.
        await first.elector.acquire()
        assert now() == pytest.approx(7.6)
        first.line.way = never
        with pytest.raises(LeadershipLost):
            await first.elector.hold()
        assert now() == pytest.approx(3.8 + 10, abs=0.001)

    staged(scenario)


@pytest.mark.semantics("L-08")
def test_a_renewal_under_way_does_not_keep_the_lease_from_being_released() -> None:
    """client-go #1289: the renewal that was cancelled is carried out between the read and the write of the release."""

    async def scenario(stage: Stage) -> None:
        first = stage.replica("one")
        await first.elector.acquire()
        holding = asyncio.create_task(first.elector.hold())
        ways = iter([1.0, 0.0, 0.0, 0.9, 0.9])
        first.line.way = lambda: next(ways, 0.0)
        await asyncio.sleep(2.5)
        await ended(holding)
        await first.elector.release()
        assert (await stage.spec())["holderIdentity"] == ""
        assert "update" in stage.asked()
        codes = [each.code for each in stage.server.audit.requests() if each.verb == "update"]
        assert 409 in codes

    staged(scenario)


@pytest.mark.semantics("L-08")
def test_a_release_that_has_no_answer_does_not_keep_the_process() -> None:
    async def scenario(stage: Stage) -> None:
        first = stage.replica("one")
        await first.elector.acquire()
        first.line.way = never
        began = now()
        await first.elector.release()
        assert now() - began <= 5

    staged(scenario)


@pytest.mark.semantics("W-17")
def test_a_lease_deleted_by_hand_is_made_again_by_its_holder() -> None:
    async def scenario(stage: Stage) -> None:
        first, second = stage.replica("one"), stage.replica("two")
        await first.elector.acquire()
        holding, waiting = asyncio.create_task(first.elector.hold()), asyncio.create_task(second.elector.acquire())
        await asyncio.sleep(3)
        await stage.api.delete(f"{LEASES}/lease")
        await asyncio.sleep(100)
        assert (await stage.spec())["holderIdentity"] == "one"
        assert not waiting.done()
        await ended(holding)
        await waiting

    staged(scenario)


@pytest.mark.semantics("L-10")
def test_liveness_tells_of_a_leader_that_has_not_ended() -> None:
    async def scenario(stage: Stage) -> None:
        first = stage.replica("one")
        assert first.elector.problem() == ""
        await first.elector.acquire()
        await asyncio.sleep(24)
        assert first.elector.problem() == ""
        await asyncio.sleep(2)
        assert first.elector.problem() == "lease default/lease has not been renewed and this process has not ended"

    staged(scenario)


def test_a_namespace_that_is_not_there_is_told_with_what_to_do() -> None:
    async def scenario(stage: Stage) -> None:
        first = stage.replica("one", namespace="absent")
        with capture_logs() as logs:
            waiting = asyncio.create_task(first.elector.acquire())
            await asyncio.sleep(10)
        await ended(waiting)
        (line,) = (each for each in logs if each["event"] == "cannot reach the lease")
        assert 'namespaces "absent" not found; create that namespace, or give another one' in line["problem"]

    staged(scenario)


@pytest.mark.semantics("W-18", "W-26")
def test_the_watchdog_waits_for_the_end_of_the_lease_and_a_second_more() -> None:
    async def scenario(stage: Stage) -> None:
        first = stage.replica("one")
        assert first.dog.fires_at is None
        await first.elector.acquire()
        holding = asyncio.create_task(first.elector.hold())
        await asyncio.sleep(7)
        *_, renewed = (began for began, _, request in first.line.sent if request.method == "PUT")
        assert first.dog.fires_at == pytest.approx(renewed + 10 + 1)
        first.line.way = never
        with pytest.raises(LeadershipLost):
            await holding
        # Whoever does not end now is ended.
        assert first.dog.fires_at == pytest.approx(renewed + 10 + 1)
        await first.elector.release()
        assert first.dog.fires_at is None

    staged(scenario)


@pytest.mark.semantics("L-01")
def test_an_elector_without_an_identity_is_refused() -> None:
    async def scenario(stage: Stage) -> None:
        with pytest.raises(ValueError, match="identity"):
            stage.replica("")

    staged(scenario)


class NoCaches:
    """Caches without kinds."""

    async def run(self) -> None:
        await asyncio.Event().wait()

    async def wait_synced(self) -> None:
        return


@dataclass
class Life:
    """A process of a schedule, which leads now and then, and writes all the while it does."""

    replica: Replica
    begun: float
    led: list[tuple[float, float]] = field(default_factory=list)

    async def run(self, stop: asyncio.Event) -> None:
        client = Client(self.replica.line, clock=LoopClock()).fenced(self.replica.elector.check)

        async def write() -> None:
            began = now()
            try:
                for number in itertools.count():
                    name = f"{self.replica.stage.lease}-{self.replica.name}-{number}"
                    with suppress(ApiError, Unreachable, NotLeader):
                        await client.create(CONFIG_MAPS, {"metadata": {"namespace": "default", "name": name}})
                    await asyncio.sleep(3)
            finally:
                self.led.append((began, now()))

        manager = Manager(cache=NoCaches(), controllers=[], leading=[write], elector=self.replica.elector)  # type: ignore[arg-type]
        with suppress(LeadershipLost):
            await manager.run(stop)

    def writes(self) -> list[tuple[float, float]]:
        return [(began, end) for began, end, request in self.replica.line.sent if request.path.endswith("/configmaps")]


class Schedule:
    """Processes in weather that a seed decides, until it turns fair."""

    STORMY = 45.0

    def __init__(self, stage: Stage, seed: int) -> None:
        self.stage = stage
        self.chance = random.Random(seed)
        self.fair = False
        worst = self.chance.randint(1, 6)
        self.delays = (0.0, 0.01, 0.2, 1.0, 4.0, 12.0)[:worst]
        self.loss = self.chance.choice((0.0, 0.05, 0.2))
        self.cut: set[str] = set()
        self.lives: list[Life] = []
        self._names = itertools.count()

    def _way(self, number: str) -> float | None:
        if self.fair:
            return LATENCY
        if number in self.cut or self.chance.random() < self.loss:
            return None
        return self.chance.choice(self.delays)

    async def _replica(self, number: int) -> None:
        """One after the other, since each ends some day."""
        ends = now() + self.STORMY
        while True:
            name = f"{number}.{next(self._names)}"
            replica = self.stage.replica(name, lambda: self._way(str(number)), jitter=self.chance.random)
            life = Life(replica, now())
            self.lives.append(life)
            stop = asyncio.Event()
            task = asyncio.create_task(life.run(stop))
            try:
                await self._fate(str(number), task, stop, until=ends)
            finally:
                await ended(task)
            await asyncio.sleep(self.chance.uniform(0, 3))

    async def _fate(self, number: str, task: asyncio.Task[None], stop: asyncio.Event, *, until: float) -> None:
        """Stopped, killed, or cut off and back; once the weather is fair, nothing any more."""
        mood = self.chance.random()
        if now() > until:
            await asyncio.wait({task})
        await asyncio.wait({task}, timeout=self.chance.uniform(1, 30))
        if mood < 0.4 and now() < until:
            self.cut ^= {number}
            await asyncio.wait({task}, timeout=20)
        if mood < 0.7:
            stop.set()
            await task

    async def run(self) -> None:
        candidates = [asyncio.create_task(self._replica(n)) for n in range(self.chance.randint(2, 4))]
        await asyncio.sleep(self.STORMY + 51)
        self.fair = True
        self.cut.clear()
        # What was lost is known to be lost, then the lease lapses, then somebody asks.
        await asyncio.sleep(LOST_AFTER + 15 + 2 * 2.2 + 3)
        assert sum(life.replica.elector.leading for life in self.lives) == 1
        for each in candidates:
            if each.done():
                each.result()
        await ended(*candidates)

    def check(self) -> int:
        """Never a write of one while another may write, from when it left until nobody waits for its answer."""
        reigns = sorted((*led, number) for number, life in enumerate(self.lives) for led in life.led)
        for (_, end, one), (begin, _, other) in itertools.pairwise(reigns):
            assert end <= begin, f"{one} until {end}, {other} from {begin}"
        for number, life in enumerate(self.lives):
            for began, end in life.writes():
                assert any(since <= began <= end <= until for since, until, who in reigns if who == number)
        return len(reigns)


@pytest.mark.model
@pytest.mark.semantics("L-03", "L-07", "L-08", "M-06", "M-08", "W-17", "W-18")
@pytest.mark.parametrize("share", range(8))
def test_never_two_write_in_any_weather(share: int) -> None:
    async def scenario(stage: Stage) -> None:
        reigns = 0
        for seed in range(share * 20, share * 20 + 20):
            stage.lease = f"lease-{seed}"
            schedule = Schedule(stage, seed)
            await schedule.run()
            reigns += schedule.check()
        assert reigns > 40

    staged(scenario)
