"""The cache against the embedded API server, as a state machine: whatever happens between them, and to them.

In virtual time: a watch that is late by minutes, or silent for ten, costs nothing.
"""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from marie_operator.runtime import (
    ApiError,
    Cache,
    Event,
    Expired,
    Informer,
    LoopClock,
    NotFound,
    Object,
    ObjectKey,
    Unreachable,
    WatchEvent,
    Writer,
)
from marie_operator.runtime.reflector import Reflector, _InitialEvents
from marie_operator.runtime.resource import CONFIG_MAPS, SECRETS, Resource
from marie_operator.testing.apiserver import faults
from marie_operator.testing.apiserver.answers import Answer
from marie_operator.testing.apiserver.embedded import EmbeddedApiServer
from marie_operator.testing.apiserver.requests import Call
from marie_operator.testing.virtual import VirtualLoop
from tests.runtime.direct import DirectTransport, client_of

pytestmark = pytest.mark.model

SELECTOR = "app=marie"
NAMES = st.sampled_from(["a", "b", "c"])
KINDS = st.sampled_from([CONFIG_MAPS, SECRETS])
SECONDS = st.sampled_from([0.0, 0.5, 3.0, 30.0, 400.0])
EFFECTS: dict[str, Callable[[], faults.Effect]] = {
    "forgotten": lambda: faults.refuse(410, "too old resource version"),
    "busy": lambda: faults.refuse(429, retry_after=2),
    "broken": lambda: faults.refuse(500),
    "away": lambda: faults.refuse(503),
    "forbidden": lambda: faults.refuse(403),
    "unknown to it": lambda: faults.refuse(422),
    "ahead of it": lambda: faults.refuse(504, "Too large resource version: 1, current: 0"),
    "reset": faults.drop,
    "slow": lambda: faults.delay(40.0),
    "silent": faults.hang,
    "cut at once": lambda: faults.cut(0),
    "cut after one": lambda: faults.cut(1),
    "cut after two": lambda: faults.cut(2),
}


def behind(revision: int) -> faults.Effect:
    """A list that asks for a version is answered by a server that is not there yet, against its promise (W-03)."""
    stale = faults.stale(revision)

    async def effect(call: Call, serve: faults.Serve) -> Answer:
        return await (stale(call, serve) if call.query.get("resourceVersion") else serve(call))

    return effect


def version(obj: Object) -> int:
    return int(obj["metadata"]["resourceVersion"])


