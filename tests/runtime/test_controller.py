import asyncio
import itertools
import math
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Self

import pytest
import structlog
from prometheus_client import CollectorRegistry

from marie_operator.runtime import (
    Conflict,
    Controller,
    Event,
    LoopClock,
    Metrics,
    NameTaken,
    Object,
    ObjectKey,
    Resource,
    Result,
    TerminalError,
    Unreachable,
    WatchEvent,
    asked_for,
    owner,
)
from marie_operator.runtime.errors import from_status
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


@pytest.mark.semantics("C-02", "C-03", "C-14", "H-04", "C-16")
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


@pytest.mark.semantics("C-07", "C-10", "W-08")
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


@pytest.mark.semantics("C-11")
async def test_one_that_awaits_what_others_have_cancelled_is_told_and_its_worker_goes_on() -> None:
    ran: list[str] = []

    async def reconcile(key: ObjectKey) -> Result:
        ran.append(key.name)
        if key.name == "bad":
            shared: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            shared.cancel()
            await shared
        return Result()

    async with Run(reconcile) as run:
        for _ in range(3):
            run.controller.enqueue(ObjectKey("n", "bad"))
            await asyncio.sleep(5)
        run.controller.enqueue(KEY)
        await asyncio.sleep(5)
    assert KEY.name in ran
    assert ran.count("bad") > 3
    assert run.count("controller_runtime_reconcile_panics_total") == ran.count("bad")


@pytest.mark.semantics("C-08", "W-08")
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


@pytest.mark.semantics("C-08", "W-08")
async def test_after_a_terminal_error_the_back_off_begins_anew() -> None:
    loop, times = asyncio.get_running_loop(), []

    async def reconcile(_: ObjectKey) -> Result:
        times.append(loop.time())
        match len(times):
            case 7:
                raise TerminalError("cannot be helped")
            case 9:
                return Result()
            case _:
                raise ValueError("fails")

    async with Run(reconcile) as run:
        run.controller.enqueue(KEY)
        await asyncio.sleep(3600)
        assert len(times) == 7
        run.controller.enqueue(KEY)
        await asyncio.sleep(3600)
    assert round(times[8] - times[7], 3) == 0.005


@pytest.mark.semantics("C-09", "W-08")
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


@pytest.mark.semantics("C-12", "W-08b")
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


@pytest.mark.semantics("C-15", "Q-03")
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


@pytest.mark.semantics("H-06", "H-07")
async def test_owners_before_and_after_are_told_whatever_their_version() -> None:
    def child(version: int, name: str, **reference: Any) -> Object:
        owned = {"apiVersion": "example.com/v9", "kind": "Thing", "name": name, "uid": "x", "controller": True}
        return thing(version, ownerReferences=[owned | reference])

    owners = owner("Thing", "example.com")
    moved = Event("modified", child(2, "new"), child(1, "old"))
    assert set(owners(moved)) == {ObjectKey("n", "old"), ObjectKey("n", "new")}
    assert not set(owners(Event("added", child(1, "x", kind="Other"))))
    assert not set(owners(Event("added", child(1, "x", controller=False))))


@pytest.mark.semantics("H-10", "W-25")
@pytest.mark.parametrize(
    ("change", "counts"),
    [
        ({"generation": 2}, True),
        ({"labels": {"a": "b"}}, True),
        ({"deletionTimestamp": "now"}, True),
        ({"finalizers": ["x"]}, True),
        ({"annotations": {"a": "b"}}, True),
        ({"uid": "another"}, True),
        ({"resourceVersion": "9"}, False),
    ],
)
async def test_a_change_of_status_alone_is_asked_for_by_nobody(change: dict[str, Any], counts: bool) -> None:
    old = thing(generation=1)
    new = {"metadata": {**old["metadata"], **change}, "status": {"seen": True}}
    assert asked_for(Event("modified", new, old)) is counts
    assert asked_for(Event("deleted", new))


@pytest.mark.semantics("H-05")
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


async def done(_: ObjectKey) -> Result:
    return Result()


