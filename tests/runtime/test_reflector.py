import asyncio
import itertools
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import structlog
from prometheus_client import CollectorRegistry

from marie_operator.runtime import LoopClock, Metrics, Object, ObjectList, Resource, Silent, Unreachable, WatchEvent
from marie_operator.runtime.errors import from_status
from marie_operator.runtime.metrics import CollectionMetrics
from marie_operator.runtime.reflector import Reflector

pytestmark = pytest.mark.looptime

THINGS = Resource("example.com", "v1", "Thing", "things")


def thing(name: str, version: int) -> Object:
    return {"metadata": {"namespace": "n", "name": name, "uid": name, "resourceVersion": str(version)}}


def bookmark(version: int, *, end: bool = False) -> WatchEvent:
    annotations = {"k8s.io/initial-events-end": "true"} if end else {}
    return WatchEvent("BOOKMARK", {"metadata": {"resourceVersion": str(version), "annotations": annotations}})


def added(name: str, version: int) -> WatchEvent:
    return WatchEvent("ADDED", thing(name, version))


def refusal(code: int, message: str = "no") -> Exception:
    return from_status(code, {"message": message}, request="list")


HANG = object()
"""In a script: the stream stays open and says nothing."""
SILENCE = Silent("silent for 90 s", maybe_sent=True)
GARBAGE = object()
"""In a script: what the client did not foresee."""


@dataclass
class Script:
    """An API server that follows a script: one entry for each watch or list, in order, and silence afterwards.

    How far it is, where it is asked for one object, is in ``versions``; 1000 afterwards.
    """

    watches: list[Any] = field(default_factory=list)
    lists: list[Any] = field(default_factory=list)
    versions: list[Any] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    options: list[dict[str, Any]] = field(default_factory=list)
    open: int = 0

    async def watch(self, _: Resource, __: str, **options: Any) -> AsyncIterator[WatchEvent]:
        self.open += 1
        self.options.append(options)
        try:
            async for event in self._watch(options):
                yield event
        finally:
            self.open -= 1

    async def _watch(self, options: dict[str, Any]) -> AsyncIterator[WatchEvent]:
        kind = "stream" if options["send_initial_events"] else "watch"
        self.asked.append(f"{kind} {options['resource_version']}".strip())
        events = self.watches.pop(0) if self.watches else [HANG]
        if isinstance(events, Exception):
            raise events
        if "opened" in options:
            options["opened"]()
        for event in events:
            if event is HANG:
                await asyncio.Event().wait()
            if event is GARBAGE:
                raise ValueError("a defect")
            if isinstance(event, Exception):
                raise event
            if isinstance(event, int | float):
                await asyncio.sleep(event)
                continue
            assert isinstance(event, WatchEvent)
            yield event

    async def list(self, _: Resource, __: str, **options: Any) -> ObjectList:
        self.asked.append(f"list {options['resource_version']}".strip())
        self.options.append(options)
        found = self.lists.pop(0) if self.lists else []
        if isinstance(found, Exception):
            raise found
        return ObjectList(found, "10")

    async def pages(self, _: Resource, __: str, *, limit: int) -> AsyncGenerator[ObjectList, None]:
        assert limit == 1
        self.asked.append("version")
        found = self.versions.pop(0) if self.versions else "1000"
        if isinstance(found, Exception):
            raise found
        yield ObjectList([thing("a", 1)], found)


@dataclass
class Copy:
    """What a sink was told."""

    told: list[str] = field(default_factory=list)

    def cut(self, obj: Object) -> Object:
        return obj

    def replace(self, _: str, items: list[Object], version: str) -> None:
        self.told.append(f"replace {','.join(item['metadata']['name'] for item in items)} @{version}")

    def event(self, _: str, event: WatchEvent) -> None:
        self.told.append(f"{event.type} {event.object['metadata']['name']}")

    def bookmark(self, _: str, version: str) -> None:
        self.told.append(f"bookmark {version}")


def made(script: Script, sink: Copy, **options: Any) -> Reflector:
    settings: dict[str, Any] = {"clock": LoopClock(), "jitter": lambda: 0.0} | options
    return Reflector(script, THINGS, "", sink, **settings)  # type: ignore[arg-type]


