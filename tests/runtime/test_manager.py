import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest
import structlog
from prometheus_client import CollectorRegistry

from marie_operator.runtime import Controller, LeadershipLost, LoopClock, Manager, Metrics, NotLeader, ObjectKey, Result
from marie_operator.runtime.manager import NotEnded

pytestmark = pytest.mark.looptime


class Caches:
    """Caches that are synced after a while."""

    def __init__(self, seconds: float = 0.0, log: list[str] | None = None) -> None:
        self.seconds = seconds
        self.log = [] if log is None else log

    async def run(self) -> None:
        await asyncio.Event().wait()

    async def wait_synced(self) -> None:
        await asyncio.sleep(self.seconds)
        self.log.append("synced")


class Lease:
    """An elector that leads after a while, for a while."""

    def __init__(self, log: list[str], *, lost_after: float | None = None) -> None:
        self.log = log
        self.lost_after = lost_after

    async def acquire(self) -> None:
        self.log.append("acquired")

    async def hold(self) -> None:
        await asyncio.sleep(self.lost_after if self.lost_after is not None else 1e9)
        raise LeadershipLost("taken")

    async def release(self) -> None:
        self.log.append("released")


class Door:
    """A server that is entered and left."""

    def __init__(self, log: list[str]) -> None:
        self.log = log

    async def __aenter__(self) -> None:
        self.log.append("serving")

    async def __aexit__(self, *_: object) -> None:
        self.log.append("closed")


def manager(log: list[str], *, work: float = 0.0, **options: Any) -> Manager:
    async def reconcile(_: ObjectKey) -> Result:
        log.append("begun")
        await asyncio.sleep(work)
        log.append("done")
        return Result()

    controller = Controller("test", reconcile, clock=LoopClock(), metrics=Metrics(CollectorRegistry()))
    controller.enqueue(ObjectKey("n", "a"))
    settings: dict[str, Any] = {"cache": Caches(), "controllers": [controller], "servers": [Door(log)]}
    return Manager(**(settings | options))


async def stopped_after(seconds: float) -> asyncio.Event:
    stop = asyncio.Event()
    asyncio.get_running_loop().call_later(seconds, stop.set)
    return stop


@pytest.mark.semantics("M-01", "M-05", "M-06", "M-16")
async def test_order_of_start_and_stop() -> None:
    log: list[str] = []
    await manager(log, cache=Caches(3, log), work=5.0, elector=Lease(log)).run(await stopped_after(4))
    assert log == ["serving", "synced", "acquired", "begun", "done", "released", "closed"]
    assert len(asyncio.all_tasks()) == 1


@pytest.mark.semantics("M-06", "W-19")
async def test_a_standby_that_stops_never_leads() -> None:
    log: list[str] = []

    class Waits(Lease):
        async def acquire(self) -> None:
            await asyncio.Event().wait()

    await manager(log, elector=Waits(log)).run(await stopped_after(1))
    # It was asking for the lease, and may have been given it.
    assert log == ["serving", "released", "closed"]


@pytest.mark.semantics("M-01", "W-20")
async def test_a_stop_before_the_caches_are_synced_ends_and_asks_for_no_lease() -> None:
    log: list[str] = []
    await manager(log, cache=Caches(1e6), elector=Lease(log)).run(await stopped_after(1))
    assert "acquired" not in log
    assert (log[0], log[-1]) == ("serving", "closed")


@pytest.mark.semantics("M-08", "M-16", "W-18", "L-09")
async def test_losing_the_lease_ends_everything_and_is_an_error() -> None:
    log: list[str] = []
    with pytest.raises(LeadershipLost):
        await manager(log, work=1e6, elector=Lease(log, lost_after=3)).run(asyncio.Event())
    assert log == ["serving", "acquired", "begun", "closed"]
    assert len(asyncio.all_tasks()) == 1


@pytest.mark.semantics("M-08", "W-18")
async def test_who_writes_may_learn_first_that_the_lease_is_lost() -> None:
    async def write() -> None:
        await asyncio.sleep(2)
        raise NotLeader("lease a/b is not held by this process")

    log: list[str] = []
    with pytest.raises(LeadershipLost, match="lease a/b is not held"):
        await manager(log, work=1e6, elector=Lease(log), leading=[write]).run(asyncio.Event())
    assert log == ["serving", "acquired", "begun", "closed"]


