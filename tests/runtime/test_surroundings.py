"""Events, conditions, metrics and health."""

import asyncio
import io
import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import aiohttp
import pytest
import structlog
from prometheus_client import CollectorRegistry

from marie_operator.runtime import (
    SERVICES,
    AlreadyExists,
    BindError,
    Cache,
    EventRecorder,
    LoopClock,
    Manager,
    Metrics,
    NotLeader,
    Object,
    ObjectKey,
    ObjectReference,
    Resource,
    Unreachable,
    configure_logs,
    is_true,
    with_condition,
)
from marie_operator.runtime.conditions import LONGEST_MESSAGE
from marie_operator.runtime.health import LoopLag, Server, metrics_page, probes
from marie_operator.testing.apiserver.embedded import EmbeddedApiServer
from tests.runtime.direct import DirectTransport, client_of

EARLY, LATE = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)
CLUSTER = ObjectReference("marie.ai/v1alpha1", "MarieCluster", "n", "c", "uid")


def condition(conditions: Any, status: Any, now: datetime, **more: Any) -> list[dict[str, Any]]:
    return with_condition(
        conditions, type="Ready", status=status, now=now, **{"reason": "R", "message": "m", "generation": 1, **more}
    )


@pytest.mark.parametrize("length", [LONGEST_MESSAGE, LONGEST_MESSAGE + 1, 10 * LONGEST_MESSAGE])
def test_a_message_is_no_longer_than_the_api_server_takes(length: int) -> None:
    (found,) = condition([], "False", EARLY, message="m" * length)
    assert len(found["message"]) == LONGEST_MESSAGE
    assert found["message"].endswith("m" if length == LONGEST_MESSAGE else "…")


def test_a_transition_time_moves_with_the_status_alone() -> None:
    first = condition([], "False", EARLY)
    assert first[0]["lastTransitionTime"] == "2026-01-01T00:00:00Z"
    reworded = condition(first, "False", LATE, message="other", generation=2)
    assert reworded[0]["lastTransitionTime"] == "2026-01-01T00:00:00Z"
    assert reworded[0]["message"] == "other"
    turned = condition(reworded, "True", LATE)
    assert turned[0]["lastTransitionTime"] == "2026-01-02T00:00:00Z"
    assert is_true(turned, "Ready")
    assert not is_true(first, "Ready")
    assert condition(turned, "True", EARLY) == turned


class Events:
    """Takes events, or does not answer for a while, or does what it is asked and says nothing."""

    def __init__(self) -> None:
        self.created: list[Object] = []
        self.patched: list[Object] = []
        self.down = 0
        self.mute = 0

    async def create(self, _: Resource, obj: Object) -> Object:
        self._fail()
        if obj["metadata"]["name"] in {event["metadata"]["name"] for event in self.created}:
            raise AlreadyExists(409, "AlreadyExists", "it exists")
        self.created.append(obj)
        self._lose()
        return obj

    async def patch(self, _: Resource, __: ObjectKey, body: Object, **___: Any) -> Object:
        self._fail()
        self.patched.append(body)
        self._lose()
        return body

    def counts(self) -> list[int]:
        return [body["series"]["count"] for body in self.patched]

    def _fail(self) -> None:
        if self.down:
            self.down -= 1
            raise Unreachable("down", maybe_sent=False)

    def _lose(self) -> None:
        if self.mute:
            self.mute -= 1
            raise Unreachable("no answer", maybe_sent=True)


class Recorder:
    """A recorder at work."""

    def __init__(self, events: Any) -> None:
        self._registry = CollectorRegistry()
        self.record = EventRecorder(
            events, controller="marie.ai/operator", instance="me", clock=LoopClock(), metrics=Metrics(self._registry)
        )

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self.record.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    def say(self, *notes: str, reason: str = "Created") -> None:
        for note in notes:
            self.record.record(CLUSTER, type="Normal", reason=reason, action="Reconcile", note=note)

    @property
    def dropped(self) -> float | None:
        return self._registry.get_sample_value("operator_events_dropped_total")


@pytest.mark.looptime
@pytest.mark.semantics("E-04", "W-21")
async def test_a_repeat_is_counted_and_another_note_is_another_event() -> None:
    events = Events()
    async with Recorder(events) as recorder:
        recorder.say("one", "one", "two")
        await asyncio.sleep(1)
        assert [event["note"] for event in events.created] == ["one", "two"]
        assert events.counts() == [2]
        recorder.say(*["one"] * 50)
        recorder.say("one", reason="Deleted")
        await asyncio.sleep(50)
        assert events.counts() == [2]
        assert [(event["reason"], event["note"]) for event in events.created[2:]] == [("Deleted", "one")]
        await asyncio.sleep(100)
        recorder.say("one")
        await asyncio.sleep(1)
        assert events.counts()[-1] == 53
        await asyncio.sleep(400)
        recorder.say("one")
        await asyncio.sleep(1)
        assert [event["note"] for event in events.created] == ["one", "two", "one", "one"]


