"""The operator is killed at any turn of any of its tasks, as it submits, follows and counts: at every ``await``.

One process runs until its n-th turn and is no more; another finds what it left behind. Whatever n is, every document is
in exactly one DAG for each attempt, and the status tells what became of it. All in virtual time, without a socket.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from marie_operator.controllers import kinds
from marie_operator.runtime.resource import Object, ObjectKey
from marie_operator.testing import virtual
from marie_operator.testing.gateway import Fault, Outcome, SimulatedGateways, SimulatedMarie
from marie_operator.testing.gateway.outcome import NEVER, Document
from tests.controllers.mariejob.apiserver import ApiServer
from tests.controllers.mariejob.operator_process import KEY, Events, served
from tests.controllers.mariejob.samples import job
from tests.controllers.mariejob.whole import whole
from tests.marie.direct import Direct
from tests.simulation.world import VirtualClock

CLUSTER = ObjectKey("docs", "c")
KEYS = ("invoices/a.pdf", "invoices/b.pdf", "invoices/broken.pdf")
SUBJECT = job(batch={"maxInFlight": 2}, backoffLimit=1)
PATIENCE = 1200.0
"""Seconds, which are virtual: a doubt is settled, and a retry made, long before."""
LATENCY = 0.05
"""Seconds that a request takes on its way, and its answer: a crash meets either."""
EVERY = 97
"""Of so many turns one is tried where all of them would take too long."""
LONG = 100_000
"""A turn that no run comes to."""


class Doomed(virtual.Process):
    """A process that stops for ever before its n-th turn.

    Attributes:
        turns: How many it has had.
        fell: Set once it has.
    """

    def __init__(self, last: int) -> None:
        super().__init__()
        self.turns = 0
        self.fell = asyncio.Event()
        self.task: asyncio.Task[None] | None = None
        self._last = last

    def holds(self, handle: asyncio.Handle) -> bool:
        """Count a turn."""
        self.turns += 1
        if self.turns == self._last:
            self.stop()
            self.fell.set()
        return super().holds(handle)


@dataclass
class World:
    """What is outside of the operator."""

    api: ApiServer = field(default_factory=lambda: served(SUBJECT))
    marie: SimulatedMarie = field(default_factory=lambda: SimulatedGateways(outcome=_outcome).cluster(*CLUSTER))

    def __post_init__(self) -> None:
        self.marie.api_keys = {"mas_key"}
        self.marie.start()
        self.marie.register("extract_executor", "10.0.0.1:52010", 4)

    @property
    def status(self) -> Object:
        """The job's."""
        status: Object = self.api.objects[kinds.MARIE_JOBS, KEY].get("status", {})
        return status

    def started(self, last: int = LONG) -> Doomed:
        """A process of the operator that lives until its n-th turn."""
        process = Doomed(last)

        async def parts() -> None:
            clock = VirtualClock()
            found = whole(
                self.api, Direct(self.marie, latency=LATENCY), KEYS, events=Events(), clock=clock, timers=clock
            )
            found.gateways.ensure(CLUSTER, "direct")
            await asyncio.gather(*found.parts)

        process.task = process.start(parts())
        return process

    async def ended(self) -> None:
        """Wait until the job is over."""
        async with asyncio.timeout(PATIENCE):
            while self.status.get("phase") not in {"Succeeded", "Failed"}:
                await asyncio.sleep(0.5)


def _outcome(document: Document) -> Outcome:
    return Outcome(3.0, failures=NEVER if "broken" in document.uri else 0)


def calm(_: World) -> Iterator[float]:
    """Nothing else goes wrong."""
    return iter(())


def lost_replies(world: World) -> Iterator[float]:
    """Marie takes what it is given, and every other answer is lost."""
    world.marie.faults = [
        fault for _ in range(20) for fault in (Fault("/api/v1/invoke", lost=True), Fault("/api/v1/invoke", delay=0.2))
    ]
    return iter(())


def no_gateway(world: World) -> Iterator[float]:
    """The gateway ends in the middle, and another starts once executors are done with what they had."""
    yield 9.0
    world.marie.stop()
    yield 20.0
    world.marie.start()


def no_database(world: World) -> Iterator[float]:
    """Marie's database is away for a while: what is submitted meanwhile is lost."""
    yield 7.0
    world.marie.engine.database = False
    yield 30.0
    world.marie.engine.database = True


Weather = Callable[[World], Iterator[float]]


async def _until_ended(world: World, weather: Weather) -> None:
    """Wait until the job is over, whatever the weather is."""

    async def change() -> None:
        for seconds in weather(world):
            await asyncio.sleep(seconds)

    async with asyncio.TaskGroup() as both:
        both.create_task(change())
        both.create_task(world.ended())


def check(world: World, when: str) -> None:
    """Every attempt at a document is one DAG, and the status tells what became of all."""
    dags = Counter(dag.ref_id for dag in world.marie.dags)
    assert set(dags.values()) == {1}, f"{when}: a document is done twice: {dags}"
    uris = Counter(dag.nodes[0].data["metadata"]["uri"].removeprefix("s3://bucket/") for dag in world.marie.dags)
    assert set(uris) == set(KEYS), f"{when}: a document is lost: {uris}"
    assert uris["invoices/broken.pdf"] == 2, f"{when}: backoffLimit is 1: {uris}"
    counts = {name: world.status["documents"].get(name, 0) for name in ("total", "succeeded", "failed")}
    assert counts == {"total": 3, "succeeded": 2, "failed": 1}, f"{when}: {world.status}"
    assert not world.status["documents"].get("inFlight"), when


def turns_of(weather: Weather) -> int:
    """How many turns a process has that is not killed."""

    async def main() -> int:
        world = World()
        process = world.started()
        await _until_ended(world, weather)
        check(world, "without a crash")
        turns = process.turns
        await process.kill()
        return turns

    return virtual.run(main)


def crashed(weather: Weather, last: int) -> None:
    """Kill a process at its n-th turn, and let another go on."""

    async def main() -> None:
        world = World()

        async def replace() -> None:
            await first.fell.wait()
            before = len(world.api.requests), world.marie.requests.total()
            await first.kill()
            assert (len(world.api.requests), world.marie.requests.total()) == before, "a dead process has asked"
            processes.append(world.started())

        processes = [first := world.started(last)]
        async with asyncio.TaskGroup() as both:
            both.create_task(replace())
            both.create_task(_until_ended(world, weather))
        check(world, f"killed at turn {last}, in {weather.__name__}")
        await processes[-1].kill()

    virtual.run(main)


@pytest.mark.model
@pytest.mark.parametrize("weather", [calm, lost_replies, no_gateway, no_database])
def test_a_crash_at_some_turns_loses_and_doubles_nothing(weather: Weather) -> None:
    for last in range(1, turns_of(weather), EVERY):
        crashed(weather, last)


@pytest.mark.campaign
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("weather", [calm, lost_replies, no_gateway, no_database])
def test_a_crash_at_every_turn_loses_and_doubles_nothing(weather: Weather) -> None:
    turns = turns_of(weather)
    assert turns > EVERY
    for last in range(1, turns):
        crashed(weather, last)