async def played(script: Script, seconds: float = 1.0, **options: Any) -> tuple[Reflector, Copy]:
    sink = Copy()
    reflector = made(script, sink, **options)
    task = asyncio.create_task(reflector.run())
    await asyncio.sleep(seconds)
    assert not task.done()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert script.open == 0
    return reflector, sink


@pytest.mark.semantics("R-40", "R-42", "R-43", "R-44", "R-28", "W-27")
async def test_a_streamed_list_is_seen_whole_and_goes_on_as_the_watch() -> None:
    script = Script(
        [[added("a", 1), bookmark(2), added("b", 2), bookmark(5, end=True), added("c", 6), bookmark(9), HANG]]
    )
    _, sink = await played(script)
    assert script.asked == ["stream"]
    assert sink.told == ["replace a,b @5", "ADDED c", "bookmark 9"]


@pytest.mark.semantics("R-45")
async def test_what_goes_during_the_list_is_not_in_it() -> None:
    gone = WatchEvent("DELETED", thing("a", 2))
    _, sink = await played(Script([[added("a", 1), gone, bookmark(3, end=True), HANG]]))
    assert sink.told == ["replace  @3"]


@pytest.mark.semantics("R-46")
async def test_a_server_without_streams_is_listed() -> None:
    script = Script([refusal(422), [HANG]], lists=[[thing("a", 1)]])
    _, sink = await played(script)
    assert script.asked == ["stream", "list", "watch 10"]
    assert sink.told == ["replace a @10"]


@pytest.mark.semantics("R-48", "W-12")
async def test_a_stream_that_never_ends_its_list_is_given_up() -> None:
    script = Script([[added("a", 1), HANG]], lists=[[thing("a", 1)]])
    await played(script, 29)
    assert script.asked == ["stream"]
    # Nor is another begun when the collection is read again.
    script = Script([[added("a", 1), HANG], [2, refusal(410)]], lists=[[thing("a", 1)], [thing("a", 1)]])
    _, sink = await played(script, 35)
    assert script.asked == ["stream", "list", "watch 10", "list 10", "watch 10"]
    assert sink.told == ["replace a @10"] * 2


@pytest.mark.semantics("R-48")
async def test_a_stream_that_takes_long_is_not_given_up_while_it_brings_objects() -> None:
    slow = [part for version, name in enumerate("abcdef", 1) for part in (added(name, version), 20)]
    script = Script([[*slow, bookmark(7, end=True), HANG]])
    _, sink = await played(script, 200)
    assert script.asked == ["stream"]
    assert sink.told == ["replace a,b,c,d,e,f @7"]


@pytest.mark.semantics("R-48", "W-12")
async def test_a_stream_that_is_a_watch_in_truth_is_given_up_however_much_happens() -> None:
    changes = [part for version in range(2, 40) for part in (WatchEvent("MODIFIED", thing("a", version)), 10)]
    script = Script([[added("a", 1), *changes], [HANG]], lists=[[thing("a", 1)]])
    with structlog.testing.capture_logs() as logs:
        await played(script, 100)
    assert script.asked == ["stream", "list", "watch 10"]
    assert [each["event"] for each in logs] == ["streamed lists do not end; listing by pages"]


@pytest.mark.semantics("R-26")
async def test_a_watch_that_ends_goes_on_at_once_from_where_it_was() -> None:
    script = Script([[bookmark(5, end=True), 2], [added("a", 6), 2], [HANG]])
    await played(script, 5)
    assert script.asked == ["stream", "watch 5", "watch 6"]


@pytest.mark.semantics("R-22", "R-10", "W-03", "W-27")
async def test_a_version_that_is_forgotten_is_read_again_from_at_least_there() -> None:
    script = Script([[bookmark(5, end=True)], [2, refusal(410)], [bookmark(9, end=True), HANG]])
    _, sink = await played(script, 5)
    assert script.asked == ["stream", "watch 5", "stream 5"]
    assert sink.told == ["replace  @5", "replace  @9"]


TOO_LARGE = {"causes": [{"reason": "ResourceVersionTooLarge"}]}