async def test_what_may_wait_is_gathered_until_the_first_of_it_is_due_or_something_urgent_comes() -> None:
    loop, times = asyncio.get_running_loop(), []
    slow, urgent = informer(), informer()

    async def reconcile(_: ObjectKey) -> Result:
        times.append(loop.time() - began)
        return Result()

    run = Run(reconcile)
    run.controller.watch(slow, within=2.0).watch(urgent)
    async with run:
        began = loop.time()
        for version in range(2, 42):
            slow.event("", WatchEvent("ADDED" if version == 2 else "MODIFIED", thing(version)))
            await asyncio.sleep(0.1)
        await asyncio.sleep(10)
        assert [round(each, 1) for each in times] == [2.0, 4.0]
        began, times = loop.time(), []
        slow.event("", WatchEvent("MODIFIED", thing(42)))
        await asyncio.sleep(0.5)
        urgent.event("", WatchEvent("ADDED", thing(43)))
        await asyncio.sleep(10)
    assert [round(each, 1) for each in times] == [0.5]


@pytest.mark.parametrize(("urgent", "gap"), [(False, 2.0), (True, 0.0)])
async def test_what_may_wait_waits_also_when_it_comes_while_its_key_runs(urgent: bool, gap: float) -> None:
    loop, times = asyncio.get_running_loop(), []
    patient, other = informer(), informer()

    async def reconcile(_: ObjectKey) -> Result:
        times.append(loop.time())
        await asyncio.sleep(1)
        return Result()

    run = Run(reconcile)
    run.controller.watch(patient, within=2.0).watch(other)
    async with run:
        run.controller.enqueue(KEY)
        await asyncio.sleep(0.5)
        patient.event("", WatchEvent("ADDED", thing()))
        if urgent:
            other.event("", WatchEvent("ADDED", thing(2)))
        await asyncio.sleep(10)
    assert [round(after - before, 1) for before, after in itertools.pairwise(times)] == [1.0 + gap]


@pytest.mark.parametrize("first", [0.0, 60.0])
async def test_an_event_that_is_watched_for_twice_waits_no_longer_than_the_more_urgent_watch_lets_it(
    first: float,
) -> None:
    loop, times = asyncio.get_running_loop(), []
    things = informer()

    async def reconcile(_: ObjectKey) -> Result:
        times.append(loop.time())
        await asyncio.sleep(1)
        return Result()

    run = Run(reconcile)
    run.controller.watch(things, within=first).watch(things, within=60.0 - first)
    async with run:
        run.controller.enqueue(KEY)
        await asyncio.sleep(0.5)
        things.event("", WatchEvent("ADDED", thing()))
        await asyncio.sleep(10)
    assert [round(after - before, 1) for before, after in itertools.pairwise(times)] == [1.0]


@pytest.mark.semantics("H-06")
async def test_an_owner_without_namespace_is_in_none() -> None:
    reference = {"apiVersion": "example.com/v1", "kind": "Planet", "name": "earth", "uid": "x", "controller": True}
    strange = {"apiVersion": "///", "kind": "Planet", "name": "mars", "uid": "y", "controller": True}
    owners = owner("Planet", "example.com", namespaced=False)
    assert list(owners(Event("added", thing(ownerReferences=[strange, reference])))) == [ObjectKey("", "earth")]


@pytest.mark.semantics("H-07", "Q-01")
async def test_a_key_that_the_object_yields_before_and_after_runs_once() -> None:
    ran: list[ObjectKey] = []

    async def reconcile(key: ObjectKey) -> Result:
        ran.append(key)
        return Result()

    def both(event: Event) -> list[ObjectKey]:
        return [ObjectKey.of(obj) for obj in (event.old, event.object) if obj is not None]

    things = informer(thing())
    run = Run(reconcile)
    run.controller.watch(things, map=both)
    async with run:
        await asyncio.sleep(1)
        ran.clear()
        things.event("", WatchEvent("MODIFIED", thing(2)))
        await asyncio.sleep(1)
    assert ran == [KEY]