@pytest.mark.semantics("M-06", "M-08")
async def test_losing_the_lease_while_the_last_reconciles_end_cuts_them_off() -> None:
    loop, log = asyncio.get_running_loop(), list[str]()
    with pytest.raises(LeadershipLost):
        await manager(log, work=20, elector=Lease(log, lost_after=3)).run(await stopped_after(1))
    assert loop.time() < 4
    assert log == ["serving", "acquired", "begun", "closed"]


@pytest.mark.semantics("M-04")
async def test_the_first_error_of_what_must_run_ends_the_rest() -> None:
    log: list[str] = []

    async def breaks() -> None:
        await asyncio.sleep(2)
        raise ValueError("a defect")

    with pytest.raises(ValueError, match="a defect"):
        await manager(log, leading=[breaks]).run(asyncio.Event())
    assert log[-1] == "closed"


@pytest.mark.semantics("M-07")
async def test_a_reconcile_that_does_not_end_is_not_waited_for_without_end() -> None:
    loop = asyncio.get_running_loop()
    log: list[str] = []
    began = loop.time()
    await manager(log, work=1e6, shutdown_timeout=30.0).run(await stopped_after(1))
    assert loop.time() - began == pytest.approx(31, abs=0.5)
    assert log == ["serving", "begun", "closed"]


@pytest.mark.semantics("M-10")
async def test_without_a_lease_it_leads_at_once() -> None:
    log: list[str] = []
    await manager(log).run(await stopped_after(1))
    assert log == ["serving", "begun", "done", "closed"]


@pytest.mark.semantics("M-02", "C-05")
async def test_a_standby_does_what_every_process_does_and_leads_when_it_may() -> None:
    log: list[str] = []

    async def standing() -> None:
        log.append("standing")
        await asyncio.Event().wait()

    async def leading() -> None:
        log.append("leading")
        await asyncio.Event().wait()

    class Waits(Lease):
        async def acquire(self) -> None:
            await asyncio.sleep(100)
            self.log.append("acquired")

    parts: dict[str, Any] = {"standing": [standing], "leading": [leading], "elector": Waits(log)}
    running = asyncio.create_task(manager(log, **parts).run(await stopped_after(200)))
    await asyncio.sleep(50)
    assert log == ["serving", "standing"]
    await running
    assert log == ["serving", "standing", "acquired", "leading", "begun", "done", "released", "closed"]


@pytest.mark.semantics("M-09")
async def test_a_clean_stop_tells_of_no_loss() -> None:
    with structlog.testing.capture_logs() as logs:
        await manager([], elector=Lease([])).run(await stopped_after(1))
    assert [log["event"] for log in logs] == ["caches are synced", "stopping"]
    assert {log["log_level"] for log in logs} == {"info"}


@pytest.mark.semantics("C-01")
async def test_two_controllers_of_one_name_are_refused() -> None:
    async def reconcile(_: ObjectKey) -> Result:
        return Result()

    metrics = Metrics(CollectorRegistry())
    two = [Controller("same", reconcile, clock=LoopClock(), metrics=metrics) for _ in range(2)]
    with pytest.raises(ValueError, match="controllers need names of their own; given twice: same"):
        manager([], controllers=two)


@pytest.mark.semantics("W-20", "M-16")
async def test_a_start_that_is_cancelled_ends_at_once_and_leaves_nothing() -> None:
    log: list[str] = []
    loop = asyncio.get_running_loop()
    began = loop.time()
    running = asyncio.create_task(manager(log, cache=Caches(1e6)).run(asyncio.Event()))
    await asyncio.sleep(1)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert loop.time() - began == pytest.approx(1, abs=0.01)
    assert log == ["serving", "closed"]
    assert len(asyncio.all_tasks()) == 1


