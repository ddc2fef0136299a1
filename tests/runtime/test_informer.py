"""What a copy holds and tells, one promise at a time; test_cache.py has them in any order."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from marie_operator.runtime import (
    Cache,
    Controller,
    Event,
    LoopClock,
    Metrics,
    NotCached,
    Object,
    ObjectKey,
    ObjectList,
    Resource,
    Result,
    WatchEvent,
)
from marie_operator.runtime.informer import MOST_KEPT_OUT, Informer
from marie_operator.runtime.mutation import MutationDetector

THINGS = Resource("example.com", "v1", "Thing", "things")
PLANETS = Resource("example.com", "v1", "Planet", "planets", namespaced=False)
A = ObjectKey("n", "a")


def thing(name: str, version: int, *, namespace: str = "n", uid: str = "u", **more: Any) -> Object:
    metadata = {"namespace": namespace, "name": name, "uid": uid + name, "resourceVersion": str(version)}
    return {"metadata": metadata | more.pop("metadata", {}), **more}


def informer(**options: Any) -> Informer:
    settings: dict[str, Any] = {
        "namespaces": ("",),
        "label_selector": "",
        "field_selector": "",
        "indexes": {},
        "transform": None,
    }
    return Informer(THINGS, **(settings | options))


def heard(copy: Informer) -> list[Event]:
    events: list[Event] = []
    copy.add_handler(events.append)
    return events


def told(events: list[Event]) -> list[str]:
    return [f"{event.kind} {event.object['metadata']['name']}" for event in events]


@pytest.mark.semantics("S-01", "I-02")
def test_events_are_told_in_the_order_they_come() -> None:
    copy = informer()
    copy.replace("", [], "1")
    events = heard(copy)
    for version, name in enumerate("abacab", 2):
        copy.event("", WatchEvent("MODIFIED", thing(name, version)))
    assert told(events) == ["added a", "added b", "modified a", "added c", "modified a", "modified b"]
    assert [event.object["metadata"]["resourceVersion"] for event in events] == list("234567")


@pytest.mark.semantics("R-51", "S-04", "S-05", "S-07", "I-01")
def test_a_list_is_stored_whole_and_then_told_what_is_gone_first() -> None:
    copy = informer()
    copy.replace("", [thing("gone", 1), thing("kept", 2)], "2")
    seen: list[tuple[str, list[str]]] = []
    events = heard(copy)
    events.clear()
    copy.add_handler(lambda event: seen.append((event.kind, [each["metadata"]["name"] for each in copy.list()])))
    seen.clear()
    copy.replace("", [thing("z", 5), thing("kept", 2), thing("a", 4)], "5")
    assert told(events) == ["deleted gone", "added z", "added a"]
    assert seen == [("deleted", ["a", "kept", "z"]), ("added", ["a", "kept", "z"]), ("added", ["a", "kept", "z"])]


@pytest.mark.semantics("R-54")
def test_a_list_that_brings_nothing_new_is_told_to_nobody() -> None:
    copy = informer()
    copy.replace("", [thing("a", 1)], "1")
    events = heard(copy)
    events.clear()
    copy.replace("", [thing("a", 1)], "9")
    assert events == []


@pytest.mark.semantics("R-52", "I-13", "H-03")
@pytest.mark.parametrize("by_list", [True, False])
def test_a_deletion_carries_the_last_known_state_however_it_was_learnt(by_list: bool) -> None:
    copy = informer()
    copy.replace("", [thing("a", 1, colour="red")], "1")
    events = heard(copy)
    if by_list:
        copy.replace("", [], "9")
    else:
        copy.event("", WatchEvent("DELETED", thing("a", 9, colour="blue")))
    assert told(events) == ["added a", "deleted a"]
    assert events[-1].object["colour"] == "red"
    assert copy.get(A) is None


@pytest.mark.semantics("R-53")
def test_one_that_was_made_again_unseen_is_modified_with_another_uid_before() -> None:
    copy = informer()
    copy.replace("", [thing("a", 1, uid="first-")], "1")
    events = heard(copy)
    copy.replace("", [thing("a", 7, uid="second-")], "9")
    assert told(events) == ["added a", "modified a"]
    assert events[-1].old is not None
    assert events[-1].old["metadata"]["uid"] == "first-a"


@pytest.mark.semantics("R-60", "R-61", "I-11")
def test_what_cuts_objects_down_does_so_once_for_each_version() -> None:
    cuts: list[str] = []

    def cut(obj: Object) -> Object:
        cuts.append(obj["metadata"]["resourceVersion"])
        return {"metadata": obj["metadata"]}

    copy = informer(transform=cut)
    copy.replace("", [copy.cut(thing("a", 1, data="x"))], "1")
    copy.event("", WatchEvent("MODIFIED", thing("a", 2, data="x")))
    copy.event("", WatchEvent("DELETED", thing("a", 3, data="x")))
    assert cuts == ["1", "2"]
    copy.written(thing("b", 4, data="x"))
    known = copy.get(ObjectKey("n", "b"))
    assert known is not None
    assert "data" not in known


@pytest.mark.semantics("R-61")
@pytest.mark.parametrize("lacks", ["name", "uid", "resourceVersion"])
def test_a_transform_that_takes_away_what_tells_versions_apart_is_refused(lacks: str) -> None:
    def cut(obj: Object) -> Object:
        return {"metadata": {name: value for name, value in obj["metadata"].items() if name != lacks}}

    with pytest.raises(ValueError, match=r"the transform of things\.example\.com must keep namespace, name, uid"):
        informer(transform=cut).event("", WatchEvent("ADDED", thing("a", 1)))


@pytest.mark.semantics("R-64")
def test_an_object_that_leaves_the_selector_is_gone() -> None:
    copy = informer(label_selector="app=marie")
    mine = {"labels": {"app": "marie"}}
    copy.replace("", [thing("a", 1, metadata=mine)], "1")
    copy.event("", WatchEvent("DELETED", thing("a", 2, metadata={"labels": {}})))
    assert copy.list() == []


@pytest.mark.semantics("R-64", "W-01")
def test_an_object_that_this_process_takes_out_of_the_selector_is_gone_at_once_and_may_come_back() -> None:
    copy = informer(label_selector="app=marie")
    mine = {"labels": {"app": "marie"}}
    copy.replace("", [thing("a", 1, metadata=mine)], "1")
    events = heard(copy)
    copy.written(thing("a", 5))
    assert copy.list() == []
    copy.event("", WatchEvent("MODIFIED", thing("a", 3, metadata=mine)))
    assert copy.list() == []
    copy.event("", WatchEvent("DELETED", thing("a", 5)))
    copy.event("", WatchEvent("ADDED", thing("a", 8, metadata=mine)))
    assert told(events) == ["added a", "deleted a", "added a"]


@pytest.mark.semantics("R-64", "W-01")
def test_what_this_process_took_out_or_deleted_before_the_first_list_is_not_in_it() -> None:
    copy = informer(label_selector="app=marie")
    mine = {"labels": {"app": "marie"}}
    copy.written(thing("a", 5))
    copy.removed(ObjectKey("n", "b"), "ub")
    copy.replace("", [thing("a", 1, metadata=mine), thing("b", 2, metadata=mine)], "3")
    assert copy.list() == []
    copy.event("", WatchEvent("DELETED", thing("a", 5, metadata=mine)))
    copy.event("", WatchEvent("DELETED", thing("b", 6, metadata=mine)))
    # Whether b only left the selector then, and comes back before it is deleted, is known when nothing more comes.
    assert list(copy._gone) == ["ub"]
    copy.replace("", [], "7")
    assert copy._gone == {}
    copy.event("", WatchEvent("ADDED", thing("a", 9, metadata=mine)))
    assert len(copy) == 1


@pytest.mark.semantics("S-13", "W-01")
def test_what_this_process_deleted_is_not_brought_back_by_a_list_from_before_it_was_made() -> None:
    copy = informer()
    copy.replace("", [], "1")
    copy.written(thing("a", 5))
    copy.removed(A, "ua")
    copy.replace("", [], "3")
    copy.event("", WatchEvent("ADDED", thing("a", 5)))
    assert copy.get(A) is None
    copy.event("", WatchEvent("DELETED", thing("a", 6)))
    copy.event("", WatchEvent("ADDED", thing("a", 7, uid="other-")))
    assert copy.get(A) is not None


@pytest.mark.semantics("S-13")
@pytest.mark.parametrize(("selector", "most"), [("", 0), ("app=marie", MOST_KEPT_OUT)])
@pytest.mark.parametrize("seen", [True, False])
def test_deletions_whose_news_overtake_their_answers_leave_little_behind(selector: str, most: int, seen: bool) -> None:
    copy = informer(label_selector=selector)
    copy.replace("", [], "1")
    for version in range(2, 2 * MOST_KEPT_OUT + 100, 2):
        made = thing("a", version, uid=str(version), metadata={"labels": {"app": "marie"}})
        if seen:
            copy.event("", WatchEvent("ADDED", made))
        copy.event(
            "", WatchEvent("DELETED", {**made, "metadata": {**made["metadata"], "resourceVersion": version + 1}})
        )
        copy.removed(A, made["metadata"]["uid"])
    assert copy.list() == []
    assert len(copy._gone) <= most


@pytest.mark.semantics("S-13", "W-01", "R-64")
@pytest.mark.parametrize("deleted", [True, False])
def test_a_list_that_lacks_what_others_had_taken_out_and_put_back_brings_nothing_back(deleted: bool) -> None:
    """The list is older than this process's write, and was made while the object was out of the selector."""
    copy = informer(label_selector="app=marie")
    mine = {"labels": {"app": "marie"}}
    copy.replace("", [thing("a", 5, metadata=mine)], "5")
    events = heard(copy)
    # Others take it out at 6 and put it back at 8, which nobody has told yet; then this process acts, at 9.
    if deleted:
        copy.removed(A, "ua")
    else:
        copy.written(thing("a", 9))
    copy.replace("", [], "7")
    copy.event("", WatchEvent("ADDED", thing("a", 8, metadata=mine)))
    assert copy.list() == []
    copy.event("", WatchEvent("DELETED", thing("a", 9, metadata=mine)))
    assert told(events) == ["added a", "deleted a"]
    assert copy._gone == {}