@pytest.mark.semantics("H-02")
async def test_what_a_predicate_refuses_is_mapped_by_nobody() -> None:
    mapped: list[Event] = []

    def mapper(event: Event) -> list[ObjectKey]:
        mapped.append(event)
        return []

    Run(done).controller.watch(informer(thing()), map=mapper, when=lambda _: False)
    assert mapped == []


@pytest.mark.semantics("C-01")
@pytest.mark.parametrize("wrong", [{"concurrency": 0}, {"timeout": 0.0}, {"timeout": -1.0}])
async def test_a_controller_that_could_not_work_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="controller test: concurrency and timeout must be positive"):
        Run(done, **wrong)


@pytest.mark.semantics("C-02")
async def test_a_controller_runs_once() -> None:
    async with Run(done) as run:
        await asyncio.sleep(1)
        with pytest.raises(RuntimeError, match="controller test runs only once"):
            await run.controller.run(asyncio.Event())


@pytest.mark.semantics("C-04")
async def test_a_watch_that_is_added_to_a_running_controller_is_heard() -> None:
    ran: list[ObjectKey] = []

    async def reconcile(key: ObjectKey) -> Result:
        ran.append(key)
        return Result()

    async with Run(reconcile) as run:
        await asyncio.sleep(1)
        things = informer(thing())
        run.controller.watch(things)
        things.event("", WatchEvent("ADDED", {"metadata": {**thing(2)["metadata"], "name": "b", "uid": "b"}}))
        await asyncio.sleep(1)
    assert sorted(ran) == [KEY, ObjectKey("n", "b")]


@pytest.mark.semantics("C-06", "Q-02")
async def test_what_comes_while_a_key_runs_runs_it_once_more_and_never_twice_at_once() -> None:
    running, most, ran = 0, 0, 0

    async def reconcile(_: ObjectKey) -> Result:
        nonlocal running, most, ran
        running, ran = running + 1, ran + 1
        most = max(most, running)
        await asyncio.sleep(10)
        running -= 1
        return Result()

    async with Run(reconcile, concurrency=4) as run:
        run.controller.enqueue(KEY)
        await asyncio.sleep(1)
        for _ in range(5):
            run.controller.enqueue(KEY)
        await asyncio.sleep(60)
    assert (ran, most) == (2, 1)


async def test_no_more_keys_run_at_once_than_there_are_workers() -> None:
    running, most = 0, 0

    async def reconcile(_: ObjectKey) -> Result:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(10)
        running -= 1
        return Result()

    async with Run(reconcile, concurrency=3) as run:
        for number in range(10):
            run.controller.enqueue(ObjectKey("n", str(number)))
        await asyncio.sleep(60)
        assert run.count("controller_runtime_active_workers") == 0
    assert most == 3


@pytest.mark.semantics("C-11")
async def test_a_defect_is_counted_and_told_with_its_traceback_and_harms_no_other() -> None:
    ran: list[str] = []

    async def reconcile(key: ObjectKey) -> Result:
        ran.append(key.name)
        if key == KEY and len(ran) < 3:
            raise ZeroDivisionError("a defect")
        return Result()

    with structlog.testing.capture_logs() as logs:
        async with Run(reconcile) as run:
            run.controller.enqueue(KEY)
            run.controller.enqueue(ObjectKey("n", "b"))
            await asyncio.sleep(1)
    assert ran == ["a", "b", "a"]
    assert run.count("controller_runtime_reconcile_panics_total") == 1
    told = [log for log in logs if log["log_level"] == "error"]
    assert [(log["event"], log["name"], log["exc_info"]) for log in told] == [
        ("failed unexpectedly; will try again", "a", True)
    ]