class CacheMachine(RuleBasedStateMachine):
    """The model.

    ``told`` is what handlers heard, ``mine`` the versions that this process wrote, ``buried`` what it deleted, and
    ``latest`` what it wrote that nobody has touched since: the version, or None where it should not be in the copy.
    """

    def __init__(self) -> None:
        super().__init__()
        self.loop = VirtualLoop()
        self.server = EmbeddedApiServer(seed=1, history=12)
        self.transport = DirectTransport(self.server)
        self.foreign = client_of(self.server)
        self.tasks: asyncio.Task[None] | None = None
        self.backup: EmbeddedApiServer | None = None
        self.run(self.start_cache())

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(coroutine)

    async def start_cache(self) -> None:
        client = client_of(self.server, self.transport)
        self.cache = Cache(client, clock=LoopClock())
        by_colour = {"colour": lambda obj: (obj["metadata"]["labels"]["colour"],)}
        self.informers = {
            CONFIG_MAPS: self.cache.add(CONFIG_MAPS, indexes=by_colour, label_selector="colour"),
            SECRETS: self.cache.add(SECRETS, indexes=by_colour, label_selector=SELECTOR),
        }
        self.writer = Writer(client, self.cache)
        self.mine: dict[tuple[Resource, ObjectKey], tuple[str, int]] = {}
        self.buried: set[str] = set()
        self.latest: dict[tuple[Resource, ObjectKey], int | None] = {}
        self.problems: list[AssertionError] = []
        self.told: dict[Resource, dict[ObjectKey, Object]] = {CONFIG_MAPS: {}, SECRETS: {}}
        for resource, informer in self.informers.items():
            informer.add_handler(self.hearer(resource))
        self.tasks = asyncio.create_task(self.cache.run())

    async def stop_cache(self) -> None:
        if self.tasks is not None:
            self.tasks.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self.tasks

    def hearer(self, resource: Resource) -> Callable[[Event], None]:
        def hear(event: Event) -> None:
            try:
                self.check_heard(resource, ObjectKey.of(event.object), event)
            except AssertionError as error:
                # Raised again where Hypothesis sees it: what a handler raises harms nobody.
                self.problems.append(error)

        return hear

    def check_heard(self, resource: Resource, key: ObjectKey, event: Event) -> None:
        """Each event follows from those before, and none is older than what this process wrote, not for a moment."""
        told = self.told[resource]
        match event.kind:
            case "added":
                assert key not in told
                told[key] = event.object
            case "modified":
                assert told[key] is event.old
                told[key] = event.object
            case "deleted":
                assert told.pop(key) is event.object
        latest = self.latest.get((resource, key), -1)
        if event.kind == "deleted":
            assert latest in {None, -1}, "gone, although it was written here and nobody deleted it"
            return
        assert event.object["metadata"]["uid"] not in self.buried, "deleted here, and back"
        assert latest in {version(event.object), -1}, "not what was written last, which was here"
        uid, written = self.mine.get((resource, key), ("", 0))
        assert event.object["metadata"]["uid"] != uid or version(event.object) >= written

    async def settled(self) -> None:
        for _ in range(20):
            await asyncio.sleep(0)

    def body(self, resource: Resource, name: str, colour: str, ours: bool) -> Object:
        labels = {"colour": colour, "app": "marie" if ours else "other"}
        metadata = {"namespace": "default", "name": name, "labels": labels}
        return {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata}

    @initialize(order=st.permutations(["a", "b", "c"]), there=st.sets(st.sampled_from(["a", "b", "c"])))
    def there_from_the_beginning(self, order: list[str], there: set[str]) -> None:
        for name in (name for name in order if name in there):
            for resource in (CONFIG_MAPS, SECRETS):
                self.foreign_write(resource, name, "red", ours=True)

    @rule(resource=KINDS, name=NAMES, colour=st.sampled_from(["red", "blue"]), ours=st.booleans())
    def foreign_write(self, resource: Resource, name: str, colour: str, ours: bool) -> None:
        body = self.body(resource, name, colour, ours)
        self.latest.pop((resource, ObjectKey.of(body)), None)
        self.run(self.foreign.apply(resource, body, field_manager="x", force=True))

    @rule(resource=KINDS, name=NAMES)
    def foreign_delete(self, resource: Resource, name: str) -> None:
        self.latest.pop((resource, ObjectKey("default", name)), None)

        async def act() -> None:
            with contextlib.suppress(NotFound):
                await self.foreign.delete(resource, ObjectKey("default", name))

        self.run(act())

    @rule(resource=KINDS, name=NAMES, colour=st.sampled_from(["red", "blue"]), ours=st.booleans(), lost=st.booleans())
    @precondition(lambda self: not self.transport.down)
    def own_write(self, resource: Resource, name: str, colour: str, ours: bool, lost: bool) -> None:
        """What this process wrote is in the copy when the write returns."""

        self.latest.pop((resource, ObjectKey("default", name)), None)

        async def act() -> None:
            if lost:
                self.server.server.faults.insert(0, faults.Fault(faults.lose_reply(), verbs=("patch",), times=1))
            body = self.body(resource, name, colour, ours)
            written = await self.writer.apply(resource, body, field_manager="x", force=True)
            key = ObjectKey.of(written)
            self.mine[resource, key] = written["metadata"]["uid"], version(written)
            self.latest[resource, key] = version(written) if ours or resource is CONFIG_MAPS else None
            self.own_writes_are_read()

        self.run(act())

    @rule(resource=KINDS, name=NAMES)
    @precondition(lambda self: not self.transport.down)
    def own_delete(self, resource: Resource, name: str) -> None:
        async def act() -> None:
            known = self.informers[resource].get(ObjectKey("default", name))
            if known is None:
                return
            uid = known["metadata"]["uid"]
            self.latest.pop((resource, ObjectKey("default", name)), None)
            with contextlib.suppress(ApiError):
                await self.writer.delete(resource, ObjectKey("default", name), uid=uid)
                self.buried.add(uid)
                self.latest[resource, ObjectKey("default", name)] = None

        self.run(act())

    @rule(resource=KINDS, name=NAMES)
    @precondition(lambda self: not self.transport.down)
    def own_write_is_soon_deleted(self, resource: Resource, name: str) -> None:
        """What the watch has to tell of it comes when it is gone."""
        self.own_write(resource, name, "red", ours=True, lost=False)
        self.own_delete(resource, name)

    @rule(resource=KINDS, name=NAMES, ours=st.booleans())
    @precondition(lambda self: not self.transport.down)
    def own_write_while_the_first_list_is_late(self, resource: Resource, name: str, ours: bool) -> None:
        self.transport.lag = 2.0
        self.process_restarts()
        self.wait(1.0)
        self.own_write(resource, name, "blue", ours=ours, lost=False)
        self.wait(3.0)

    @rule(what=st.sampled_from(sorted(EFFECTS)), verb=st.sampled_from(["watch", "list"]), times=st.integers(1, 3))
    def fault(self, what: str, verb: str, times: int) -> None:
        self.server.server.faults.append(faults.Fault(EFFECTS[what](), verbs=(verb,), times=times))

    @rule()
    def watches_end(self) -> None:
        self.server.server.end_watches()

    @rule()
    def history_is_compacted(self) -> None:
        self.server.server.store.compact()

    @rule()
    def server_goes_and_comes(self) -> None:
        self.transport.down = not self.transport.down
        self.server.server.end_watches()

    @rule(seconds=SECONDS)
    def server_restarts(self, seconds: float) -> None:
        """Its connections break, it is away for a while, and it has forgotten what was before."""

        async def act() -> None:
            self.transport.down = True
            self.server.server.end_watches()
            await asyncio.sleep(seconds)
            self.server.server.store.compact()
            self.transport.down = False
            await self.settled()

        self.run(act())

    @rule(ago=st.integers(1, 8))
    def another_server_answers_that_is_behind(self, ago: int) -> None:
        effect = behind(max(self.server.server.store.revision - ago, 1))
        self.server.server.faults.append(faults.Fault(effect, verbs=("list",), times=1))

    @rule()
    def server_is_backed_up(self) -> None:
        self.backup = EmbeddedApiServer(seed=2, like=self.server)

    @rule()
    @precondition(lambda self: self.backup is not None)
    def server_is_restored(self) -> None:
        """Everything since the backup never was.

        The copy had all of it, and hears of the loss before anything is written again: what was written and never told,
        or is overtaken by what has the same versions, nobody can know to be undone.
        """

        async def act() -> None:
            assert self.backup is not None
            self.server.server.faults.clear()
            self.transport.down, self.transport.lag = False, 0.0
            for written in (self.mine, self.buried, self.latest):
                written.clear()
            await asyncio.sleep(1800)
            self.server.server.store.begin_with(self.backup.server.store)
            self.server.server.end_watches()
            await asyncio.sleep(1800)
            await self.agrees()

        self.run(act())

    @rule(seconds=st.sampled_from([0.0, 0.1, 2.0, 60.0]))
    def watches_are_late(self, seconds: float) -> None:
        self.transport.lag = seconds

    @rule(seconds=SECONDS)
    def wait(self, seconds: float) -> None:
        async def act() -> None:
            await asyncio.sleep(seconds)
            await self.settled()

        self.run(act())

    @rule()
    def process_restarts(self) -> None:
        async def act() -> None:
            await self.stop_cache()
            await self.start_cache()

        self.run(act())

    @invariant()
    def own_writes_are_read(self) -> None:
        for (resource, key), (uid, written) in self.mine.items():
            known = self.informers[resource].get(key)
            if known is not None and known["metadata"]["uid"] == uid:
                assert version(known) >= written, "an older state than the one written here"
        for (resource, key), latest in self.latest.items():
            known = self.informers[resource].get(key)
            assert (None if known is None else version(known)) == latest, "not what was written last, which was here"
        for informer in self.informers.values():
            assert not self.buried & {obj["metadata"]["uid"] for obj in informer.list()}, "deleted here, and back"

    @invariant()
    def handlers_know_what_the_copy_knows(self) -> None:
        for problem in self.problems:
            raise problem
        for resource, informer in self.informers.items():
            assert {ObjectKey.of(obj): obj for obj in informer.list()} == self.told[resource]
            for colour in ("red", "blue"):
                of_it = [obj for obj in informer.list() if obj["metadata"]["labels"]["colour"] == colour]
                assert informer.indexed("colour", colour) == of_it
        assert self.tasks is not None
        assert not self.tasks.done()

    async def agrees(self) -> None:
        for resource, selector in ((CONFIG_MAPS, "colour"), (SECRETS, SELECTOR)):
            there = await self.foreign.list(resource, label_selector=selector)
            informer = self.informers[resource]
            assert informer.synced
            assert informer.last_error == ""
            assert {ObjectKey.of(obj): version(obj) for obj in informer.list()} == {
                ObjectKey.of(obj): version(obj) for obj in there.items
            }

    def teardown(self) -> None:
        """Once nothing is in the way any more, the copy is what the server has; within half an hour."""

        async def end() -> None:
            self.server.server.faults.clear()
            self.transport.down, self.transport.lag = False, 0.0
            await asyncio.sleep(1800)
            await self.agrees()
            self.handlers_know_what_the_copy_knows()

        try:
            self.run(end())
        finally:
            self.run(self.stop_cache())
            self.loop.close()


