import asyncio
import itertools
from collections.abc import Awaitable, Callable
from typing import Any, Self

import pytest
from prometheus_client import CollectorRegistry

from marie_operator.runtime import (
    Conflict,
    Controller,
    Event,
    LoopClock,
    Metrics,
    Object,
    ObjectKey,
    Resource,
    Result,
    TerminalError,
    asked_for,
    owner,
)
from marie_operator.runtime.informer import Informer

pytestmark = pytest.mark.looptime

KEY = ObjectKey("n", "a")
THINGS = Resource("example.com", "v1", "Thing", "things")


def thing(version: int = 1, **metadata: Any) -> Object:
    return {"metadata": {"namespace": "n", "name": "a", "uid": "u", "resourceVersion": str(version), **metadata}}


def informer(*items: Object) -> Informer:
    result = Informer(THINGS, namespaces=("",), label_selector="", field_selector="", indexes={}, transform=None)
    result.replace("", list(items), "1")
    return result


class Run:
    """A controller at work on one reconcile function."""

    def __init__(self, reconcile: Callable[[ObjectKey], Awaitable[Result]], **options: Any) -> None:
        self.registry = CollectorRegistry()
        self.controller = Controller("test", reconcile, clock=LoopClock(), metrics=Metrics(self.registry), **options)
        self.stopping = asyncio.Event()

    async def __aenter__(self) -> Self:
        self.task = asyncio.create_task(self.controller.run(self.stopping))
        return self

    async def __aexit__(self, *_: object) -> None:
        self.stopping.set()
        await self.task

    def count(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, {"controller": "test", **labels})


@pytest.mark.semantics("C-02", "C-14")
async def test_nothing_runs_before_the_informers_are_synced() -> None:
    ran: list[ObjectKey] = []

    async def reconcile(key: ObjectKey) -> Result:
        ran.append(key)
        return Result()

    things = Informer(THINGS, namespaces=("",), label_selector="", field_selector="", indexes={}, transform=None)
    run = Run(reconcile)
    run.controller.watch(things)
    async with run:
        run.controller.enqueue(KEY)
        await asyncio.sleep(60)
        assert ran == []
        things.replace("", [thing()], "1")
        await asyncio.sleep(1)
        assert ran == [KEY]
    assert run.count("controller_runtime_reconcile_total", result="success") == 1
    assert run.count("controller_runtime_reconcile_total", result="error") == 0


@pytest.mark.semantics("C-07", "C-10")
@pytest.mark.parametrize("error", [Conflict(409, "Conflict", "changed"), ValueError("a defect")])
async def test_an_error_is_tried_again_with_a_growing_delay(error: Exception) -> None:
    loop, times = asyncio.get_running_loop(), []

    async def reconcile(_: ObjectKey) -> Result:
        times.append(loop.time())
        if len(times) < 8:
            raise error
        return Result()

    async with Run(reconcile) as run:
        run.controller.enqueue(KEY)
        await asyncio.sleep(60)
    assert len(times) == 8
    gaps = [round(after - before, 3) for before, after in itertools.pairwise(times)]
    assert gaps == [0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32]
    assert run.count("controller_runtime_reconcile_errors_total") == 7


@pytest.mark.semantics("C-08")
async def test_a_terminal_error_waits_for_the_next_event() -> None:
    ran = 0

    async def reconcile(_: ObjectKey) -> Result:
        nonlocal ran
        ran += 1
        raise TerminalError("cannot be helped")

    async with Run(reconcile) as run:
        run.controller.enqueue(KEY)
        await asyncio.sleep(3600)
        assert ran == 1
        run.controller.enqueue(KEY)
        await asyncio.sleep(1)
        assert ran == 2
    assert run.count("controller_runtime_terminal_reconcile_errors_total") == 2


@pytest.mark.semantics("C-09")
async def test_a_result_may_ask_to_run_again_later() -> None:
    loop, times = asyncio.get_running_loop(), []

    async def reconcile(_: ObjectKey) -> Result:
        times.append(loop.time())
        return Result(requeue_after=30)

    async with Run(reconcile) as run:
        run.controller.enqueue(KEY)
        await asyncio.sleep(100)
    assert [round(moment - times[0]) for moment in times] == [0, 30, 60, 90]
    assert run.count("controller_runtime_reconcile_total", result="requeue_after") == 4


@pytest.mark.semantics("C-12")
async def test_one_that_hangs_is_cancelled_counted_and_tried_again() -> None:
    ran = 0

    async def reconcile(_: ObjectKey) -> Result:
        nonlocal ran
        ran += 1
        if ran == 1:
            await asyncio.Event().wait()
        return Result()

    async with Run(reconcile, timeout=120.0) as run:
        run.controller.enqueue(KEY)
        await asyncio.sleep(119)
        assert ran == 1
        await asyncio.sleep(2)
        assert ran == 2
    assert run.count("controller_runtime_reconcile_timeouts_total") == 1


@pytest.mark.semantics("C-15")
async def test_a_stop_lets_what_is_begun_finish_and_begins_nothing() -> None:
    finished: list[str] = []

    async def reconcile(key: ObjectKey) -> Result:
        await asyncio.sleep(10)
        finished.append(key.name)
        return Result()

    async with Run(reconcile, concurrency=1) as run:
        run.controller.enqueue(KEY)
        await asyncio.sleep(1)
        run.controller.enqueue(ObjectKey("n", "b"))
    assert finished == ["a"]


@pytest.mark.semantics("H-06")
async def test_owners_before_and_after_are_told_whatever_their_version() -> None:
    def child(version: int, name: str, **reference: Any) -> Object:
        owned = {"apiVersion": "example.com/v9", "kind": "Thing", "name": name, "uid": "x", "controller": True}
        return thing(version, ownerReferences=[owned | reference])

    owners = owner("Thing", "example.com")
    moved = Event("modified", child(2, "new"), child(1, "old"))
    assert set(owners(moved)) == {ObjectKey("n", "old"), ObjectKey("n", "new")}
    assert not set(owners(Event("added", child(1, "x", kind="Other"))))
    assert not set(owners(Event("added", child(1, "x", controller=False))))


@pytest.mark.semantics("H-10")
@pytest.mark.parametrize(
    ("change", "counts"),
    [
        ({"generation": 2}, True),
        ({"labels": {"a": "b"}}, True),
        ({"deletionTimestamp": "now"}, True),
        ({"finalizers": ["x"]}, True),
        ({"resourceVersion": "9"}, False),
    ],
)
async def test_a_change_of_status_alone_is_asked_for_by_nobody(change: dict[str, Any], counts: bool) -> None:
    old = thing(generation=1)
    new = {"metadata": {**old["metadata"], **change}, "status": {"seen": True}}
    assert asked_for(Event("modified", new, old)) is counts
    assert asked_for(Event("deleted", new))


async def test_an_event_of_an_informer_runs_its_key() -> None:
    ran: list[ObjectKey] = []

    async def reconcile(key: ObjectKey) -> Result:
        ran.append(key)
        return Result()

    run = Run(reconcile)
    run.controller.watch(informer(thing()))
    async with run:
        await asyncio.sleep(1)
    assert ran == [KEY]