@pytest.mark.semantics("C-11")
@pytest.mark.parametrize("later", [None, "60", math.inf, math.nan])
async def test_a_result_that_cannot_be_used_is_a_defect_of_its_reconcile_and_harms_no_other(later: Any) -> None:
    ran: list[str] = []

    async def reconcile(key: ObjectKey) -> Result:
        ran.append(key.name)
        if ran == ["a"]:
            return None if later is None else Result(requeue_after=later)  # type: ignore[return-value]
        return Result()

    with structlog.testing.capture_logs() as logs:
        async with Run(reconcile) as run:
            run.controller.enqueue(KEY)
            run.controller.enqueue(ObjectKey("n", "b"))
            await asyncio.sleep(1)
    assert ran == ["a", "b", "a"]
    assert run.count("controller_runtime_reconcile_panics_total") == 1
    assert [log["event"] for log in logs] == ["failed unexpectedly; will try again"]


@pytest.mark.semantics("C-11")
async def test_a_result_that_is_none_says_what_to_return() -> None:
    async def reconcile(_: ObjectKey) -> Result:
        return None  # type: ignore[return-value]

    with structlog.testing.capture_logs([structlog.processors.format_exc_info]) as logs:
        async with Run(reconcile) as run:
            run.controller.enqueue(KEY)
            await asyncio.sleep(0.001)
    assert logs[0]["exception"].endswith(
        "TypeError: a reconcile returns a Result, such as Result() where all is done, and not None"
    )


@pytest.mark.semantics("K-22")
async def test_a_field_that_others_own_is_told_with_its_manager() -> None:
    cause = {"reason": "FieldManagerConflict", "field": ".spec.replicas", "message": 'conflict with "kubectl" using v1'}
    told = await told_of(from_status(409, {"message": "no", "details": {"causes": [cause]}}, request="x"))
    assert (told["log_level"], told["fields"]) == ("warning", [".spec.replicas of kubectl"])


@pytest.mark.semantics("K-26")
async def test_a_name_that_is_anothers_is_no_defect() -> None:
    told = await told_of(NameTaken(THINGS, KEY))
    assert (told["log_level"], "exc_info" in told) == ("warning", False)
    assert "belongs to another" in told["problem"]


async def told_of(error: Exception) -> MutableMapping[str, Any]:
    """What is logged, and not counted as a panic, where a reconcile fails once."""
    failures = [error]

    async def reconcile(_: ObjectKey) -> Result:
        if failures:
            raise failures.pop()
        return Result()

    with structlog.testing.capture_logs() as logs:
        async with Run(reconcile) as run:
            run.controller.enqueue(KEY)
            await asyncio.sleep(1)
    assert run.count("controller_runtime_reconcile_panics_total") == 0
    (told,) = [log for log in logs if log["log_level"] != "debug"]
    return told


@pytest.mark.semantics("C-12")
async def test_a_timeout_of_the_reconcile_itself_is_a_failure_and_not_counted_as_ours() -> None:
    ran = 0

    async def reconcile(_: ObjectKey) -> Result:
        nonlocal ran
        ran += 1
        if ran == 1:
            raise TimeoutError("the database did not answer")
        return Result()

    async with Run(reconcile) as run:
        run.controller.enqueue(KEY)
        await asyncio.sleep(1)
    assert ran == 2
    assert run.count("controller_runtime_reconcile_timeouts_total") == 0
    assert run.count("controller_runtime_reconcile_errors_total") == 1