@pytest.mark.semantics("S-09")
def test_the_copys_version_does_not_move_back() -> None:
    copy = informer()
    copy.replace("", [], "10")
    copy.bookmark("", "20")
    copy.bookmark("", "15")
    # Written before what the copy has reached, and not in it: deleted since.
    copy.written(thing("a", 18))
    assert copy.list() == []
    copy.written(thing("a", 21))
    assert len(copy) == 1


@pytest.mark.semantics("S-09", "W-03")
def test_a_server_that_was_set_back_is_followed() -> None:
    copy = informer()
    copy.replace("", [thing("gone", 50), thing("changed", 60, colour="red"), thing("same", 5)], "100")
    events = heard(copy)
    events.clear()
    copy.replace("", [thing("changed", 20, colour="blue"), thing("same", 5), thing("new", 30)], "40")
    assert [(each["metadata"]["name"], each.get("colour")) for each in copy.list()] == [
        ("changed", "blue"),
        ("new", None),
        ("same", None),
    ]
    assert told(events) == ["deleted gone", "modified changed", "added new"]
    copy.event("", WatchEvent("MODIFIED", thing("changed", 41, colour="green")))
    known = copy.get(ObjectKey("n", "changed"))
    assert known is not None
    assert known["colour"] == "green"


@pytest.mark.semantics("S-10")
def test_versions_that_are_no_numbers_are_refused_in_a_sentence() -> None:
    with pytest.raises(ValueError, match=r"things\.example\.com cannot be cached: its resource version 'v7-abc'"):
        informer().bookmark("", "v7-abc")