@pytest.mark.semantics("R-10", "R-11", "R-32", "W-14")
@pytest.mark.parametrize(
    "refused",
    [
        from_status(504, {"message": "Too large resource version: 5"}, request="list"),
        from_status(504, {"message": "later", "details": TOO_LARGE}, request="list"),
        refusal(410),
    ],
    ids=["words", "cause", "expired"],
)
async def test_a_version_that_nobody_has_is_not_asked_for_twice(refused: Exception) -> None:
    script = Script([[bookmark(5, end=True)], [2, refusal(410)], refused, [bookmark(7, end=True), HANG]])
    await played(script, 2.1)
    assert script.asked == ["stream", "watch 5", "stream 5", "stream"]


@pytest.mark.semantics("R-11", "W-14")
async def test_a_server_that_has_no_version_at_all_is_not_asked_without_end() -> None:
    script = Script([refusal(410)] * 500)
    await played(script, 60)
    assert len(script.asked) < 12


@pytest.mark.semantics("R-32", "W-14")
async def test_a_watch_from_a_version_that_a_restored_server_does_not_have_reads_anew() -> None:
    too_large = from_status(504, {"message": "Too large resource version: 5"}, request="watch")
    script = Script([[bookmark(5, end=True), 2], too_large, [bookmark(3, end=True), HANG]])
    _, sink = await played(script, 3)
    assert script.asked == ["stream", "watch 5", "stream"]
    assert sink.told == ["replace  @5", "replace  @3"]


@pytest.mark.semantics("W-03")
@pytest.mark.parametrize("broken", [Unreachable("reset", maybe_sent=True), SILENCE], ids=["broken", "silent"])
async def test_a_server_that_is_behind_when_it_is_met_again_was_set_back(broken: Exception) -> None:
    """Such a server takes a watch from a version that it does not have, and says nothing until it is past it."""
    script = Script([[bookmark(5, end=True), 2, broken], [bookmark(4, end=True), HANG]], versions=["3"])
    _, sink = await played(script, 5)
    assert script.asked == ["stream", "version", "stream"]
    assert sink.told == ["replace  @5", "replace  @4"]


@pytest.mark.semantics("W-03", "R-21")
async def test_a_server_is_asked_how_far_it_is_once_after_each_break_until_it_says_so() -> None:
    script = Script(
        [[bookmark(5, end=True), 2, Unreachable("reset", maybe_sent=True)], [added("a", 6), 2], [2, SILENCE], [HANG]],
        versions=[Unreachable("connection refused", maybe_sent=False), "5", "6"],
    )
    await played(script, 15)
    assert script.asked == ["stream", "version", "version", "watch 5", "watch 6", "version", "watch 6"]


@pytest.mark.semantics("W-03")
@pytest.mark.parametrize("back", [bookmark(3), added("b", 3)], ids=["bookmark", "event"])
async def test_a_watch_that_goes_back_is_not_believed(back: WatchEvent) -> None:
    script = Script([[bookmark(5, end=True), 2], [2, back, HANG], [bookmark(4, end=True), HANG]])
    _, sink = await played(script, 5)
    assert script.asked == ["stream", "watch 5", "stream"]
    assert sink.told == ["replace  @5", "replace  @4"]


@pytest.mark.semantics("W-03")
async def test_a_list_from_a_cache_that_is_behind_is_not_believed() -> None:
    behind = [bookmark(3, end=True), HANG]
    script = Script([[bookmark(5, end=True)], [2, refusal(410)], behind, [bookmark(6, end=True), HANG]])
    _, sink = await played(script, 3)
    assert script.asked == ["stream", "watch 5", "stream 5", "stream"]
    assert sink.told == ["replace  @5", "replace  @6"]


@pytest.mark.semantics("R-22")
async def test_a_storm_of_forgotten_versions_is_met_with_patience() -> None:
    rounds: list[Any] = [[bookmark(5, end=True)], refusal(410)] * 500
    script = Script(rounds)
    await played(script, 60)
    assert len(script.asked) < 24


@pytest.mark.semantics("R-01", "R-02", "R-21", "R-31", "W-27")
async def test_a_server_that_is_down_is_asked_less_and_less_and_not_read_anew() -> None:
    down = Unreachable("connection refused", maybe_sent=False)
    script = Script([[bookmark(5, end=True), 1], down], versions=[down] * 60)
    reflector, _ = await played(script, 300)
    assert script.asked[:2] == ["stream", "watch 5"]
    assert set(script.asked[2:]) == {"version"}
    assert len(script.asked) <= 18
    assert reflector.last_error == "cannot list or watch things.example.com in all namespaces: connection refused"


