"""The copy equals the server in the end, and never goes back behind what this process wrote."""

from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from marie_operator.runtime import (
    Cache,
    Event,
    LoopClock,
    NotCached,
    Object,
    ObjectKey,
    Resource,
    Typed,
    Unparsable,
    WatchEvent,
)
from marie_operator.runtime.informer import Informer

THINGS = Resource("example.com", "v1", "Thing", "things")
NAMES = ("a", "b")


def thing(name: str, version: int, *, uid: str = "u", colour: str = "red") -> Object:
    metadata = {"namespace": "n", "name": name, "uid": uid, "resourceVersion": str(version), "managedFields": ["x"]}
    return {"metadata": metadata, "colour": colour}


def informer(**options: Any) -> Informer:
    settings: dict[str, Any] = {
        "namespaces": ("",),
        "label_selector": "",
        "field_selector": "",
        "indexes": {"colour": lambda obj: (obj["colour"],)},
        "transform": None,
    }
    return Informer(THINGS, **(settings | options))


@dataclass
class Server:
    """A collection with its history; whoever watches it sees the history in order, sooner or later."""

    version: int = 0
    objects: dict[str, Object] = field(default_factory=dict)
    history: list[WatchEvent] = field(default_factory=list)
    made: int = 0

    def put(self, name: str, colour: str) -> Object:
        self.version += 1
        known = self.objects.get(name)
        if known is None:
            self.made += 1
        uid = f"u{self.made}" if known is None else known["metadata"]["uid"]
        obj = self.objects[name] = thing(name, self.version, uid=uid, colour=colour)
        self.history.append(WatchEvent("ADDED" if known is None else "MODIFIED", obj))
        return obj

    def remove(self, name: str) -> Object | None:
        if name not in self.objects:
            return None
        self.version += 1
        gone = self.objects.pop(name)
        last = {**gone, "metadata": {**gone["metadata"], "resourceVersion": str(self.version)}}
        self.history.append(WatchEvent("DELETED", last))
        return gone


ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(["put", "remove", "own put", "own remove", "watch", "relist", "late answer"]),
        st.sampled_from(NAMES),
        st.sampled_from(["red", "blue"]),
        st.integers(0, 3),
    ),
    max_size=30,
)


@pytest.mark.semantics("R-14", "R-51", "S-09", "S-13", "I-01", "W-01", "W-02")
@given(ACTIONS)
def test_any_order_of_events_lists_and_own_writes(actions: list[tuple[str, str, str, int]]) -> None:
    server, copy = Server(), informer()
    told: dict[str, Object] = {}
    seen, unanswered = 0, []

    def handler(event: Event) -> None:
        name = event.object["metadata"]["name"]
        match event.kind:
            case "added":
                assert name not in told
            case "modified":
                assert told[name] is event.old
            case "deleted":
                assert told.pop(name) is event.object
                return
            case _:
                raise AssertionError(event.kind)
        told[name] = event.object

    copy.add_handler(handler)
    copy.replace("", [], "0")
    for action, name, colour, count in actions:
        match action:
            case "put":
                server.put(name, colour)
            case "remove":
                server.remove(name)
            case "own put":
                obj = server.put(name, colour)
                copy.written(obj)
                known = copy.get(ObjectKey("n", name))
                assert known is not None
                assert int(known["metadata"]["resourceVersion"]) >= int(obj["metadata"]["resourceVersion"])
            case "late answer":
                unanswered.append(server.put(name, colour))
            case "own remove":
                gone = server.remove(name)
                if gone is not None:
                    copy.removed(ObjectKey("n", name), gone["metadata"]["uid"])
                    left = copy.get(ObjectKey("n", name))
                    assert left is None or left["metadata"]["uid"] != gone["metadata"]["uid"]
            case "watch":
                for event in server.history[seen : seen + count]:
                    copy.event("", event)
                    seen += 1
            case "relist":
                copy.replace("", list(server.objects.values()), str(server.version))
                seen = len(server.history)
            case _:
                raise AssertionError(action)
        for obj in unanswered[:count]:
            copy.written(obj)
            unanswered.remove(obj)
    for event in server.history[seen:]:
        copy.event("", event)
    for obj in unanswered:
        copy.written(obj)

    def plain(objects: Any) -> Any:
        return {each["metadata"]["name"]: (each["metadata"]["uid"], each["colour"]) for each in objects}

    assert plain(copy.list()) == plain(server.objects.values()) == plain(told.values())
    for colour in ("red", "blue"):
        assert copy.indexed("colour", colour) == [each for each in copy.list() if each["colour"] == colour]