@pytest.mark.semantics("S-08")
def test_keys_are_shown_with_their_namespace_or_without_any() -> None:
    assert str(ObjectKey.of(thing("a", 1))) == "n/a"
    assert str(ObjectKey.of({"metadata": {"name": "earth"}})) == "earth"


@pytest.mark.semantics("S-11")
def test_an_index_has_each_value_of_an_object_moves_it_and_keeps_nothing_empty() -> None:
    copy = informer(indexes={"colour": lambda obj: obj["colours"]})
    copy.replace("", [thing("b", 1, colours=["red", "blue"]), thing("a", 2, colours=["red"])], "2")

    def names(colour: str) -> list[str]:
        return [each["metadata"]["name"] for each in copy.indexed("colour", colour)]

    assert (names("red"), names("blue"), names("green")) == (["a", "b"], ["b"], [])
    copy.event("", WatchEvent("MODIFIED", thing("b", 3, colours=["green"])))
    assert (names("red"), names("blue"), names("green")) == (["a"], [], ["b"])
    copy.event("", WatchEvent("DELETED", thing("b", 4, colours=[])))
    copy.event("", WatchEvent("DELETED", thing("a", 5, colours=[])))
    assert copy._indexes == {"colour": {}}
    with pytest.raises(KeyError):
        copy.indexed("size", "big")


@pytest.mark.semantics("S-11")
def test_an_index_that_cannot_be_made_is_an_error_and_not_a_hole() -> None:
    with pytest.raises(KeyError, match="colours"):
        informer(indexes={"colour": lambda obj: obj["colours"]}).replace("", [thing("a", 1)], "1")


@pytest.mark.semantics("S-12")
def test_who_changes_an_object_of_the_cache_is_found() -> None:
    copy = informer()
    copy.replace("", [thing("a", 1, data={"x": 1}), thing("b", 1)], "1")
    detector = MutationDetector([copy])
    copy.event("", WatchEvent("MODIFIED", thing("b", 2)))
    detector.check()
    known = copy.get(A)
    assert known is not None
    known["data"]["x"] = 2
    with pytest.raises(AssertionError, match=r"things\.example\.com n/a; copy them"):
        detector.check()
    copy.event("", WatchEvent("DELETED", thing("a", 3)))
    detector.check()