@pytest.mark.semantics("M-05", "E-03")
async def test_what_is_done_last_is_done_under_the_lease_and_not_waited_for_without_end() -> None:
    loop, log = asyncio.get_running_loop(), list[str]()

    async def leading() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            log.append("background ended")

    async def finish() -> None:
        log.append("finishing")
        try:
            await asyncio.Event().wait()
        finally:
            log.append("finished")

    parts: dict[str, Any] = {"leading": [leading], "finishing": [finish], "elector": Lease(log)}
    began = loop.time()
    await manager(log, work=5, **parts).run(await stopped_after(1))
    assert log[2:] == ["begun", "done", "background ended", "finishing", "finished", "released", "closed"]
    assert loop.time() - began < 10


@pytest.mark.semantics("M-08")
async def test_what_is_done_last_ends_with_the_lease() -> None:
    log: list[str] = []

    async def finish() -> None:
        log.append("finishing")
        await asyncio.Event().wait()

    with pytest.raises(LeadershipLost):
        await manager(log, finishing=[finish], elector=Lease(log, lost_after=2)).run(await stopped_after(1))
    assert log[-2:] == ["finishing", "closed"]


class Job:
    """A controller's place, taken by anything."""

    name = "job"

    def __init__(self, run: Callable[[asyncio.Event], Awaitable[None]]) -> None:
        self.run = run


@pytest.mark.semantics("M-04")
async def test_a_controller_that_fails_while_it_ends_is_an_error_too() -> None:
    async def fails(stopping: asyncio.Event) -> None:
        await stopping.wait()
        await asyncio.sleep(1)
        raise ValueError("a defect")

    log: list[str] = []
    with pytest.raises(ValueError, match="a defect"):
        await manager(log, controllers=[Job(fails)], elector=Lease(log)).run(await stopped_after(1))
    assert log == ["serving", "acquired", "closed"]


@pytest.mark.semantics("W-20", "M-16")
async def test_a_cancellation_while_it_stops_is_not_swallowed() -> None:
    class Clings(Lease):
        async def acquire(self) -> None:
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(2)

    log: list[str] = []
    running = asyncio.create_task(manager(log, elector=Clings(log)).run(await stopped_after(1)))
    await asyncio.sleep(2)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


@pytest.mark.semantics("M-06")
async def test_background_work_that_absorbs_its_cancellation_keeps_the_lease_from_being_given_back() -> None:
    log, free = list[str](), asyncio.Event()

    async def absorb() -> None:
        while not free.is_set():
            with suppress(asyncio.CancelledError):
                await free.wait()

    with structlog.testing.capture_logs() as logs, pytest.raises(NotEnded):
        await manager(log, leading=[absorb], elector=Lease(log)).run(await stopped_after(1))
    assert log == ["serving", "acquired", "begun", "done", "closed"]
    (told,) = [entry["tasks"] for entry in logs if entry["log_level"] == "error"]
    assert "absorb" in told[0]
    free.set()
    await asyncio.sleep(1)


@pytest.mark.semantics("M-06", "M-07")
@pytest.mark.parametrize("lost_after", [None, 20.0])
async def test_a_reconcile_that_absorbs_its_cancellation_holds_neither_process_nor_lease(
    lost_after: float | None,
) -> None:
    loop, log, free = asyncio.get_running_loop(), list[str](), asyncio.Event()

    async def reconcile(key: ObjectKey) -> Result:
        log.append(f"begun {key.name}")
        while not free.is_set():
            with suppress(asyncio.CancelledError):
                await free.wait()
        return Result()

    controller = Controller("test", reconcile, clock=LoopClock(), metrics=Metrics(CollectorRegistry()))
    for name in "ab":
        controller.enqueue(ObjectKey("n", name))
    parts: dict[str, Any] = {"controllers": [controller], "elector": Lease(log, lost_after=lost_after)}
    with structlog.testing.capture_logs() as logs, pytest.raises((NotEnded, LeadershipLost)):
        await manager(log, **parts).run(await stopped_after(10))
    assert loop.time() < 50
    # Until the lease has run out, nobody else may lead: this one may write yet.
    assert log == ["serving", "acquired", "begun a", "closed"]
    assert [entry["keys"] for entry in logs if entry["log_level"] == "error"] == [["n/a"]]
    free.set()
    await asyncio.sleep(1)
    assert log[-1] == "closed"
    assert len(asyncio.all_tasks()) == 1