@pytest.mark.semantics("R-61", "W-11")
@pytest.mark.kuberay("KR-13")
def test_managed_fields_are_not_kept() -> None:
    copy = informer()
    copy.event("", WatchEvent("ADDED", thing("a", 1)))
    known = copy.get(ObjectKey("n", "a"))
    assert known is not None
    assert "managedFields" not in known["metadata"]


@pytest.mark.semantics("I-02", "I-04", "I-06")
def test_a_handler_hears_what_was_there_and_one_that_fails_harms_no_other() -> None:
    copy = informer()
    copy.replace("", [thing("a", 1)], "1")
    heard: list[Event] = []
    failed: list[Event] = []

    def fails(event: Event) -> None:
        failed.append(event)
        raise ValueError("a defect")

    copy.add_handler(fails)
    copy.add_handler(heard.append)
    copy.event("", WatchEvent("MODIFIED", thing("a", 2)))
    for told in (heard, failed):
        assert [(event.kind, event.initial) for event in told] == [("added", True), ("modified", False)]


@pytest.mark.semantics("R-17", "S-03")
def test_synced_only_when_every_namespace_was_read() -> None:
    copy = informer(namespaces=("one", "two"))
    copy.replace("one", [], "1")
    assert not copy.synced
    copy.replace("two", [], "1")
    assert copy.synced


@pytest.mark.semantics("R-62")
def test_a_write_outside_the_selector_is_not_kept() -> None:
    copy = informer(label_selector="app=marie,cluster")
    copy.replace("", [], "1")
    copy.written(thing("a", 2))
    assert copy.list() == []


@pytest.mark.semantics("K-03", "W-10")
def test_nothing_is_cached_by_reading_it() -> None:
    cache = Cache(None, clock=LoopClock())  # type: ignore[arg-type]
    with pytest.raises(NotCached, match=r"things\.example\.com is not cached"):
        _ = cache[THINGS]


class Model(BaseModel):
    colour: str


def test_models_are_made_once_for_each_version_and_errors_are_sentences() -> None:
    copy, parsed = informer(), []

    def parse(obj: Object) -> Model:
        parsed.append(obj["metadata"]["resourceVersion"])
        return Model.model_validate(obj)

    view = Typed(copy, parse)
    copy.replace("", [thing("a", 1), {**thing("b", 1), "colour": 7}], "1")
    key = ObjectKey("n", "a")
    assert view.get(key) is view.get(key)
    copy.event("", WatchEvent("MODIFIED", thing("a", 2, colour="blue")))
    model = view.get(key)
    assert isinstance(model, Model)
    assert model.colour == "blue"
    broken = view.get(ObjectKey("n", "b"))
    assert isinstance(broken, Unparsable)
    assert broken.error == "colour: Input should be a valid string"
    assert [model.colour for model in view.list()] == ["blue"]
    assert parsed == ["1", "2", "1"]
    copy.replace("", [], "3")
    assert view.get(key) is None


@pytest.mark.semantics("W-03")
def test_a_model_is_of_the_object_and_not_of_a_version_that_was_given_twice() -> None:
    copy, key = informer(), ObjectKey("n", "a")
    view = Typed(copy, Model.model_validate)
    copy.replace("", [thing("a", 5)], "9")
    assert view.get(key) == Model(colour="red")
    # The server was set back to before version 5, and has given it anew.
    copy.replace("", [thing("a", 5, colour="blue")], "6")
    assert view.get(key) == Model(colour="blue")