@pytest.mark.semantics("R-26", "W-27")
async def test_a_server_that_ends_watches_at_once_is_not_asked_thousands_of_times() -> None:
    script = Script([[bookmark(5, end=True)], *[[]] * 500])
    await played(script, 60)
    assert len(script.asked) < 20


@pytest.mark.semantics("R-04", "H-01", "W-16")
@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        (403, "may not list and watch things.example.com in all namespaces: no"),
        (404, "the API server does not know things.example.com; is its CustomResourceDefinition installed?"),
    ],
)
async def test_why_it_cannot_go_on_is_a_sentence(code: int, sentence: str) -> None:
    reflector, _ = await played(Script([refusal(code)] * 20))
    assert reflector.last_error == sentence


@pytest.mark.semantics("R-04", "H-01", "C-03")
async def test_a_kind_that_is_installed_later_is_read_then_and_the_trouble_was_told_once() -> None:
    script = Script([*[refusal(404)] * 4, [bookmark(5, end=True), HANG]])
    with structlog.testing.capture_logs() as logs:
        reflector, sink = await played(script, 30)
    assert sink.told == ["replace  @5"]
    assert reflector.last_error == ""
    assert [(log["event"], log.get("problem", "").partition(";")[0]) for log in logs] == [
        ("cannot keep up with the API server", "the API server does not know things.example.com"),
        ("keeps up with the API server again", ""),
    ]


@pytest.mark.semantics("R-02", "R-03")
async def test_every_way_of_failing_shares_one_back_off_that_two_quiet_minutes_end() -> None:
    loop, times = asyncio.get_running_loop(), []

    class Timed(Script):
        async def _watch(self, options: dict[str, Any]) -> AsyncIterator[WatchEvent]:
            times.append(loop.time())
            async for event in Script._watch(self, options):
                yield event

    down, busy = Unreachable("down", maybe_sent=False), refusal(429)
    good = [bookmark(5, end=True), 200]
    script = Timed([down, refusal(403), busy, refusal(410), refusal(410), [*good, busy], [HANG]])
    await played(script, 400)
    gaps = [round(after - before, 2) for before, after in itertools.pairwise(times)]
    assert gaps == [0.8, 1.6, 3.2, 0.0, 6.4, 200.8]


@pytest.mark.semantics("R-02")
async def test_back_off_is_spread() -> None:
    script = Script([Unreachable("down", maybe_sent=False)] * 60)
    await played(script, 300, jitter=lambda: 0.99)
    assert 6 <= len(script.asked) <= 11


@pytest.mark.semantics("R-21", "R-23", "R-31")
@pytest.mark.parametrize("within", [False, True], ids=["at the start", "within"])
async def test_a_server_that_is_busy_is_given_the_time_it_asks_for(within: bool) -> None:
    busy = from_status(429, {"message": "busy"}, request="watch", retry_after=7)
    script = Script([[bookmark(5, end=True), 1], [1, busy] if within else busy, [HANG]])
    await played(script, 7.5)
    assert script.asked == ["stream", "watch 5"]
    script = Script([[bookmark(5, end=True), 1], [1, busy] if within else busy, [HANG]])
    await played(script, 9.5)
    assert script.asked == ["stream", "watch 5", "watch 5"]


@pytest.mark.semantics("R-24", "R-25", "R-66")
@pytest.mark.parametrize("reason", ["InternalError", "StoreReadError", "SomethingElse"])
async def test_a_watch_that_fails_for_another_reason_leads_to_a_list_after_a_while(reason: str) -> None:
    failed = from_status(500, {"message": "no", "reason": reason}, request="watch")
    script = Script([[added("a", 4), bookmark(5, end=True), 1], [1, failed], [bookmark(8, end=True), HANG]])
    _, sink = await played(script, 2.5)
    assert script.asked == ["stream", "watch 5"]
    script = Script([[added("a", 4), bookmark(5, end=True), 1], [1, failed], [bookmark(8, end=True), HANG]])
    _, sink = await played(script, 4)
    assert script.asked == ["stream", "watch 5", "stream 5"]
    assert sink.told == ["replace a @5", "replace  @8"]