def explored(examples: int, **options: Any) -> None:
    run_state_machine_as_test(
        CacheMachine, settings=settings(max_examples=examples, stateful_step_count=30, deadline=None, **options)
    )


@pytest.mark.semantics(
    "R-01",
    "R-10",
    "R-14",
    "R-17",
    "R-21",
    "R-22",
    "R-26",
    "R-27",
    "R-51",
    "R-64",
    "S-09",
    "S-13",
    "K-28",
    "W-01",
    "W-03",
)
def test_the_copy_is_the_servers_state_in_the_end_and_own_writes_are_read_all_the_time() -> None:
    explored(40)


def older_news_undoes_own_writes(patch: pytest.MonkeyPatch) -> None:
    offer = Informer._offer

    def careless(self: Informer, obj: Object, *, initial: bool = False, cut: bool = False) -> Event | None:
        known = self._objects.get(ObjectKey.of(obj))
        if known is not None and version(known) > version(obj):
            obj = {**obj, "metadata": {**obj["metadata"], "resourceVersion": known["metadata"]["resourceVersion"]}}
            self._objects[ObjectKey.of(obj)] = obj
            return Event("modified", obj, known, initial)
        return offer(self, obj, initial=initial, cut=cut)

    patch.setattr(Informer, "_offer", careless)