@pytest.mark.looptime
@pytest.mark.semantics("E-04")
async def test_the_count_of_a_burst_is_told_also_where_nothing_follows_it() -> None:
    events = Events()
    async with Recorder(events) as recorder:
        recorder.say(*["one"] * 50)
        await asyncio.sleep(1)
        assert events.counts() == [2]
        await asyncio.sleep(70)
        assert events.counts()[-1] == 50
        told = len(events.patched)
        await asyncio.sleep(1000)
        assert len(events.patched) == told


@pytest.mark.looptime
@pytest.mark.semantics("E-03", "E-04")
async def test_a_repeat_that_was_not_delivered_is_delivered_later_and_counted_once() -> None:
    events = Events()
    async with Recorder(events) as recorder:
        recorder.say("one")
        await asyncio.sleep(1)
        events.down = 2
        recorder.say("one")
        await asyncio.sleep(10)
        assert events.counts() == [2]
        # Also where no attempt of the first round succeeds.
        events.down = 7
        recorder.say("one")
        await asyncio.sleep(300)
        assert events.counts() == [2, 3]
    assert recorder.dropped == 0


@pytest.mark.looptime
@pytest.mark.semantics("E-03")
async def test_an_event_whose_answer_was_lost_is_not_made_twice() -> None:
    events = Events()
    events.mute = 1
    async with Recorder(events) as recorder:
        recorder.say("one")
        await asyncio.sleep(10)
        assert len(events.created) == 1
        recorder.say("one")
        await asyncio.sleep(1)
        assert events.counts() == [2]
    assert recorder.dropped == 0


@pytest.mark.looptime
@pytest.mark.semantics("E-03")
async def test_what_is_recorded_where_nobody_leads_is_dropped_and_counted_and_ends_nothing() -> None:
    class Fenced(Events):
        def _fail(self) -> None:
            raise NotLeader("lease a/b is not held by this process")

    async with Recorder(Fenced()) as recorder:
        recorder.say("one", "two")
        await asyncio.sleep(1)
        assert recorder.dropped == 2


@pytest.mark.looptime
@pytest.mark.semantics("E-03")
async def test_a_server_that_is_away_for_a_while_loses_nothing_and_holds_up_nobody() -> None:
    events = Events()
    events.down = 3
    recorder = Recorder(events)
    recorder.say("ö" * 2000)
    await recorder.record.flush()
    assert len(events.created[0]["note"].encode()) <= 1024
    assert events.created[0]["regarding"]["name"] == "c"


@pytest.mark.looptime
@pytest.mark.semantics("E-03")
async def test_events_beyond_a_thousand_are_dropped_and_counted_and_nobody_waits() -> None:
    loop, events = asyncio.get_running_loop(), Events()
    recorder = Recorder(events)
    began = loop.time()
    recorder.say(*map(str, range(1500)))
    assert loop.time() == began
    assert recorder.dropped == 500
    await recorder.record.flush()
    assert [event["note"] for event in events.created] == [str(number) for number in range(1000)]


@pytest.mark.looptime
@pytest.mark.semantics("E-03")
async def test_what_is_left_at_the_end_is_sent_also_what_was_on_its_way_and_the_rest_is_counted() -> None:
    class Slow(Events):
        async def create(self, resource: Resource, obj: Object) -> Object:
            made = await super().create(resource, obj)
            await asyncio.sleep(1)
            return made

    events = Slow()
    async with Recorder(events) as recorder:
        recorder.say("one", "two", "three", "three")
        await asyncio.sleep(0.5)
    await recorder.record.flush()
    assert [event["note"] for event in events.created] == ["one", "two", "three"]
    assert events.counts() == [2]
    assert recorder.dropped == 0
    recorder.say("three", *map(str, range(10)))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(2.5):
            await recorder.record.flush()
    # The count was not told, and of ten events two were made and one was on its way.
    assert recorder.dropped == 1 + 8


NAMES = Path(__file__).parent / "metrics.txt"


async def test_names_types_and_labels_of_all_metrics() -> None:
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    found = sorted(
        f"{family.name} {family.type} {','.join(collector._labelnames)}".rstrip()
        for collector in {id(each): each for each in vars(metrics).values() if hasattr(each, "_labelnames")}.values()
        for family in collector.collect()
    )
    assert found == NAMES.read_text(encoding="utf-8").splitlines()


async def fetched(port: int, path: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}{path}") as response:
        return response.status, await response.text()


@pytest.mark.semantics("M-12")
async def test_probes_say_which_check_fails_and_why() -> None:
    trouble = ""
    app = probes(live={}, ready={"caches": lambda: trouble, "other": lambda: ""})
    async with Server("127.0.0.1:0", setting="X", app=app) as server:
        assert await fetched(server.port, "/healthz") == (200, "ok")
        assert await fetched(server.port, "/readyz") == (200, "ok")
        trouble = "services is being read"
        assert await fetched(server.port, "/readyz") == (
            500,
            "[-]caches failed: services is being read\n[+]other ok\nreadyz check failed\n",
        )
        assert await fetched(server.port, "/readyz/other") == (200, "ok")
        assert await fetched(server.port, "/readyz/caches") == (
            500,
            "internal server error: services is being read\n",
        )
        assert (await fetched(server.port, "/readyz/none"))[0] == 404


