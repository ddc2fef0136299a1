"""The operator is killed at any turn of any of its tasks, as it submits, follows and counts: at every ``await``.

One process runs until its n-th turn and is no more; another finds what it left behind. Whatever n is, every document is
in exactly one DAG for each attempt, and the status tells what became of it. All in virtual time, without a socket.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from marie_operator.testing import virtual
from marie_operator.testing.gateway import Fault, Outcome
from marie_operator.testing.gateway.outcome import NEVER, Document
from tests.controllers.mariejob.samples import job
from tests.controllers.mariejob.surroundings import Surroundings

KEYS = ("invoices/a.pdf", "invoices/b.pdf", "invoices/broken.pdf")
SUBJECT = job(batch={"maxInFlight": 2}, backoffLimit=1)
EVERY = 97
"""Of so many turns one is tried where all of them would take too long."""


def _outcome(document: Document) -> Outcome:
    return Outcome(3.0, failures=NEVER if "broken" in document.uri else 0)


def calm(_: Surroundings) -> Iterator[float]:
    """Nothing else goes wrong."""
    return iter(())


def lost_replies(world: Surroundings) -> Iterator[float]:
    """Marie takes what it is given, and every other answer is lost."""
    world.marie.faults = [
        fault for _ in range(20) for fault in (Fault("/api/v1/invoke", lost=True), Fault("/api/v1/invoke", delay=0.2))
    ]
    return iter(())


def no_gateway(world: Surroundings) -> Iterator[float]:
    """The gateway ends in the middle, and another starts once executors are done with what they had."""
    yield 9.0
    world.marie.stop()
    yield 20.0
    world.marie.start()


def no_database(world: Surroundings) -> Iterator[float]:
    """Marie's database is away for a while: what is submitted meanwhile is lost."""
    yield 7.0
    world.marie.engine.database = False
    yield 30.0
    world.marie.engine.database = True


Weather = Callable[[Surroundings], Iterator[float]]


async def _until_ended(world: Surroundings, weather: Weather) -> None:
    """Wait until the job is over, whatever the weather is."""

    async def change() -> None:
        for seconds in weather(world):
            await asyncio.sleep(seconds)

    async with asyncio.TaskGroup() as both:
        both.create_task(change())
        both.create_task(world.ended())


def check(world: Surroundings, when: str) -> None:
    """Every attempt at a document is one DAG, and the status tells what became of all."""
    dags = world.submissions
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
        world = Surroundings(SUBJECT, KEYS, _outcome)
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
        world = Surroundings(SUBJECT, KEYS, _outcome)

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