@pytest.mark.semantics("R-05")
@pytest.mark.parametrize(
    "script",
    [
        lambda: Script([[HANG]]),
        lambda: Script([[added("a", 1), HANG]]),
        lambda: Script([[bookmark(5, end=True), HANG]]),
        lambda: Script([[bookmark(5, end=True), 0.1], [HANG]]),
        lambda: Script([Unreachable("down", maybe_sent=False)]),
    ],
    ids=["before the first event", "in the list", "in its watch", "in a watch", "in back-off"],
)
async def test_a_stop_ends_it_wherever_it_is_and_closes_its_stream(script: Callable[[], Script]) -> None:
    here = script()
    loop = asyncio.get_running_loop()
    began = loop.time()
    await played(here, 0.5)
    assert loop.time() - began == pytest.approx(0.5, abs=0.01)
    assert len(asyncio.all_tasks()) == 1


@pytest.mark.semantics("R-16")
async def test_what_nobody_foresaw_is_an_error_and_not_silence() -> None:
    task = asyncio.create_task(made(Script([[GARBAGE]]), Copy()).run())
    with pytest.raises(ValueError, match="a defect"):
        await task


@pytest.mark.semantics("R-17", "R-27", "R-47")
async def test_a_list_that_breaks_off_is_not_seen_nor_gone_on_from() -> None:
    lost = Unreachable("reset", maybe_sent=True)
    script = Script([[added("a", 50), lost], [added("b", 60), bookmark(61, end=True), HANG]])
    _, sink = await played(script, 3)
    assert script.asked == ["stream", "stream"]
    assert sink.told == ["replace b @61"]


@pytest.mark.semantics("R-47", "W-12")
async def test_streams_that_stop_short_of_the_end_are_not_tried_for_ever() -> None:
    script = Script([[added("a", 1)], [added("a", 1)], [HANG]], lists=[[thing("a", 1)]])
    _, sink = await played(script, 5)
    assert script.asked == ["stream", "stream", "list", "watch 10"]
    assert sink.told == ["replace a @10"]


@pytest.mark.semantics("R-46")
async def test_a_stream_that_is_refused_for_reasons_of_the_day_is_tried_again_another_day() -> None:
    script = Script([refusal(500), [2, refusal(410)], [bookmark(12, end=True), HANG]], lists=[[thing("a", 1)]])
    await played(script, 3)
    assert script.asked == ["stream", "list", "watch 10", "stream 10"]


@pytest.mark.semantics("R-43")
@pytest.mark.parametrize("value", ["false", "", "True"])
async def test_only_the_annotation_that_is_true_ends_the_list(value: str) -> None:
    other = WatchEvent(
        "BOOKMARK", {"metadata": {"resourceVersion": "2", "annotations": {"k8s.io/initial-events-end": value}}}
    )
    _, sink = await played(Script([[added("a", 1), other, added("b", 2), bookmark(3, end=True), HANG]]))
    assert sink.told == ["replace a,b @3"]


@pytest.mark.semantics("R-14")
async def test_an_empty_list_empties_the_copy() -> None:
    script = Script([refusal(400), [2, refusal(410)]], lists=[[thing("a", 1)], []])
    _, sink = await played(script, 3)
    assert script.asked == ["stream", "list", "watch 10", "list 10", "watch 10"]
    assert sink.told == ["replace a @10", "replace  @10"]


@pytest.mark.semantics("R-12", "R-65", "W-11")
async def test_the_newest_is_read_in_pages_and_a_version_in_one_piece_and_each_object_is_cut_down_as_it_comes() -> None:
    script = Script([refusal(400), [2, refusal(410)]], lists=[[], []])
    await played(script, 3)
    lists = [options for options in script.options if "limit" in options]
    assert [(options["resource_version"], options["limit"]) for options in lists] == [("", 500), ("10", 0)]
    assert all(options["each"].__name__ == "cut" for options in lists)


@pytest.mark.semantics("R-20", "R-62")
async def test_watches_last_between_five_and_ten_minutes_and_every_request_is_narrowed() -> None:
    for jitter, timeout in ((0.0, 300), (0.5, 450), (0.999, 599.7)):
        script = Script([refusal(400), [HANG]], lists=[[]])
        await played(
            script, 1, jitter=lambda jitter=jitter: jitter, label_selector="a=b", field_selector="metadata.name=x"
        )
        assert script.asked == ["stream", "list", "watch 10"]
        for options in script.options:
            assert (options["label_selector"], options["field_selector"]) == ("a=b", "metadata.name=x")
        assert [options["timeout"] for options in script.options if "timeout" in options] == [timeout] * 2


