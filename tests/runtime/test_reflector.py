import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from marie_operator.runtime import LoopClock, Object, ObjectList, Resource, Unreachable, WatchEvent
from marie_operator.runtime.errors import from_status
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


@dataclass
class Script:
    """An API server that follows a script: one entry for each watch or list, in order, and silence afterwards."""

    watches: list[Any] = field(default_factory=list)
    lists: list[Any] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    async def watch(self, _: Resource, __: str, **options: Any) -> AsyncIterator[WatchEvent]:
        kind = "stream" if options["send_initial_events"] else "watch"
        self.asked.append(f"{kind} {options['resource_version']}".strip())
        events = self.watches.pop(0) if self.watches else [HANG]
        if isinstance(events, Exception):
            raise events
        for event in events:
            if event is HANG:
                await asyncio.Event().wait()
            if isinstance(event, Exception):
                raise event
            if isinstance(event, int | float):
                await asyncio.sleep(event)
                continue
            assert isinstance(event, WatchEvent)
            yield event

    async def list(self, _: Resource, __: str, **options: Any) -> ObjectList:
        self.asked.append(f"list {options['resource_version']}".strip())
        found = self.lists.pop(0)
        if isinstance(found, Exception):
            raise found
        return ObjectList(found, "10")


@dataclass
class Copy:
    """What a sink was told."""

    told: list[str] = field(default_factory=list)

    def replace(self, _: str, items: list[Object], version: str) -> None:
        self.told.append(f"replace {','.join(item['metadata']['name'] for item in items)} @{version}")

    def event(self, _: str, event: WatchEvent) -> None:
        self.told.append(f"{event.type} {event.object['metadata']['name']}")

    def bookmark(self, _: str, version: str) -> None:
        self.told.append(f"bookmark {version}")


async def played(script: Script, seconds: float = 1.0) -> tuple[Reflector, Copy]:
    sink = Copy()
    reflector = Reflector(script, THINGS, "", sink, clock=LoopClock(), jitter=lambda: 0.0)  # type: ignore[arg-type]
    task = asyncio.create_task(reflector.run())
    await asyncio.sleep(seconds)
    assert not task.done()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return reflector, sink


@pytest.mark.semantics("R-40", "R-42", "R-43", "R-44", "R-28")
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


@pytest.mark.semantics("R-46", "R-10")
async def test_a_server_without_streams_is_listed() -> None:
    script = Script([refusal(422), [HANG]], lists=[[thing("a", 1)]])
    _, sink = await played(script)
    assert script.asked == ["stream", "list 0", "watch 10"]
    assert sink.told == ["replace a @10"]


@pytest.mark.semantics("R-48")
async def test_a_stream_that_never_ends_its_list_is_given_up() -> None:
    script = Script([[added("a", 1), HANG]], lists=[[thing("a", 1)]])
    await played(script, 29)
    assert script.asked == ["stream"]
    script = Script([[added("a", 1), HANG]], lists=[[thing("a", 1)]])
    _, sink = await played(script, 32)
    assert script.asked == ["stream", "list 0", "watch 10"]
    assert sink.told == ["replace a @10"]


@pytest.mark.semantics("R-26")
async def test_a_watch_that_ends_goes_on_at_once_from_where_it_was() -> None:
    script = Script([[bookmark(5, end=True), 2], [added("a", 6), 2], [HANG]])
    await played(script, 5)
    assert script.asked == ["stream", "watch 5", "watch 6"]


@pytest.mark.semantics("R-22")
async def test_a_version_that_is_forgotten_is_read_again_from_at_least_there() -> None:
    script = Script([[bookmark(5, end=True)], [2, refusal(410)], [bookmark(9, end=True), HANG]])
    _, sink = await played(script, 5)
    assert script.asked == ["stream", "watch 5", "stream 5"]
    assert sink.told == ["replace  @5", "replace  @9"]


@pytest.mark.semantics("R-11", "R-32")
async def test_a_version_the_server_does_not_have_yet_is_not_asked_for_twice() -> None:
    too_large = from_status(504, {"message": "Too large resource version: 5"}, request="list")
    script = Script([[bookmark(5, end=True)], [2, refusal(410)], too_large, [bookmark(3, end=True), HANG]])
    await played(script, 10)
    assert script.asked == ["stream", "watch 5", "stream 5", "stream"]


@pytest.mark.semantics("R-02", "R-21")
async def test_a_server_that_is_down_is_asked_less_and_less_and_not_read_anew() -> None:
    down = Unreachable("connection refused", maybe_sent=False)
    script = Script([[bookmark(5, end=True), 1], *[down] * 60])
    reflector, _ = await played(script, 300)
    assert script.asked[0] == "stream"
    assert set(script.asked[1:]) == {"watch 5"}
    assert len(script.asked) <= 18
    assert reflector.last_error == "cannot list or watch things.example.com in all namespaces: connection refused"


async def test_a_server_that_ends_watches_at_once_is_not_asked_thousands_of_times() -> None:
    script = Script([[bookmark(5, end=True)], *[[]] * 500])
    await played(script, 60)
    assert len(script.asked) < 12


@pytest.mark.semantics("R-04")
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