@pytest.mark.semantics("S-03", "I-05")
async def test_who_waits_for_the_copy_finds_that_handlers_have_heard_of_it() -> None:
    copy = informer()
    events = heard(copy)
    waiting = asyncio.create_task(copy.wait_synced())
    await asyncio.sleep(0)
    copy.replace("", [thing("a", 1), thing("b", 1)], "1")
    await waiting
    assert told(events) == ["added a", "added b"]
    assert all(event.initial for event in events)


@pytest.mark.semantics("I-03", "W-09")
async def test_a_burst_of_events_is_one_key() -> None:
    async def reconcile(_: ObjectKey) -> Result:
        raise AssertionError("nobody runs it")

    copy = informer()
    copy.replace("", [], "1")
    controller = Controller("c", reconcile, clock=LoopClock(), metrics=Metrics(CollectorRegistry()))
    controller.watch(copy)
    for version in range(2, 10_002):
        copy.event("", WatchEvent("MODIFIED", thing("a", version)))
    queue = controller._queue
    assert len(queue) == len(queue._entries) == len(queue._ready) == 1


class Server:
    """Lists nothing, and is quiet."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def watch(self, resource: Resource, namespace: str, **_: Any) -> AsyncIterator[WatchEvent]:
        self.asked.append(resource.path(namespace))
        yield WatchEvent(
            "BOOKMARK", {"metadata": {"resourceVersion": "7", "annotations": {"k8s.io/initial-events-end": "true"}}}
        )
        await asyncio.Event().wait()

    async def list(self, _: Resource, __: str, **___: Any) -> ObjectList:
        raise AssertionError("it is streamed")


def cache(server: Server, *namespaces: str) -> Cache:
    return Cache(server, namespaces=namespaces, clock=LoopClock())  # type: ignore[arg-type]


@pytest.mark.looptime
@pytest.mark.semantics("K-02", "K-10", "W-15")
async def test_a_cache_of_some_namespaces_asks_for_those_and_answers_for_no_other() -> None:
    server = Server()
    held = cache(server, "one", "two", "one")
    things, planets = held.add(THINGS), held.add(PLANETS)
    running = asyncio.create_task(held.run())
    await held.wait_synced()
    assert sorted(server.asked) == [
        "/apis/example.com/v1/namespaces/one/things",
        "/apis/example.com/v1/namespaces/two/things",
        "/apis/example.com/v1/planets",
    ]
    things.written(thing("b", 8, namespace="one"))
    things.written(thing("a", 9, namespace="two"))
    things.written(thing("c", 9, namespace="three"))
    assert [each["metadata"]["name"] for each in things.list()] == ["b", "a"]
    assert [each["metadata"]["name"] for each in things.list("two")] == ["a"]
    assert planets.get(ObjectKey("", "earth")) is None
    for read in (lambda: things.get(ObjectKey("three", "c")), lambda: things.list("three")):
        with pytest.raises(NotCached, match=r"things\.example\.com is not cached in namespace three"):
            read()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


@pytest.mark.looptime
async def test_a_cache_that_keeps_nothing_is_synced_and_runs_until_it_is_stopped() -> None:
    held = cache(Server())
    running = asyncio.create_task(held.run())
    await held.wait_synced()
    await asyncio.sleep(100)
    assert not running.done()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


@pytest.mark.looptime
@pytest.mark.semantics("I-08", "I-10", "I-11", "K-07", "W-15")
async def test_kinds_are_given_once_and_before_and_a_stop_leaves_no_task() -> None:
    held = cache(Server())
    indexes = {"name": lambda obj: (obj["metadata"]["name"],)}
    planets = held.add(PLANETS, indexes=indexes)
    assert held.add(PLANETS, indexes=indexes) is planets
    for wanted, selector in ((None, ""), (indexes, "a")):
        with pytest.raises(ValueError, match=r"planets\.example\.com is cached already, with other selectors"):
            held.add(PLANETS, indexes=wanted, label_selector=selector)
    running = asyncio.create_task(held.run())
    await held.wait_synced()
    held[PLANETS].written({"metadata": {"name": "earth", "uid": "e", "resourceVersion": "8"}})
    assert len(held[PLANETS].indexed("name", "earth")) == 1
    with pytest.raises(RuntimeError, match=r"things\.example\.com must be added to the cache before it runs"):
        held.add(THINGS)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert len(asyncio.all_tasks()) == 1