@pytest.mark.semantics("C-12")
async def test_a_cancellation_from_outside_is_not_swallowed() -> None:
    async def reconcile(_: ObjectKey) -> Result:
        await asyncio.Event().wait()
        raise AssertionError("nobody ends the wait")

    run = Run(reconcile)
    task = asyncio.create_task(run.controller.run(asyncio.Event()))
    run.controller.enqueue(KEY)
    await asyncio.sleep(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert run.count("controller_runtime_reconcile_errors_total") == 0
    assert len(asyncio.all_tasks()) == 1


@pytest.mark.semantics("C-13")
async def test_each_run_has_an_id_in_whatever_it_logs() -> None:
    ids: list[str] = []

    async def reconcile(_: ObjectKey) -> Result:
        await asyncio.sleep(0.1)
        ids.append(structlog.contextvars.get_contextvars()["reconcile"])
        return Result(requeue_after=1)

    async with Run(reconcile, concurrency=2) as run:
        run.controller.enqueue(KEY)
        run.controller.enqueue(ObjectKey("n", "b"))
        await asyncio.sleep(3)
    assert len(ids) == len(set(ids)) == 6
    assert "reconcile" not in structlog.contextvars.get_contextvars()


@pytest.mark.semantics("C-17")
async def test_an_empty_result_is_the_end_and_a_time_that_is_past_means_at_once() -> None:
    ran = 0

    async def reconcile(_: ObjectKey) -> Result:
        nonlocal ran
        ran += 1
        return Result(requeue_after=-5) if ran < 3 else Result()

    assert Result() == Result(requeue_after=None, changes=())
    async with Run(reconcile) as run:
        run.controller.enqueue(KEY)
        await asyncio.sleep(3600)
    assert ran == 3


@pytest.mark.semantics("Q-29", "Q-30", "C-05")
async def test_what_was_there_waits_behind_what_happens_also_after_it_failed() -> None:
    ran: list[str] = []

    async def reconcile(key: ObjectKey) -> Result:
        ran.append(key.name)
        await asyncio.sleep(0.1)
        if ran == ["a"]:
            raise Conflict(409, "Conflict", "changed")
        return Result()

    things = informer(thing())
    run = Run(reconcile)
    run.controller.watch(things)
    async with run:
        await asyncio.sleep(0.05)
        for name in "bcd":
            things.event("", WatchEvent("ADDED", {"metadata": {**thing(2)["metadata"], "name": name, "uid": name}}))
        await asyncio.sleep(10)
    # The first was alone; when it is due again, those that came meanwhile are before it.
    assert ran == ["a", "b", "c", "d", "a"]


@pytest.mark.semantics("Q-29", "Q-32", "C-05")
async def test_what_a_standby_has_gathered_for_long_does_not_go_before_what_happens_when_it_leads() -> None:
    ran: list[str] = []

    async def reconcile(key: ObjectKey) -> Result:
        ran.append(key.name)
        await asyncio.sleep(0.1)
        return Result()

    def named(name: str) -> Object:
        return {"metadata": {**thing(2)["metadata"], "name": name, "uid": name}}

    things = informer(*map(named, "abc"))
    run = Run(reconcile)
    run.controller.watch(things)
    await asyncio.sleep(3600)
    async with run:
        await asyncio.sleep(0.05)
        things.event("", WatchEvent("ADDED", named("live")))
        await asyncio.sleep(10)
    assert ran == ["a", "live", "b", "c"]


@pytest.mark.semantics("W-06", "Q-20")
async def test_ten_thousand_keys_wait_for_nothing_but_their_workers() -> None:
    loop = asyncio.get_running_loop()
    left = 10_000

    async def reconcile(_: ObjectKey) -> Result:
        nonlocal left
        left -= 1
        if not left:
            finished.set_result(loop.time())
        return Result()

    finished = loop.create_future()
    began = loop.time()
    async with Run(reconcile) as run:
        for number in range(left):
            run.controller.enqueue(ObjectKey("n", str(number)))
        assert await finished - began < 1


@pytest.mark.semantics("C-07")
@pytest.mark.parametrize(
    ("error", "gap"),
    [
        (Unreachable("down", maybe_sent=True), 30.0),
        (from_status(503, {}, request="x"), 30.0),
        (from_status(429, {}, request="x"), 30.0),
        (from_status(403, {}, request="x"), 1000.0),
    ],
)
async def test_an_outage_of_the_server_is_not_waited_out_for_longer_than_it_lasts(error: Exception, gap: float) -> None:
    loop, times = asyncio.get_running_loop(), []

    async def reconcile(_: ObjectKey) -> Result:
        times.append(loop.time())
        raise error

    async with Run(reconcile) as run:
        run.controller.enqueue(KEY)
        await asyncio.sleep(10_000)
    assert max(after - before for before, after in itertools.pairwise(times)) == pytest.approx(gap)