def own_writes_are_left_to_the_watch(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Informer, "written", lambda _, __: None)


def what_was_deleted_comes_back(patch: pytest.MonkeyPatch) -> None:
    def removed(self: Informer, key: ObjectKey, uid: str) -> None:
        known = self._objects.get(key)
        if known is not None and known["metadata"]["uid"] == uid:
            self._told(self._remove(key))

    patch.setattr(Informer, "removed", removed)


def a_list_removes_what_was_written_since(patch: pytest.MonkeyPatch) -> None:
    replace = Informer.replace

    def careless(self: Informer, namespace: str, items: list[Object], resource_version: str) -> None:
        listed = {ObjectKey.of(item) for item in items}
        for key in [key for key in self._objects if key not in listed]:
            self._told(self._remove(key))
        replace(self, namespace, items, resource_version)

    patch.setattr(Informer, "replace", careless)


def a_list_removes_nothing(patch: pytest.MonkeyPatch) -> None:
    def replace(self: Informer, namespace: str, items: list[Object], resource_version: str) -> None:
        for item in items:
            self._told(self._offer(item))
        self._advance(namespace, int(resource_version))
        self._synced.set()

    patch.setattr(Informer, "replace", replace)


def a_forgotten_version_is_watched_from_now_on(patch: pytest.MonkeyPatch) -> None:
    async def recover(self: Reflector, error: Exception) -> None:
        await asyncio.sleep(1)
        if isinstance(error, Expired) and self._version:
            self._version, self._state = "", self._state
        elif isinstance(error, Unreachable):
            return
        else:
            self._state = type(self._state).LIST

    patch.setattr(Reflector, "_recover", recover)


def a_list_that_broke_off_counts(patch: pytest.MonkeyPatch) -> None:
    take = _InitialEvents.take

    def careless(self: _InitialEvents, event: WatchEvent) -> bool:
        done = take(self, event)
        if event.type != "BOOKMARK" and not done:
            self.version = event.object["metadata"]["resourceVersion"]
        return bool(self.version)

    patch.setattr(_InitialEvents, "take", careless)


def an_index_forgets_to_move(patch: pytest.MonkeyPatch) -> None:
    index = Informer._index
    patch.setattr(Informer, "_index", lambda self, key, old, new: None if old and new else index(self, key, old, new))


def a_list_that_is_behind_is_believed(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("marie_operator.runtime.reflector._older", lambda _, __: False)


def a_server_that_was_set_back_is_not_followed(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Informer, "_rewind", lambda _, __, ___: None)


@pytest.mark.parametrize(
    "bug",
    [
        a_list_that_is_behind_is_believed,
        a_server_that_was_set_back_is_not_followed,
        older_news_undoes_own_writes,
        own_writes_are_left_to_the_watch,
        what_was_deleted_comes_back,
        a_list_removes_what_was_written_since,
        a_list_removes_nothing,
        a_forgotten_version_is_watched_from_now_on,
        a_list_that_broke_off_counts,
        an_index_forgets_to_move,
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_the_machine_finds_a_planted_bug(bug: Callable[[pytest.MonkeyPatch], None], monkeypatch: Any) -> None:
    bug(monkeypatch)
    # An index that leads to what is gone shows itself by an error of its own.
    with pytest.raises((AssertionError, KeyError)):
        explored(500, derandomize=True, database=None, phases=[Phase.generate], print_blob=False)