@pytest.mark.semantics("M-12")
async def test_probes_are_asked_as_the_api_servers_are() -> None:
    trouble = "services is being read"
    app = probes(live={}, ready={"caches": lambda: trouble, "other": lambda: ""})
    async with Server("127.0.0.1:0", setting="X", app=app) as server:
        assert await fetched(server.port, "/healthz?verbose") == (200, "[+]ping ok\nhealthz check passed\n")
        assert await fetched(server.port, "/readyz?exclude=caches") == (200, "ok")
        assert await fetched(server.port, "/readyz?exclude=caches&exclude=etcd&verbose") == (
            200,
            "[+]caches excluded: ok\n[+]other ok\n"
            'warn: some health checks cannot be excluded: no matches for "etcd"\nreadyz check passed\n',
        )
        assert (await fetched(server.port, "/readyz?exclude=other"))[0] == 500


@pytest.mark.semantics("M-13")
async def test_addresses_that_cannot_be_listened_on_get_a_sentence() -> None:
    app = probes(live={}, ready={})
    async with Server("0", setting="X", app=app) as off:
        assert off.port == 0
    for address in ("nonsense", ":http"):
        with pytest.raises(BindError, match="give \\[host\\]:port, or 0 for none"):
            await Server(address, setting="X", app=probes(live={}, ready={})).__aenter__()
    async with Server("127.0.0.1:0", setting="X", app=probes(live={}, ready={})) as taken:
        with pytest.raises(BindError, match="Give another address with METRICS"):
            await Server(f"127.0.0.1:{taken.port}", setting="METRICS", app=probes(live={}, ready={})).__aenter__()


@pytest.mark.parametrize(
    ("accept", "content_type", "count", "end"),
    [
        ("", "text/plain; version=0.0.4; charset=utf-8", " counter\nrest_client_requests_total{", "\n"),
        (
            "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5",
            "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores",
            "# TYPE rest_client_requests counter\nrest_client_requests_total{",
            "# EOF\n",
        ),
    ],
)
async def test_metrics_are_served_as_they_are_asked_for(accept: str, content_type: str, count: str, end: str) -> None:
    metrics = Metrics(CollectorRegistry())
    metrics.request(code="200", method="GET", host="h", seconds=0.1)
    measured: list[bool] = []
    async with (
        Server("127.0.0.1:0", setting="X", app=metrics_page(metrics, lambda: measured.append(True))) as server,
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{server.port}/metrics", headers={"Accept": accept}) as response,
    ):
        text = await response.text()
    assert response.headers["Content-Type"] == content_type
    assert count in text
    assert text.endswith(end)
    assert 'rest_client_requests_total{code="200",host="h",method="GET"} 1.0' in text
    assert measured == [True]


@pytest.mark.semantics("W-24")
async def test_a_scrape_asks_the_api_server_nothing_and_works_while_it_is_away() -> None:
    api, metrics = EmbeddedApiServer(seed=1), Metrics(CollectorRegistry())
    transport = DirectTransport(api)
    cache = Cache(client_of(api, transport), clock=LoopClock(), metrics=metrics)
    cache.add(SERVICES)
    manager = Manager(cache=cache, controllers=[])
    running = asyncio.create_task(cache.run())
    await cache.wait_synced()
    mark = api.audit.mark()
    async with Server("127.0.0.1:0", setting="X", app=metrics_page(metrics, manager.measure)) as server:
        for _ in range(3):
            assert (await fetched(server.port, "/metrics"))[0] == 200
        assert api.audit.requests(since=mark) == []
        transport.down = True
        api.server.end_watches()
        await asyncio.sleep(0.05)
        code, text = await fetched(server.port, "/metrics")
    assert (code, 'operator_cache_objects{resource="services"}' in text) == (200, True)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


@pytest.mark.semantics("W-26")
async def test_a_loop_that_was_blocked_is_not_well() -> None:
    moment = 0.0

    class Blocked(LoopClock):
        def monotonic(self) -> float:
            nonlocal moment
            moment += 10.0
            return moment

    lag = LoopLag(clock=Blocked(), metrics=Metrics(CollectorRegistry()))
    task = asyncio.create_task(lag.run())
    await asyncio.sleep(1.1)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert lag.problem() == "the event loop woke 9.0 s late"


@pytest.mark.parametrize("style", ["json", "console"])
def test_a_traceback_tells_where_and_not_with_what(style: str) -> None:
    written, logger = io.StringIO(), logging.getLogger()
    before, configured = (logger.handlers, logger.level), structlog.get_config()
    try:
        configure_logs(style=style, stream=written)
        key = "mas_secret"
        try:
            bytes.fromhex(key)
        except ValueError:
            structlog.get_logger().exception("failed unexpectedly")
    finally:
        logger.handlers, logger.level = before
        structlog.configure(**configured)
    assert "non-hexadecimal number" in written.getvalue()
    assert "test_a_traceback_tells_where" in written.getvalue()
    assert "mas_secret" not in written.getvalue().replace('key = "mas_secret"', "")
