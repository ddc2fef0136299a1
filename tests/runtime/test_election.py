"""Never two who may write, whatever the network does; somebody again soon, once it does its work."""

import asyncio
import copy
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import looptime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from marie_operator.runtime import (
    AlreadyExists,
    Conflict,
    Elector,
    Forbidden,
    LeadershipLost,
    LoopClock,
    Metrics,
    NotFound,
    NotLeader,
    Object,
    ObjectKey,
    Resource,
    Unreachable,
    WatchEvent,
)

Weather = Callable[[], Awaitable[bool]]
"""Awaited before each request; whether the reply gets through."""


async def fair() -> bool:
    return True


class Leases:
    """A lease's store, with the API server's optimistic concurrency."""

    def __init__(self) -> None:
        self.lease: Object | None = None
        self.version = 0

    def write(self, obj: Object) -> Object:
        self.version += 1
        self.lease = copy.deepcopy(obj)
        self.lease["metadata"]["resourceVersion"] = str(self.version)
        return copy.deepcopy(self.lease)


class Connection:
    """One candidate's way to the store."""

    def __init__(self, leases: Leases, weather: Weather = fair) -> None:
        self.leases = leases
        self.weather = weather

    async def get(self, _: Resource, __: ObjectKey) -> Object:
        arrives = await self.weather()
        if self.leases.lease is None:
            raise NotFound(404, "NotFound", "no lease")
        return self.reply(copy.deepcopy(self.leases.lease), arrives)

    async def create(self, _: Resource, obj: Object) -> Object:
        arrives = await self.weather()
        if self.leases.lease is not None:
            raise AlreadyExists(409, "AlreadyExists", "exists")
        return self.reply(self.leases.write(obj), arrives)

    async def update(self, _: Resource, obj: Object) -> Object:
        arrives = await self.weather()
        known = self.leases.lease
        if known is None or known["metadata"]["resourceVersion"] != obj["metadata"]["resourceVersion"]:
            raise Conflict(409, "Conflict", "changed")
        return self.reply(self.leases.write(obj), arrives)

    async def watch(self, *_: object, **__: object) -> AsyncGenerator[WatchEvent, None]:
        raise Forbidden(403, "Forbidden", "no watch")
        yield

    @staticmethod
    def reply(obj: Object, arrives: bool) -> Object:
        if not arrives:
            raise Unreachable("the reply is lost", maybe_sent=True)
        return obj


def elector(connection: Connection, name: str, **options: Any) -> Elector:
    return Elector(
        connection,  # type: ignore[arg-type]
        namespace="n",
        name="lease",
        identity=name,
        clock=LoopClock(),
        metrics=Metrics(CollectorRegistry()),
        jitter=lambda: 0.5,
        **options,
    )


@pytest.mark.looptime
@pytest.mark.semantics("L-04", "L-05", "L-08")
async def test_a_clean_stop_hands_over_at_the_next_try() -> None:
    leases, loop = Leases(), asyncio.get_running_loop()
    first, second = (elector(Connection(leases), name) for name in ("one", "two"))
    await first.acquire()
    first.check()
    waiting = asyncio.create_task(second.acquire())
    await asyncio.sleep(8)
    assert not waiting.done()
    await first.release()
    with pytest.raises(NotLeader):
        first.check()
    began = loop.time()
    await waiting
    assert loop.time() - began <= 2 * 2.2
    assert leases.lease is not None
    assert leases.lease["spec"]["leaseTransitions"] == 1


@pytest.mark.looptime
@pytest.mark.semantics("L-03")
async def test_after_a_crash_the_whole_lease_is_waited_for() -> None:
    leases, loop = Leases(), asyncio.get_running_loop()
    await elector(Connection(leases), "dead").acquire()
    began = loop.time()
    await elector(Connection(leases), "next").acquire()
    assert 15 <= loop.time() - began <= 15 + 2 * 2.2


@pytest.mark.looptime
@pytest.mark.semantics("L-07")
async def test_a_leader_that_cannot_renew_gives_up_before_another_may_lead() -> None:
    leases, loop = Leases(), asyncio.get_running_loop()
    connection = Connection(leases)
    leader = elector(connection, "one")
    await leader.acquire()
    began = loop.time()

    async def cut() -> bool:
        raise Unreachable("cut off", maybe_sent=False)

    connection.weather = cut
    with pytest.raises(LeadershipLost, match="was not renewed within 10 s: cut off"):
        await leader.hold()
    assert loop.time() - began < 15
    assert not leader.leading


@pytest.mark.looptime
@pytest.mark.semantics("L-12")
async def test_another_holder_ends_leadership_at_once() -> None:
    leases = Leases()
    leader = elector(Connection(leases), "one")
    await leader.acquire()
    assert leases.lease is not None
    leases.write({**leases.lease, "spec": {**leases.lease["spec"], "holderIdentity": "thief"}})
    with pytest.raises(LeadershipLost, match="was taken by thief"):
        await leader.hold()
    await leader.release()
    assert leases.lease["spec"]["holderIdentity"] == "thief"


@pytest.mark.looptime
@pytest.mark.semantics("L-01")
@pytest.mark.parametrize("options", [{"lease_duration": 10.0}, {"renew_deadline": 3.0}, {"lease_duration": 0.5}])
async def test_periods_that_leave_no_gap_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="lease"):
        elector(Connection(Leases()), "one", **options)


WEATHER = st.lists(st.tuples(st.sampled_from([0.0, 0.1, 1.0, 4.0, 30.0]), st.booleans()), min_size=1, max_size=12)


@settings(max_examples=40)
@given(st.lists(WEATHER, min_size=2, max_size=3))
def test_never_two_leaders_in_any_weather(weathers: list[list[tuple[float, bool]]]) -> None:
    async def run() -> None:
        leases = Leases()
        candidates = []
        for number, weather in enumerate(weathers):
            changes = iter(weather * 20)

            async def blows(changes: Any = changes) -> bool:
                delay, arrives = next(changes, (0.0, True))
                await asyncio.sleep(delay)
                return bool(arrives)

            candidates.append(elector(Connection(leases, blows), str(number)))

        async def lives(each: Elector) -> None:
            while True:
                await each.acquire()
                try:
                    await each.hold()
                except LeadershipLost:
                    continue

        lives_of = [asyncio.create_task(lives(each)) for each in candidates]
        for _ in range(300):
            await asyncio.sleep(0.5)
            assert sum(each.leading for each in candidates) <= 1
        for task in lives_of:
            task.cancel()
        await asyncio.gather(*lives_of, return_exceptions=True)

    with asyncio.Runner(loop_factory=looptime.new_event_loop) as runner:
        runner.run(run())