@pytest.mark.semantics("R-29")
async def test_an_event_of_a_type_that_nobody_knows_is_passed_over() -> None:
    strange = WatchEvent("SPLIT", {"what": "ever"})
    script = Script([[bookmark(5, end=True), 1], [strange, added("a", 6), strange, 1], [HANG]])
    with structlog.testing.capture_logs() as logs:
        _, sink = await played(script, 3)
    assert sink.told == ["replace  @5", "ADDED a"]
    assert script.asked[-1] == "watch 6"
    assert [log["type"] for log in logs] == ["SPLIT", "SPLIT"]


@pytest.mark.semantics("R-30")
async def test_the_time_until_a_watch_answers_counts_as_its_life() -> None:
    script = Script([[bookmark(5, end=True), 1], [1.5], [HANG]])
    await played(script, 2.6)
    assert script.asked == ["stream", "watch 5", "watch 5"]


async def test_lists_and_ends_of_watches_are_counted_by_their_reason_and_silence_grows_old() -> None:
    registry = CollectorRegistry()
    counted = CollectionMetrics(Metrics(registry), str(THINGS))
    script = Script(
        [
            [bookmark(2, end=True), 60.0],  # the stream of the list, closed in good order
            [refusal(410)],
            [bookmark(9, end=True), added("a", 10), Unreachable("broken", maybe_sent=True)],
            [100.0, bookmark(11), 25.0, HANG],
        ]
    )
    reflector, _ = await played(script, 200.0, metrics=counted)
    ended = {
        reason: registry.get_sample_value(
            "operator_watches_ended_total", {"resource": "things.example.com", "reason": reason}
        )
        for reason in ("Closed", "Expired", "Unreachable")
    }
    assert ended == {"Closed": 1, "Expired": 1, "Unreachable": 1}
    assert registry.get_sample_value("operator_cache_lists_total", {"resource": "things.example.com"}) == 2
    # 60 s of the first watch, 0.8 s of back-off, 100 s of silence in the last one, and then the bookmark.
    assert reflector.age == pytest.approx(200 - 160 - 0.8, abs=2.0)


@pytest.mark.semantics("R-28", "W-13")
async def test_a_quiet_watch_of_a_server_without_bookmarks_begins_anew_and_that_is_no_trouble() -> None:
    script = Script([[bookmark(5, end=True), 1], *[[90, SILENCE]] * 3, [HANG]])
    with structlog.testing.capture_logs() as logs:
        reflector, _ = await played(script, 275)
    assert script.asked == ["stream", "watch 5", *["version", "watch 5"] * 3]
    assert reflector.last_error == ""
    assert [log["event"] for log in logs] == ["a silent watch begins anew"]


@pytest.mark.semantics("R-28", "W-13")
async def test_a_watch_whose_bookmarks_stop_is_trouble_until_it_is_accepted_again() -> None:
    script = Script([[bookmark(5, end=True), 1], [60, bookmark(6), 90, SILENCE], [HANG]])
    with structlog.testing.capture_logs() as logs:
        reflector, _ = await played(script, 151.5)
        assert reflector.last_error.endswith("silent for 90 s")
        assert [log["event"] for log in logs] == ["cannot keep up with the API server"]
    script = Script([[bookmark(5, end=True), 1], [60, bookmark(6), 90, SILENCE], [HANG]])
    reflector, _ = await played(script, 152)
    assert script.asked == ["stream", "watch 5", "version", "watch 6"]
    assert reflector.last_error == ""


@pytest.mark.semantics("R-30", "W-13")
async def test_a_watch_that_is_never_accepted_is_trouble() -> None:
    script = Script([[bookmark(5, end=True), 1], SILENCE, SILENCE])
    reflector, _ = await played(script, 2)
    assert reflector.last_error.endswith("silent for 90 s")


@pytest.mark.semantics("R-04")
async def test_a_copy_is_up_to_date_again_from_when_its_watch_is_accepted() -> None:
    down = Unreachable("connection refused", maybe_sent=False)
    reflector, _ = await played(Script([[bookmark(5, end=True), 1], down, [HANG]]), 3)
    assert reflector.last_error == ""
